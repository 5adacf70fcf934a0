// Convolution of images.
#pragma once

#include <tern/core/size2.h>
#include <tern/core/tensor.h>

namespace tern {

/// Settings of both functions below; a Size2 has one number for each image axis.
struct Conv2dOptions {
  Size2 stride = 1;    ///< pixels from one window to the next
  Size2 padding = 0;   ///< zeros on each side
  Size2 dilation = 1;  ///< distance between the taps of the kernel
  int64_t groups = 1;  ///< output channels of group g see the input channels of group g only
};

/// Cross-correlation, as in PyTorch:
///   y[n, o, i, j] = bias[o] + sum over c, u, v of
///                   weight[o, c, u, v] * x[n, g C/groups + c, i stride.h + u dilation.h - padding.h, ...]
/// with zeros outside of x; g is the group of o.
/// x: [N, C, H, W], row-major or channels-last; weight: [O, C / groups, kh, kw]; bias: [O] or undefined; all f32 or all
/// f64. Result: [N, O, H', W'], H' = (H + 2 padding.h - dilation.h (kh - 1) - 1) / stride.h + 1, always channels-last
/// in memory. Differentiable in x, weight and bias. Throws ShapeError for shapes that do not fit together or an empty
/// output, DTypeError for other or mixed dtypes, ValueError for a stride, dilation or number of groups below 1, a
/// padding below 0, sizes of 2^31 and more, or groups that do not divide O.
[[nodiscard]] Tensor conv2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                            const Conv2dOptions& options = {});

/// relu(conv2d(x, weight, bias) + residual), with no further pass over memory; with relu = false the sum alone.
/// residual: of the result's shape and of x's dtype (ShapeError, DTypeError), or undefined. Differentiable in all four.
/// Otherwise as conv2d, and equal to the composition of conv2d, add and relu up to rounding.
[[nodiscard]] Tensor conv2d_act(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& residual = {},
                                const Conv2dOptions& options = {}, bool relu = true);

}  // namespace tern
