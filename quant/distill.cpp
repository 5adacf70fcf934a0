#include <cmath>
#include <span>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/index.h>
#include <tern/core/ops/loss.h>
#include <tern/core/ops/matmul.h>
#include <tern/core/ops/operators.h>
#include <tern/core/ops/pair_loss.h>
#include <tern/core/ops/reduce.h>
#include <tern/core/ops/shape.h>
#include <tern/core/ops/softmax.h>
#include <tern/nn/child.h>
#include <tern/nn/eval_mode.h>
#include <tern/quant/distill.h>

namespace tern::quant {
namespace {

constexpr double kMinProbability = 1e-8;
constexpr double kMinLength = 1e-12;

void check_temperature(const char* op, double temperature) {
  TERN_CHECK(temperature > 0 && std::isfinite(temperature), ValueError, "[", op,
             "] expected a temperature above 0, got ", temperature);
}

// KL(teacher || student) of rows of log-probabilities, the mean over rows.
Tensor mean_divergence(const Tensor& student, const Tensor& teacher) {
  const int64_t rows = student.numel() / student.size(-1);
  return mul(kl_div(student, teacher, {.log_target = true, .reduction = Reduction::kSum}),
             1.0 / static_cast<double>(rows));
}

// log of R: [B, T, width] to [B, splits, T, T].
Tensor log_relations(const Tensor& features, int64_t splits, double temperature) {
  const int64_t batch = features.size(0), tokens = features.size(1), width = features.size(2);
  const Tensor vectors = features.reshape({batch, tokens, splits, width / splits}).transpose(1, 2);
  // Clamped before the root, whose gradient at 0 is infinite.
  const Tensor squares = clamp(sum(mul(vectors, vectors), {-1}, true), kMinLength * kMinLength, INFINITY);
  const Tensor unit = div(vectors, sqrt(squares));
  const Tensor similar = mul(matmul(unit, unit.transpose(2, 3)), 1 / temperature);
  return clamp(log_softmax(similar, -1), std::log(kMinProbability), 0.0);
}

}  // namespace

Tensor logits_distillation(const Tensor& student, const Tensor& teacher, double temperature) {
  constexpr const char* kName = "logits_distillation";
  check_defined(kName, student, teacher);
  check_temperature(kName, temperature);
  TERN_CHECK(student.dim() >= 1 && student.numel() > 0 && student.shape() == teacher.shape(), ShapeError, "[", kName,
             "] expected logits of one shape, got ", student.shape(), " and ", teacher.shape());
  TERN_CHECK(student.dtype() == teacher.dtype(), DTypeError, "[", kName, "] expected logits of one dtype, got ",
             student.dtype(), " and ", teacher.dtype());
  const double scale = 1 / temperature;
  return mean_divergence(log_softmax(mul(student, scale), -1), log_softmax(mul(teacher.detach(), scale), -1));
}

Tensor relation_distillation(const Tensor& student, const Tensor& teacher, int64_t splits, double temperature) {
  constexpr const char* kName = "relation_distillation";
  check_defined(kName, student, teacher);
  check_temperature(kName, temperature);
  TERN_CHECK(splits >= 1, ValueError, "[", kName, "] expected splits of at least 1, got ", splits);
  TERN_CHECK(student.dim() == 3 && teacher.dim() == 3 && student.size(0) == teacher.size(0) &&
                 student.size(1) == teacher.size(1) && student.size(2) % splits == 0 && teacher.size(2) % splits == 0 &&
                 student.numel() > 0 && teacher.numel() > 0,
             ShapeError, "[", kName, "] expected features [B, T, width] of one B and T and widths that ", splits,
             " divides, got ", student.shape(), " and ", teacher.shape());
  return mean_divergence(log_relations(student, splits, temperature),
                         log_relations(teacher.detach(), splits, temperature));
}

Distillation::Distillation(nn::Module& student, std::shared_ptr<nn::Module> teacher, const DistillationOptions& options)
    : teacher_(std::move(teacher)), options_(options) {
  constexpr const char* kName = "Distillation";
  TERN_CHECK(teacher_ != nullptr, ValueError, "[", kName, "] expected a teacher, got none");
  check_temperature(kName, options.temperature);
  check_temperature(kName, options.relation_temperature);
  TERN_CHECK(options.logits_weight >= 0 && options.relation_weight >= 0, ValueError, "[", kName,
             "] expected weights of at least 0, got ", options.logits_weight, " and ", options.relation_weight);
  if (options.relation_weight == 0) return;
  TERN_CHECK(!options.relation_layers.empty() && options.splits >= 1, ValueError, "[", kName,
             "] expected relation_layers and splits for a relation_weight of ", options.relation_weight, ", got ",
             options.relation_layers.size(), " and ", options.splits);
  std::vector<std::pair<std::shared_ptr<nn::Module>, std::shared_ptr<nn::Module>>> layers;
  for (const std::string& path : options.relation_layers)
    layers.emplace_back(student.get_module(path), teacher_->get_module(path));
  for (size_t i = 0; i < layers.size(); ++i) {
    taps_.push_back(std::make_shared<Tap>(Tap{options.relation_layers[i], {}, {}}));
    const auto& tap = taps_.back();
    hooks_.after(*layers[i].first,
                 [tap](nn::Module&, std::span<const Tensor>, const Tensor& output) { tap->student = output; });
    hooks_.after(*layers[i].second,
                 [tap](nn::Module&, std::span<const Tensor>, const Tensor& output) { tap->teacher = output; });
  }
}

Tensor Distillation::loss(const Tensor& logits, const Tensor& input) {
  for (const auto& tap : taps_)
    TERN_CHECK(tap->student.defined(), StateError,
               "[Distillation] expected a forward of the student before loss(), got none of ", tap->path);
  Tensor taught;
  {
    const NoGradGuard no_grad;
    const nn::EvalModeGuard eval(*teacher_);
    taught = (*teacher_)(options_.teacher_input ? options_.teacher_input(input) : input);
    if (const auto& outputs = options_.teacher_outputs; !outputs.empty())
      taught = index_select(taught, -1, tensor(outputs, {static_cast<int64_t>(outputs.size())}));
  }
  Tensor total = mul(logits_distillation(logits, taught, options_.temperature), options_.logits_weight);
  for (const auto& tap : taps_) {
    const Tensor relation =
        relation_distillation(tap->student, tap->teacher, options_.splits, options_.relation_temperature);
    total = add(total, mul(relation, options_.relation_weight));
    tap->student = tap->teacher = {};
  }
  return total;
}

}  // namespace tern::quant
