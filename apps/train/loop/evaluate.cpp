#include <algorithm>
#include <cmath>
#include <vector>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/nn/eval_mode.h>
#include <tern/train/loop/evaluate.h>

namespace tern::train {
namespace {

// Classes that come before `label` when sorted by falling logit; beyond all of them if its logit is no number.
int64_t rank_of(const double* row, int64_t classes, int64_t label) {
  if (std::isnan(row[label])) return classes;
  int64_t rank = 0;
  for (int64_t c = 0; c < classes; ++c)
    if (row[c] > row[label] || std::isnan(row[c]) || (row[c] == row[label] && c < label)) ++rank;
  return rank;
}

double log_sum_exp(const double* row, int64_t classes) {
  const double top = *std::max_element(row, row + classes);
  if (!std::isfinite(top)) return top;
  double sum = 0;
  for (int64_t c = 0; c < classes; ++c) sum += std::exp(row[c] - top);
  return top + std::log(sum);
}

}  // namespace

void Accuracy::add(const Tensor& logits, const Tensor& labels) {
  TERN_CHECK(logits.dim() == 2 && logits.is_floating(), ShapeError, "[evaluate] expected floating logits [N, C], got ",
             describe(logits));
  const int64_t n = logits.size(0), classes = logits.size(1);
  const bool shares = labels.is_floating();
  TERN_CHECK(shares ? labels.shape() == logits.shape() : labels.dtype() == DType::kI64 && labels.shape() == Shape{n},
             ShapeError, "[evaluate] expected labels i64 [", n, "] or shares [", n, ", ", classes, "], got ",
             describe(labels));
  const std::vector<double> values = logits.detach().to_vector<double>();
  const std::vector<double> given = labels.detach().to_vector<double>();
  for (int64_t i = 0; i < n; ++i) {
    const double* row = values.data() + i * classes;
    const double* target = given.data() + (shares ? i * classes : i);
    const int64_t label = shares ? std::max_element(target, target + classes) - target : static_cast<int64_t>(*target);
    TERN_CHECK(label >= 0 && label < classes, ValueError, "[evaluate] expected labels in [0, ", classes, "), got ",
               label);
    const int64_t rank = rank_of(row, classes, label);
    sums_.top1 += rank == 0;
    sums_.top5 += rank < 5;
    const double normalizer = log_sum_exp(row, classes);
    if (shares) {
      for (int64_t c = 0; c < classes; ++c)
        if (target[c] != 0) sums_.loss += target[c] * (normalizer - row[c]);
    } else {
      sums_.loss += normalizer - row[label];
    }
  }
  sums_.n += n;
}

EvalResult Accuracy::result() const {
  if (sums_.n == 0) return {};
  const auto n = static_cast<double>(sums_.n);
  return {.top1 = static_cast<double>(sums_.top1) / n,
          .top5 = static_cast<double>(sums_.top5) / n,
          .loss = sums_.loss / n,
          .n = sums_.n};
}

EvalResult evaluate(nn::Module& model, data::DataLoader& loader, const std::function<bool()>& stop) {
  const nn::EvalModeGuard eval_mode(model);
  const NoGradGuard no_grad;
  Accuracy accuracy;
  bool complete = true;
  for (const auto& [images, labels] : loader) {
    accuracy.add(model(images), labels);
    complete = !stop || !stop();
    if (!complete) break;
  }
  EvalResult result = accuracy.result();
  result.complete = complete;
  return result;
}

}  // namespace tern::train
