// Transposed convolution of images.
#pragma once

#include <tern/core/size2.h>
#include <tern/core/tensor.h>

namespace tern {

/// Settings of conv_transpose2d; a Size2 has one number for each image axis.
struct ConvTranspose2dOptions {
  Size2 stride = 1;          ///< pixels of the result from one pixel of x to the next
  Size2 padding = 0;         ///< pixels cut from each side of the result
  Size2 output_padding = 0;  ///< further pixels at its end, below the larger of stride and dilation
  Size2 dilation = 1;        ///< distance between the taps of the kernel
  int64_t groups = 1;        ///< output channels of group g see the input channels of group g only
};

/// The transpose of conv2d's map, that is the gradient of its input, as PyTorch's function:
///   y[n, g O/groups + o, i stride.h + u dilation.h - padding.h, ...] += weight[c, o, u, v] * x[n, c, i, j] for all
///   c of group g, i, j, u, v; and y += bias[o].
/// x: [N, C, H, W], row-major or channels-last; weight: [C, O / groups, kh, kw]; bias: [O] or undefined; all f32 or all
/// f64. Result: [N, O, H', W'], H' = (H - 1) stride.h - 2 padding.h + dilation.h (kh - 1) + output_padding.h + 1,
/// always channels-last in memory. Differentiable in x, weight and bias. Throws ShapeError for shapes that do not fit
/// together or an empty output, DTypeError for other or mixed dtypes, ValueError for options out of range or groups
/// that do not divide C.
[[nodiscard]] Tensor conv_transpose2d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                                      const ConvTranspose2dOptions& options = {});

}  // namespace tern
