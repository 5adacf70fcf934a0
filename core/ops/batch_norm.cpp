#include <cmath>
#include <vector>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/kernels/batch_norm.h>
#include <tern/core/ops/batch_norm.h>
#include <tern/core/ops/copy.h>

namespace tern {
namespace {

ChannelView view_of(const Tensor& x) {
  if (x.dim() == 2) return {x.shape()[0], x.shape()[1], 1};
  const int64_t inner = x.numel() == 0 ? 1 : x.numel() / (x.shape()[0] * x.shape()[1]);
  if (x.memory_format() == MemoryFormat::kChannelsLast || inner == 1) return {x.shape()[0] * inner, x.shape()[1], 1};
  return {x.shape()[0], x.shape()[1], inner};
}

// Blocks of about eight thousand elements, and of at least 64 values a channel where channels are many.
ChannelBlocks blocks_of(const ChannelView& view) {
  ChannelBlocks blocks;
  if (view.inner == 1) blocks.size = std::max<int64_t>(8192 / view.channels, 64);
  blocks.count = (view.outer + blocks.size - 1) / blocks.size;
  return blocks;
}

struct BatchNormBackward {
  static constexpr const char* kName = "batch_norm";
  SavedTensor x, output;     // output only where a residual hides the ReLU's sign
  Tensor mean, scale, bias;  // [C], as the kernels take them
  std::vector<double> rstd;  // 1 / sqrt(var + eps)
  bool training = false;
  ReluMask mask = ReluMask::kNone;

  Gradients backward(const Tensor& grad_output, NeedsGrad needs) const {
    const ChannelView view = view_of(*x);
    const ChannelBlocks blocks = blocks_of(view);
    const int64_t channels = view.channels;
    Tensor grad = grad_output;
    if (grad.strides() != x->strides()) {
      grad = empty_like(*x);
      grad.copy_(grad_output);
    }
    Gradients grads(4);
    const bool has_residual = mask == ReluMask::kFromOutput || needs[3];
    dispatch_float(kName, x->dtype(), [&]<class T>() {
      BatchNormGradArgs<T> args{
          grad.data<T>(), x->data<T>(), output.defined() ? output->data<T>() : nullptr, mean.data<T>(), scale.data<T>(),
          bias.data<T>(), mask};
      std::vector<double> sums(static_cast<size_t>(2 * channels));
      if (training || needs[1] || needs[2] || needs[3]) {
        Tensor masked;
        if (has_residual && mask != ReluMask::kNone && needs[3]) masked = empty_like(*x);
        Tensor partials = empty({blocks.count, 2, channels}, DType::kF64);
        TERN_KERNEL(batch_norm_grad_sums<T>)
        (view, blocks, args, partials.data<double>(), sums.data(), masked.defined() ? masked.data<T>() : nullptr);
        if (masked.defined()) {  // the second pass need not mask again
          args.grad = masked.data<T>();
          args.mask = ReluMask::kNone;
        }
        if (needs[3]) grads[3] = masked.defined() ? masked : grad;
      }
      const double* sum_g = sums.data();
      const double* sum_gx = sums.data() + channels;
      if (needs[0]) {
        Tensor slope = empty({channels}, x->dtype()), offset = empty({channels}, x->dtype());
        const double count = static_cast<double>(view.outer * view.inner);
        for (int64_t c = 0; c < channels && training; ++c) {
          const double s = static_cast<double>(scale.data<T>()[c]), r = rstd[static_cast<size_t>(c)];
          slope.data<T>()[c] = static_cast<T>(-s * r * r * sum_gx[c] / count);
          offset.data<T>()[c] = static_cast<T>(-s * sum_g[c] / count);
        }
        grads[0] = empty_like(*x);
        TERN_KERNEL(batch_norm_grad_input<T>)
        (view, args, training ? slope.data<T>() : nullptr, training ? offset.data<T>() : nullptr, grads[0].data<T>());
      }
      if (needs[1]) {
        grads[1] = empty({channels}, x->dtype());
        for (int64_t c = 0; c < channels; ++c)
          grads[1].data<T>()[c] = static_cast<T>(sum_gx[c] * rstd[static_cast<size_t>(c)]);
      }
      if (needs[2]) {
        grads[2] = empty({channels}, x->dtype());
        for (int64_t c = 0; c < channels; ++c) grads[2].data<T>()[c] = static_cast<T>(sum_g[c]);
      }
    });
    return grads;
  }
};

void check_parameter(const char* op, const char* name, const Tensor& p, const Tensor& x) {
  if (!p.defined()) return;
  TERN_CHECK(p.shape() == Shape({x.shape()[1]}), ShapeError, "[", op, "] expected ", name, " of shape [", x.shape()[1],
             "] for input ", x.shape(), ", got ", p.shape());
  TERN_CHECK(p.dtype() == x.dtype(), DTypeError, "[", op, "] expected ", name, " of the input's dtype ", x.dtype(),
             ", got ", p.dtype());
}

void check(const char* op, const Tensor& x, const Tensor& running_mean, const Tensor& running_var, const Tensor& weight,
           const Tensor& bias, const Tensor& residual, const BnActOptions& o) {
  check_defined(op, x);
  TERN_CHECK(x.dim() >= 2 && x.dim() <= 4, ShapeError, "[", op,
             "] expected an input of shape [N, C], [N, C, L] or [N, C, H, W], got ", x.shape());
  TERN_CHECK(x.dtype() == DType::kF32 || x.dtype() == DType::kF64, DTypeError, "[", op, "] expected f32 or f64, got ",
             x.dtype());
  TERN_CHECK(x.shape()[1] > 0, ShapeError, "[", op, "] expected at least one channel, got input ", x.shape());
  check_parameter(op, "running_mean", running_mean, x);
  check_parameter(op, "running_var", running_var, x);
  check_parameter(op, "weight", weight, x);
  check_parameter(op, "bias", bias, x);
  if (residual.defined()) {
    TERN_CHECK(residual.shape() == x.shape(), ShapeError, "[", op, "] expected a residual of the input's shape ",
               x.shape(), ", got ", residual.shape());
    TERN_CHECK(residual.dtype() == x.dtype(), DTypeError, "[", op, "] expected a residual of the input's dtype ",
               x.dtype(), ", got ", residual.dtype());
  }
  TERN_CHECK(o.eps > 0, ValueError, "[", op, "] expected an eps above 0, got ", o.eps);
  TERN_CHECK(o.momentum >= 0 && o.momentum <= 1, ValueError, "[", op, "] expected a momentum in [0, 1], got ",
             o.momentum);
  TERN_CHECK(running_mean.defined() == running_var.defined(), StateError, "[", op,
             "] expected running_mean and running_var both or neither, got only one of them");
  TERN_CHECK(o.training || running_mean.defined(), StateError, "[", op,
             "] expected running statistics outside of training, got none");
  TERN_CHECK(!o.training || x.numel() != x.shape()[1], ValueError, "[", op,
             "] expected more than one value a channel in training, got input ", x.shape());
}

// running = (1 - momentum) running + momentum batch
template <class T>
void update_running(Tensor running, const std::vector<double>& batch, double momentum, double factor) {
  const NoGradGuard no_grad;
  Tensor dense = contiguous(running);
  for (size_t c = 0; c < batch.size(); ++c) {
    T& r = dense.data<T>()[c];
    r = static_cast<T>((1 - momentum) * static_cast<double>(r) + momentum * factor * batch[c]);
  }
  if (dense.is_same(running))
    running.storage()->bump_version();
  else
    running.copy_(dense);
}

template <class T>
std::vector<double> doubles(const Tensor& p, size_t channels, double fallback) {
  return p.defined() ? p.to_vector<double>() : std::vector<double>(channels, fallback);
}

Tensor normalise(const char* op, const Tensor& input, const Tensor& running_mean, const Tensor& running_var,
                 const Tensor& weight, const Tensor& bias, const Tensor& residual_input, const BnActOptions& o) {
  check(op, input, running_mean, running_var, weight, bias, residual_input, o);
  const Tensor x =
      input.is_contiguous() || input.memory_format() == MemoryFormat::kChannelsLast ? input : contiguous(input);
  Tensor residual = residual_input;
  if (residual.defined() && residual.strides() != x.strides())
    residual = contiguous(residual, x.dim() == 4 ? x.memory_format() : MemoryFormat::kContiguous);
  const ChannelView view = view_of(x);
  const size_t channels = static_cast<size_t>(view.channels);
  const double count = static_cast<double>(view.outer * view.inner);
  Tensor y = empty_like(x);
  BatchNormBackward saved;
  saved.training = o.training;
  saved.mean = empty({view.channels}, x.dtype());
  saved.scale = empty({view.channels}, x.dtype());
  saved.bias = empty({view.channels}, x.dtype());
  saved.rstd.resize(channels);
  dispatch_float(op, x.dtype(), [&]<class T>() {
    std::vector<double> mean(channels), var(channels);
    if (o.training) {
      const ChannelBlocks blocks = blocks_of(view);
      Tensor partials = empty({blocks.count, 2, view.channels}, DType::kF64);
      if (x.numel() > 0) {
        TERN_KERNEL(channel_moments<T>)(view, blocks, x.data<T>(), partials.data<double>(), mean.data(), var.data());
        if (running_mean.defined()) {
          update_running<T>(running_mean, mean, o.momentum, 1);
          update_running<T>(running_var, var, o.momentum, count / (count - 1));
        }
      }
    } else {
      mean = running_mean.to_vector<double>();
      var = running_var.to_vector<double>();
    }
    const std::vector<double> w = doubles<T>(weight, channels, 1), b = doubles<T>(bias, channels, 0);
    for (size_t c = 0; c < channels; ++c) {
      saved.rstd[c] = 1 / std::sqrt(var[c] + o.eps);
      saved.mean.data<T>()[c] = static_cast<T>(mean[c]);
      saved.scale.data<T>()[c] = static_cast<T>(w[c] * saved.rstd[c]);
      saved.bias.data<T>()[c] = static_cast<T>(b[c]);
    }
    TERN_KERNEL(batch_norm_apply<T>)
    (view, x.data<T>(), saved.mean.data<T>(), saved.scale.data<T>(), saved.bias.data<T>(),
     residual.defined() ? residual.data<T>() : nullptr, o.relu, y.data<T>());
  });
  if (grad_enabled()) {
    saved.x = x;
    if (o.relu) saved.mask = residual.defined() ? ReluMask::kFromOutput : ReluMask::kFromInput;
    if (saved.mask == ReluMask::kFromOutput) saved.output = y;
  }
  return autograd::record<BatchNormBackward>(y, {x, weight, bias, residual}, std::move(saved));
}

}  // namespace

Tensor batch_norm(const Tensor& x, const Tensor& running_mean, const Tensor& running_var, const Tensor& weight,
                  const Tensor& bias, const BatchNormOptions& o) {
  return normalise("batch_norm", x, running_mean, running_var, weight, bias, {},
                   {.training = o.training, .momentum = o.momentum, .eps = o.eps, .relu = false});
}

Tensor bn_act(const Tensor& x, const Tensor& running_mean, const Tensor& running_var, const Tensor& weight,
              const Tensor& bias, const Tensor& residual, const BnActOptions& o) {
  return normalise("bn_act", x, running_mean, running_var, weight, bias, residual, o);
}

}  // namespace tern
