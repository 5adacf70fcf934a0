// Pooling of images, and the parameter-free shortcut of the CIFAR ResNets.
#pragma once

#include <tern/core/size2.h>
#include <tern/core/tensor.h>

namespace tern {

struct MaxPool2dOptions {
  Size2 kernel_size = 2;
  Size2 stride = 0;  ///< 0: the kernel size
  Size2 padding = 0;
  Size2 dilation = 1;
  bool ceil_mode = false;  ///< also windows that only partly lie inside, as long as they start inside
};

/// The largest value of each window; padding never wins. Of equal values the first in row-major order gets the
/// gradient; NaN wins over every number. x: [N, C, H, W], f32 or f64; the result has its dtype and memory format.
/// Throws ShapeError for other shapes and empty outputs, ValueError for sizes out of range (a padding may be at most
/// half the kernel).
[[nodiscard]] Tensor max_pool2d(const Tensor& x, const MaxPool2dOptions& options);

struct AvgPool2dOptions {
  Size2 kernel_size = 2;
  Size2 stride = 0;  ///< 0: the kernel size
  Size2 padding = 0;
  bool ceil_mode = false;
  bool count_include_pad = true;  ///< divide by the window's size with padding, rather than by what lies inside x
};

/// The mean of each window. x: [N, C, H, W], f32 or f64; the result has its dtype and memory format. Errors as for
/// max_pool2d.
[[nodiscard]] Tensor avg_pool2d(const Tensor& x, const AvgPool2dOptions& options);

/// Means of an output_size grid of windows that cover x: window i of an axis of size S cut in k spans
/// [floor(i S / k), ceil((i + 1) S / k)). x: [N, C, H, W], f32 or f64.
[[nodiscard]] Tensor adaptive_avg_pool2d(const Tensor& x, Size2 output_size);

/// The mean of each channel of each image. x: [N, C, H, W], f32 or f64; result: [N, C].
[[nodiscard]] Tensor global_avg_pool(const Tensor& x);

/// The parameter-free shortcut ("option A") of the CIFAR ResNets: every stride-th pixel, and zero channels, half before
/// and half (rounded up) after x's. x: [N, C, H, W], f32 or f64; result: [N, out_channels, ceil(H / stride), ceil(W /
/// stride)], in x's memory format. Throws ShapeError for other shapes, ValueError for out_channels below C or a stride
/// below 1.
[[nodiscard]] Tensor shortcut_a(const Tensor& x, int64_t out_channels, int64_t stride);

}  // namespace tern
