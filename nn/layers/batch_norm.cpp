#include <tern/core/autograd/autograd.h>
#include <tern/core/ops/batch_norm.h>
#include <tern/nn/detail/filled_if.h>
#include <tern/nn/layers/batch_norm.h>

namespace tern::nn {
namespace {

const BatchNorm::Options& checked(const BatchNorm::Options& o, const char* type) {
  TERN_CHECK(o.num_features >= 1, ValueError, "[", type, "] expected num_features of at least 1, got ", o.num_features);
  TERN_CHECK(o.eps > 0, ValueError, "[", type, "] expected eps above 0, got ", o.eps);
  TERN_CHECK(!o.momentum || (*o.momentum >= 0 && *o.momentum <= 1), ValueError, "[", type,
             "] expected a momentum in [0, 1], got ", o.momentum.value_or(0));
  return o;
}

using detail::filled_if;

}  // namespace

BatchNorm::BatchNorm(const Options& options, const char* type)
    : options_(checked(options, type)),
      weight(this, "weight", filled_if(options.affine, {options.num_features}, 1)),
      bias(this, "bias", filled_if(options.affine, {options.num_features}, 0)),
      running_mean(this, "running_mean", filled_if(options.track_running_stats, {options.num_features}, 0)),
      running_var(this, "running_var", filled_if(options.track_running_stats, {options.num_features}, 1)),
      num_batches_tracked(this, "num_batches_tracked", filled_if(options.track_running_stats, {}, 0, DType::kI64)) {}

void BatchNorm::reset_running_stats() {
  if (!options_.track_running_stats) return;
  running_mean().fill_(0);
  running_var().fill_(1);
  num_batches_tracked().fill_(0);
}

double BatchNorm::batch_share() const {
  if (options_.momentum || !counts_batches()) return options_.momentum.value_or(0);
  return 1 / static_cast<double>(num_batches_tracked().item_i64() + 1);
}

void BatchNorm::count_batch() {
  if (!counts_batches()) return;
  Tensor& count = num_batches_tracked();
  ++*count.data<int64_t>();
  count.storage()->bump_version();
}

Tensor BatchNorm::forward(const Tensor& x) {
  check_input(x);
  const Tensor y = batch_norm(x, running_mean(), running_var(), weight(), bias(),
                              {.training = uses_batch_statistics(), .momentum = batch_share(), .eps = options_.eps});
  count_batch();
  return y;
}

std::string BatchNorm::extra_text() const {
  std::string text = concat(options_.num_features);
  if (options_.eps != 1e-5) text += concat(", eps=", options_.eps);
  if (!options_.momentum) text += ", momentum=none";
  if (options_.momentum.value_or(0.1) != 0.1) text += concat(", momentum=", *options_.momentum);
  if (!options_.affine) text += ", affine=false";
  if (!options_.track_running_stats) text += ", track_running_stats=false";
  return text;
}

void BatchNorm1d::check_input(const Tensor& x) const {
  TERN_CHECK((x.dim() == 2 || x.dim() == 3) && x.size(1) == options().num_features, ShapeError,
             "[BatchNorm1d] expected input [N, ", options().num_features, "] or [N, ", options().num_features,
             ", L], got ", x.shape());
}

void BatchNorm2d::check_input(const Tensor& x) const {
  TERN_CHECK(x.dim() == 4 && x.size(1) == options().num_features, ShapeError, "[BatchNorm2d] expected input [N, ",
             options().num_features, ", H, W], got ", x.shape());
}

}  // namespace tern::nn
