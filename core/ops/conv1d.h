// Convolution of sequences, by way of conv2d's kernels.
#pragma once

#include <cstdint>

#include <tern/core/tensor.h>

namespace tern {

/// Settings of conv1d, as Conv2dOptions for one axis.
struct Conv1dOptions {
  int64_t stride = 1;
  int64_t padding = 0;
  int64_t dilation = 1;
  int64_t groups = 1;
};

/// Cross-correlation, as in PyTorch: y[n, o, i] = bias[o] + sum over c, u of
/// weight[o, c, u] * x[n, g C/groups + c, i stride + u dilation - padding], with zeros outside of x; g is the group
/// of o. x: [N, C, L]; weight: [O, C / groups, k]; bias: [O] or undefined; all f32 or all f64. Result: [N, O, L'] with
/// L' = (L + 2 padding - dilation (k - 1) - 1) / stride + 1, channels innermost in memory (the order that the next
/// convolution takes without a copy). Differentiable in x, weight and bias. Throws ShapeError for x and weight that
/// have not three axes, else as conv2d does for images of height 1.
[[nodiscard]] Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                            const Conv1dOptions& options = {});

}  // namespace tern
