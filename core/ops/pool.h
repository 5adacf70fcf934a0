// Pooling of images, and the parameter-free shortcut of the CIFAR ResNets.
#pragma once

#include <concepts>

#include <tern/core/size2.h>
#include <tern/core/tensor.h>

namespace tern {

/// Settings of max_pool2d. Sizes out of range throw ValueError.
struct MaxPool2dOptions {
  Size2 kernel_size = 2;   ///< at least 1
  Size2 stride = 0;        ///< 0: the kernel size
  Size2 padding = 0;       ///< on each side, at most half the kernel
  Size2 dilation = 1;      ///< distance between the elements of a window, at least 1
  bool ceil_mode = false;  ///< also windows that reach beyond x and its padding, as long as they start inside
};

/// The largest value of each window, as PyTorch's function; padding never wins, and a window that dilation lets see
/// nothing else gives -inf. Of equal values the first in row-major order gets the gradient; NaN wins over every number.
/// x: [N, C, H, W], f32 or f64; the result is [N, C, H', W'] with
/// H' = (H + 2 padding.h - dilation.h (kernel_size.h - 1) - 1) / stride.h + 1, the quotient rounded down or with
/// ceil_mode up, and has x's dtype and memory format. Throws ShapeError for other shapes, 2^31 pixels or more an image
/// and empty outputs, DTypeError for other dtypes, ValueError for sizes out of range.
[[nodiscard]] Tensor max_pool2d(const Tensor& x, const MaxPool2dOptions& options);
/// With kernel, stride and padding by position, as max_pool2d(x, 3, 2, 1).
template <std::convertible_to<Size2> K>
[[nodiscard]] Tensor max_pool2d(const Tensor& x, const K& kernel_size, Size2 stride = 0, Size2 padding = 0) {
  return max_pool2d(x, MaxPool2dOptions{.kernel_size = kernel_size, .stride = stride, .padding = padding});
}

/// Settings of avg_pool2d, likewise.
struct AvgPool2dOptions {
  Size2 kernel_size = 2;          ///< at least 1
  Size2 stride = 0;               ///< 0: the kernel size
  Size2 padding = 0;              ///< zeros on each side, at most half the kernel
  bool ceil_mode = false;         ///< as in MaxPool2dOptions
  bool count_include_pad = true;  ///< divide by the window's size with padding, rather than by what lies inside x
};

/// The mean of each window. x: [N, C, H, W], f32 or f64; the result has its dtype and memory format. Sizes and errors
/// as for max_pool2d.
[[nodiscard]] Tensor avg_pool2d(const Tensor& x, const AvgPool2dOptions& options);
/// With kernel, stride and padding by position, as avg_pool2d(x, 4).
template <std::convertible_to<Size2> K>
[[nodiscard]] Tensor avg_pool2d(const Tensor& x, const K& kernel_size, Size2 stride = 0, Size2 padding = 0) {
  return avg_pool2d(x, AvgPool2dOptions{.kernel_size = kernel_size, .stride = stride, .padding = padding});
}

/// Means of an output_size grid of windows that cover x: window i of an axis of size S cut in k spans
/// [floor(i S / k), ceil((i + 1) S / k)), as in PyTorch. x: [N, C, H, W], f32 or f64; result: [N, C, output_size], in
/// x's memory format. Throws ValueError for an output_size below 1; here and below ShapeError and DTypeError as
/// max_pool2d.
[[nodiscard]] Tensor adaptive_avg_pool2d(const Tensor& x, Size2 output_size);

/// The largest values of the same windows; gradients and NaN as max_pool2d. Otherwise as adaptive_avg_pool2d.
[[nodiscard]] Tensor adaptive_max_pool2d(const Tensor& x, Size2 output_size);

/// The mean of each channel of each image. x: [N, C, H, W], f32 or f64; result: [N, C].
[[nodiscard]] Tensor global_avg_pool(const Tensor& x);

/// The parameter-free shortcut of the CIFAR ResNets (He et al., 2015, "option A" of section 4.2): every stride-th
/// pixel, and zero channels, half before and half (rounded up) after x's. x: [N, C, H, W], f32 or f64; result: [N,
/// out_channels, ceil(H / stride), ceil(W / stride)], in x's memory format. Throws ShapeError for other shapes,
/// ValueError for out_channels below C or a stride below 1.
[[nodiscard]] Tensor shortcut_a(const Tensor& x, int64_t out_channels, int64_t stride);

}  // namespace tern
