// Pooling of sequences, by way of the kernels for images.
#pragma once

#include <cstdint>

#include <tern/core/tensor.h>

namespace tern {

/// Settings of max_pool1d, as MaxPool2dOptions for one axis.
struct MaxPool1dOptions {
  int64_t kernel_size = 2;
  int64_t stride = 0;  ///< 0: the kernel size
  int64_t padding = 0;
  int64_t dilation = 1;
  bool ceil_mode = false;
};

/// Settings of avg_pool1d, as AvgPool2dOptions for one axis.
struct AvgPool1dOptions {
  int64_t kernel_size = 2;
  int64_t stride = 0;  ///< 0: the kernel size
  int64_t padding = 0;
  bool ceil_mode = false;
  bool count_include_pad = true;
};

// The functions of pool.h with x [N, C, L] as images of height 1, without a copy: values, sizes, gradients and errors
// are theirs. x: f32 or f64; the result is [N, C, L']. Throw ShapeError unless x has three axes.

/// The largest value of each window.
[[nodiscard]] Tensor max_pool1d(const Tensor& x, const MaxPool1dOptions& options);
/// The mean of each window.
[[nodiscard]] Tensor avg_pool1d(const Tensor& x, const AvgPool1dOptions& options);
/// Means of output_size windows that cover x. Throws ValueError for an output_size below 1.
[[nodiscard]] Tensor adaptive_avg_pool1d(const Tensor& x, int64_t output_size);
/// Largest values of the same windows.
[[nodiscard]] Tensor adaptive_max_pool1d(const Tensor& x, int64_t output_size);

}  // namespace tern
