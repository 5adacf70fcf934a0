// Batch normalisation, alone and fused with what follows it in a residual network.
#pragma once

#include <tern/core/tensor.h>

namespace tern {

/// Settings of batch_norm, with PyTorch's defaults.
struct BatchNormOptions {
  bool training = false;  ///< normalise by the batch's own statistics and update the running ones
  double momentum = 0.1;  ///< share of the batch in the running statistics, in [0, 1]
  double eps = 1e-5;      ///< added to the variance; above 0
};

/// Per channel c: y = (x - mean) / sqrt(var + eps) * weight[c] + bias[c] (Ioffe and Szegedy, 2015).
/// Training: mean and biased variance over all axes but the channels', and, where running buffers are given,
///   running_mean = (1 - momentum) running_mean + momentum mean, running_var likewise with the unbiased variance.
/// Otherwise mean and variance are the running ones.
/// x: [N, C], [N, C, L] or [N, C, H, W], f32 or f64; the result has its shape, dtype and memory format. running_mean,
/// running_var, weight, bias: [C], of x's dtype; weight and bias may be undefined (1 and 0), the running buffers too in
/// training. The buffers are updated in place, outside the graph. Differentiable in x, weight and bias.
/// Throws ShapeError for other shapes or no channels, DTypeError for other or mixed dtypes, ValueError for one value a
/// channel in training, eps not above 0 or a momentum outside [0, 1], StateError without running statistics where they
/// are needed or with only one of the two.
[[nodiscard]] Tensor batch_norm(const Tensor& x, const Tensor& running_mean, const Tensor& running_var,
                                const Tensor& weight = {}, const Tensor& bias = {},
                                const BatchNormOptions& options = {});

/// BatchNormOptions and whether the ReLU is applied.
struct BnActOptions {
  bool training = false;
  double momentum = 0.1;
  double eps = 1e-5;
  bool relu = true;
};

/// relu(batch_norm(x) + residual), in as few passes over memory as the statistics allow; the backward gives the
/// gradients of x, weight, bias and residual together. residual: x's shape and dtype (ShapeError, DTypeError), or
/// undefined; relu = false leaves the ReLU out. Otherwise as batch_norm, and equal to the composition of batch_norm,
/// add and relu up to rounding.
[[nodiscard]] Tensor bn_act(const Tensor& x, const Tensor& running_mean, const Tensor& running_var,
                            const Tensor& weight = {}, const Tensor& bias = {}, const Tensor& residual = {},
                            const BnActOptions& options = {});

}  // namespace tern
