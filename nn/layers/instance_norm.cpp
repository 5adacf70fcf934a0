#include <tern/core/autograd/autograd.h>
#include <tern/core/ops/batch_norm.h>
#include <tern/core/ops/join.h>
#include <tern/core/ops/norm.h>
#include <tern/core/ops/reduce.h>
#include <tern/core/ops/shape.h>
#include <tern/nn/detail/filled_if.h>
#include <tern/nn/layers/instance_norm.h>

namespace tern::nn {
namespace {

const InstanceNorm::Options& checked(const InstanceNorm::Options& o, const char* type) {
  TERN_CHECK(o.num_features >= 1, ValueError, "[", type, "] expected num_features of at least 1, got ", o.num_features);
  TERN_CHECK(o.eps > 0, ValueError, "[", type, "] expected eps above 0, got ", o.eps);
  TERN_CHECK(o.momentum >= 0 && o.momentum <= 1, ValueError, "[", type, "] expected a momentum in [0, 1], got ",
             o.momentum);
  return o;
}

using detail::filled_if;

}  // namespace

InstanceNorm::InstanceNorm(const Options& options, const char* type, int64_t axes, const char* kind)
    : options_(checked(options, type)),
      type_(type),
      axes_(axes),
      kind_(kind),
      weight(this, "weight", filled_if(options.affine, {options.num_features}, 1)),
      bias(this, "bias", filled_if(options.affine, {options.num_features}, 0)),
      running_mean(this, "running_mean", filled_if(options.track_running_stats, {options.num_features}, 0)),
      running_var(this, "running_var", filled_if(options.track_running_stats, {options.num_features}, 1)),
      num_batches_tracked(this, "num_batches_tracked", filled_if(options.track_running_stats, {}, 0, DType::kI64)) {}

Tensor InstanceNorm::forward(const Tensor& x) {
  check_defined(type_, x);
  const int64_t channels = options_.num_features;
  TERN_CHECK(x.dim() == axes_ && x.size(1) == channels, ShapeError, "[", type_, "] expected input [N, ", channels, ", ",
             kind_, "], got ", x.shape());
  const bool tracks = options_.track_running_stats;
  if (tracks && !is_training())
    return batch_norm(x, running_mean(), running_var(), weight(), bias(), {.eps = options_.eps});
  Shape values = x.shape();
  values[0] = values[1] = 1;
  TERN_CHECK(numel_of(values) != 1, ValueError, "[", type_, "] expected more than one value a channel, got input ",
             x.shape());
  if (!tracks || x.numel() == 0) return group_norm(x, channels, weight(), bias(), options_.eps);

  // A batch norm in which every sample has channels of its own.
  const int64_t samples = x.size(0);
  Shape apart = x.shape();
  apart[0] = 1;
  apart[1] = samples * channels;
  const auto of_all = [&](const Tensor& value) { return value.defined() ? repeat(value, {samples}) : value; };
  const Tensor mean_of_each = of_all(running_mean()), var_of_each = of_all(running_var());
  const Tensor y = reshape(batch_norm(reshape(x, apart), mean_of_each, var_of_each, of_all(weight()), of_all(bias()),
                                      {.training = true, .momentum = options_.momentum, .eps = options_.eps}),
                           x.shape());
  const NoGradGuard no_grad;
  running_mean().copy_(mean(reshape(mean_of_each, {samples, channels}), {0}));
  running_var().copy_(mean(reshape(var_of_each, {samples, channels}), {0}));
  return y;
}

std::string InstanceNorm::extra_text() const {
  std::string text = concat(options_.num_features);
  if (options_.eps != 1e-5) text += concat(", eps=", options_.eps);
  if (options_.momentum != 0.1) text += concat(", momentum=", options_.momentum);
  if (options_.affine) text += ", affine=true";
  if (options_.track_running_stats) text += ", track_running_stats=true";
  return text;
}

}  // namespace tern::nn
