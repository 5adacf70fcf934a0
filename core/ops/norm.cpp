#include <cmath>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/kernels/norm.h>
#include <tern/core/ops/norm.h>

namespace tern {
namespace {

template <class T>
const T* pointer(const Tensor& x) {
  return x.defined() ? x.data<T>() : nullptr;
}
template <class T>
T* pointer(Tensor& x) {
  return x.defined() ? x.data<T>() : nullptr;
}

// Row-major elements of x, outside the graph.
Tensor elements(const Tensor& x, MemoryFormat format = MemoryFormat::kContiguous) {
  const NoGradGuard no_grad;
  return x.defined() ? x.contiguous(format) : x;
}

void check_parameter(const char* op, const char* what, const Tensor& p, const Tensor& x, const Shape& shape) {
  if (!p.defined()) return;
  TERN_CHECK(p.dtype() == x.dtype(), DTypeError, "[", op, "] expected a ", what, " of ", x.dtype(), ", got ",
             p.dtype());
  TERN_CHECK(p.shape() == shape, ShapeError, "[", op, "] expected a ", what, " ", shape, ", got ", p.shape());
}

void check_input(const char* op, const Tensor& x, double eps) {
  check_defined(op, x);
  dispatch_float(op, x.dtype(), []<class T>() {});
  TERN_CHECK(std::isfinite(eps) && eps >= 0, ValueError, "[", op, "] expected an eps of at least 0, got ", eps);
}

// Layer norm and RMS norm, with and without a residual: one backward for all.
template <bool kCentre>
struct RowNormBackward {
  static constexpr const char* kName = kCentre ? "layer_norm" : "rms_norm";
  SavedTensor x, weight;  // x: what was normalised
  Tensor mean, rstd;      // [rows]; no mean for RMS norm
  bool has_residual = false;
  Shape parameter_shape = {};

  // Gradients of x, the residual (where there is one), weight and bias.
  Gradients backward(std::span<const Tensor> grad_outputs, NeedsGrad needs) const {
    const size_t first_parameter = has_residual ? 2 : 1;
    const Tensor grad_y = grad_outputs.back(), grad_sum = has_residual ? grad_outputs[0] : Tensor();
    const bool needs_x = needs[0] || (has_residual && needs[1]);
    const bool needs_weight = needs[first_parameter], needs_bias = needs[first_parameter + 1];
    Gradients gradients(first_parameter + 2);
    const auto set_x = [&](const Tensor& g) {
      if (needs[0]) gradients[0] = g;
      if (has_residual && needs[1]) gradients[1] = g;
    };
    if (!grad_y.defined()) {
      set_x(grad_sum);
      return gradients;
    }
    const int64_t rows = rstd.numel(), n = rows > 0 ? x->numel() / rows : 0;
    const Tensor source = elements(*x), g = elements(grad_y), extra = elements(grad_sum), w = elements(*weight);
    Tensor grad_x, grad_weight, grad_bias, partials;
    if (needs_x) grad_x = empty(x->shape(), x->dtype());
    if (needs_weight) grad_weight = empty(weight->shape(), x->dtype());
    if (needs_bias) grad_bias = empty(parameter_shape, x->dtype());
    if (x->numel() == 0) {
      if (needs_weight) grad_weight.zero_();
      if (needs_bias) grad_bias.zero_();
    } else {
      if (needs_weight || needs_bias) partials = empty({kernels::row_norm_blocks(rows, n), 2, n}, x->dtype());
      dispatch_float(kName, x->dtype(), [&]<class T>() {
        TERN_KERNEL(row_norm_backward<T>)
        ({.rows = rows,
          .n = n,
          .grad_y = g.data<T>(),
          .grad_sum = pointer<T>(extra),
          .x = source.data<T>(),
          .weight = pointer<T>(w),
          .mean = pointer<T>(mean),
          .rstd = rstd.data<T>(),
          .grad_x = pointer<T>(grad_x),
          .partials = pointer<T>(partials),
          .grad_weight = pointer<T>(grad_weight),
          .grad_bias = pointer<T>(grad_bias)});
      });
    }
    set_x(grad_x);
    gradients[first_parameter] = grad_weight;
    gradients[first_parameter + 1] = grad_bias;
    return gradients;
  }
};

template <bool kCentre>
ResidualNorm row_norm(const char* op, const Tensor& x, const Tensor& residual, const Shape& normalized,
                      const Tensor& weight, const Tensor& bias, double eps) {
  check_input(op, x, eps);
  const int64_t axes = normalized.size();
  bool fits = axes >= 1 && x.dim() >= axes;
  for (int64_t i = 0; fits && i < axes; ++i) fits = x.shape()[x.dim() - axes + i] == normalized[i];
  TERN_CHECK(fits, ShapeError, "[", op, "] expected x with the last sizes ", normalized, ", got ", x.shape());
  check_parameter(op, "weight", weight, x, normalized);
  check_parameter(op, "bias", bias, x, normalized);
  const bool has_residual = residual.defined();
  check_parameter(op, "residual", residual, x, x.shape());

  int64_t rows = 1;
  for (int64_t i = 0; i < x.dim() - axes; ++i) rows *= x.shape()[i];
  const Tensor source = elements(x), added = elements(residual), w = elements(weight), b = elements(bias);
  Tensor y = empty(x.shape(), x.dtype()), rstd = empty({rows}, x.dtype()), mean, sum;
  if (kCentre) mean = empty({rows}, x.dtype());
  if (has_residual) sum = empty(x.shape(), x.dtype());
  if (x.numel() > 0)
    dispatch_float(op, x.dtype(), [&]<class T>() {
      TERN_KERNEL(row_norm<T>)
      ({.rows = rows,
        .n = x.numel() / rows,
        .eps = static_cast<T>(eps),
        .x = source.data<T>(),
        .residual = pointer<T>(added),
        .weight = pointer<T>(w),
        .bias = pointer<T>(b),
        .sum = pointer<T>(sum),
        .y = y.data<T>(),
        .mean = pointer<T>(mean),
        .rstd = rstd.data<T>()});
    });
  RowNormBackward<kCentre> saved{.x = has_residual ? sum : x,
                                 .weight = weight,
                                 .mean = mean,
                                 .rstd = rstd,
                                 .has_residual = has_residual,
                                 .parameter_shape = normalized};
  if (!has_residual) {
    const Tensor inputs[] = {x, weight, bias};
    return {Tensor(), autograd::record_all<RowNormBackward<kCentre>>({y}, inputs, std::move(saved))[0]};
  }
  const Tensor inputs[] = {x, residual, weight, bias};
  const auto outputs = autograd::record_all<RowNormBackward<kCentre>>({sum, y}, inputs, std::move(saved));
  return {outputs[0], outputs[1]};
}

Shape last_size(const char* op, const Tensor& x) {
  check_defined(op, x);
  TERN_CHECK(x.dim() >= 1, ShapeError, "[", op, "] expected x with at least one axis, got ", x.shape());
  return {x.size(-1)};
}

struct GroupNormBackward {
  static constexpr const char* kName = "group_norm";
  SavedTensor x, weight;
  Tensor mean, rstd;  // [samples, groups]
  MemoryFormat format = MemoryFormat::kContiguous;

  Gradients backward(const Tensor& grad_output, NeedsGrad needs) const {
    const int64_t samples = x->shape()[0], channels = x->shape()[1], groups = mean.shape()[1];
    const Tensor source = elements(*x, format), g = elements(grad_output, format), w = elements(*weight);
    Tensor grad_x, grad_weight, grad_bias;
    if (needs[0]) grad_x = empty(x->shape(), x->dtype(), format);
    if (needs[1]) grad_weight = empty({channels}, x->dtype());
    if (needs[2]) grad_bias = empty({channels}, x->dtype());
    if (x->numel() == 0) {
      if (needs[1]) grad_weight.zero_();
      if (needs[2]) grad_bias.zero_();
      return {grad_x, grad_weight, grad_bias};
    }
    const int64_t pixels = x->numel() / (samples * channels);
    const bool channels_last = format == MemoryFormat::kChannelsLast;
    Tensor sums = empty({2, samples, channels}, x->dtype());
    dispatch_float("group_norm", x->dtype(), [&]<class T>() {
      TERN_KERNEL(group_norm_backward<T>)
      ({.samples = samples,
        .channels = channels,
        .pixels = pixels,
        .groups = groups,
        .channel_step = channels_last ? 1 : pixels,
        .pixel_step = channels_last ? channels : 1,
        .grad_y = g.data<T>(),
        .x = source.data<T>(),
        .weight = pointer<T>(w),
        .mean = mean.data<T>(),
        .rstd = rstd.data<T>(),
        .sums = sums.data<T>(),
        .grad_x = pointer<T>(grad_x),
        .grad_weight = pointer<T>(grad_weight),
        .grad_bias = pointer<T>(grad_bias)});
    });
    return {grad_x, grad_weight, grad_bias};
  }
};

}  // namespace

Tensor layer_norm(const Tensor& x, const Shape& normalized_shape, const Tensor& weight, const Tensor& bias,
                  double eps) {
  return row_norm<true>("layer_norm", x, {}, normalized_shape, weight, bias, eps).normalized;
}

Tensor rms_norm(const Tensor& x, const Tensor& weight, double eps) {
  return row_norm<false>("rms_norm", x, {}, last_size("rms_norm", x), weight, {}, eps).normalized;
}

ResidualNorm residual_layer_norm(const Tensor& x, const Tensor& residual, const Tensor& weight, const Tensor& bias,
                                 double eps) {
  const char* op = "residual_layer_norm";
  TERN_CHECK(residual.defined(), StateError, "[", op, "] expected a residual, got an undefined tensor");
  return row_norm<true>(op, x, residual, last_size(op, x), weight, bias, eps);
}

ResidualNorm residual_rms_norm(const Tensor& x, const Tensor& residual, const Tensor& weight, double eps) {
  const char* op = "residual_rms_norm";
  TERN_CHECK(residual.defined(), StateError, "[", op, "] expected a residual, got an undefined tensor");
  return row_norm<false>(op, x, residual, last_size(op, x), weight, {}, eps);
}

Tensor group_norm(const Tensor& x, int64_t groups, const Tensor& weight, const Tensor& bias, double eps) {
  check_input("group_norm", x, eps);
  TERN_CHECK(x.dim() >= 2, ShapeError, "[group_norm] expected x [samples, channels, ...], got ", x.shape());
  const int64_t samples = x.shape()[0], channels = x.shape()[1];
  TERN_CHECK(groups >= 1 && channels % groups == 0, ValueError,
             "[group_norm] expected a number of groups that divides ", channels, " channels, got ", groups);
  check_parameter("group_norm", "weight", weight, x, {channels});
  check_parameter("group_norm", "bias", bias, x, {channels});
  const MemoryFormat format = x.dim() == 4 ? x.memory_format() : MemoryFormat::kContiguous;
  const bool channels_last = format == MemoryFormat::kChannelsLast;
  const Tensor source = elements(x, format), w = elements(weight), b = elements(bias);
  Tensor y = empty(x.shape(), x.dtype(), format);
  Tensor mean = empty({samples, groups}, x.dtype()), rstd = empty({samples, groups}, x.dtype());
  if (x.numel() > 0) {
    const int64_t pixels = x.numel() / (samples * channels);
    Tensor scratch = empty({samples, channels}, x.dtype());
    dispatch_float("group_norm", x.dtype(), [&]<class T>() {
      TERN_KERNEL(group_norm<T>)
      ({.samples = samples,
        .channels = channels,
        .pixels = pixels,
        .groups = groups,
        .channel_step = channels_last ? 1 : pixels,
        .pixel_step = channels_last ? channels : 1,
        .eps = static_cast<T>(eps),
        .x = source.data<T>(),
        .weight = pointer<T>(w),
        .bias = pointer<T>(b),
        .y = y.data<T>(),
        .mean = mean.data<T>(),
        .rstd = rstd.data<T>(),
        .scratch = scratch.data<T>()});
    });
  }
  return autograd::record<GroupNormBackward>(y, {x, weight, bias},
                                             {.x = x, .weight = weight, .mean = mean, .rstd = rstd, .format = format});
}

}  // namespace tern
