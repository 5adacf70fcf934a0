// Normalisation layers' functions: layer norm, RMS norm, group norm, and the first two fused with a residual addition.
// Every input is f32 or f64, all of one dtype (DTypeError otherwise); sizes that disagree throw ShapeError, an eps that
// is negative or not finite ValueError.
#pragma once

#include <tern/core/tensor.h>

namespace tern {

/// (x - mean) / sqrt(variance + eps) * weight + bias, with mean and (biased) variance over the last axes of x, whose
/// sizes are normalized_shape, at least one (Ba et al., 2016). weight, bias: of that shape, or left out. The result has
/// x's shape and is row-major.
[[nodiscard]] Tensor layer_norm(const Tensor& x, const Shape& normalized_shape, const Tensor& weight = {},
                                const Tensor& bias = {}, double eps = 1e-5);

/// x / sqrt(mean(x^2) + eps) * weight, the mean over the last axis (Zhang and Sennrich, 2019). weight: [x's last size],
/// or left out. The result has x's shape and is row-major.
[[nodiscard]] Tensor rms_norm(const Tensor& x, const Tensor& weight = {}, double eps = 1e-6);

/// (x - mean) / sqrt(variance + eps) * weight + bias for x [samples, channels, ...], with mean and (biased) variance
/// over each sample's `groups` equal groups of neighbouring channels and all further axes (Wu and He, 2018). weight,
/// bias: [channels], or left out. x may be channels-last; the result has its memory format. A group of one element
/// becomes the bias (PyTorch refuses one). Throws ValueError for groups that do not divide the channels.
[[nodiscard]] Tensor group_norm(const Tensor& x, int64_t groups, const Tensor& weight = {}, const Tensor& bias = {},
                                double eps = 1e-5);

/// What a fused residual addition and normalisation gives.
struct ResidualNorm {
  Tensor sum;         ///< x + residual, which the next residual addition takes up
  Tensor normalized;  ///< the norm of the sum
};

/// layer_norm over the last axis of x + residual, and the sum itself, in one pass. residual: of x's shape, defined
/// (StateError); weight, bias: [x's last size], or left out. Same as {x + residual, layer_norm(x + residual, ...)}.
[[nodiscard]] ResidualNorm residual_layer_norm(const Tensor& x, const Tensor& residual, const Tensor& weight = {},
                                               const Tensor& bias = {}, double eps = 1e-5);

/// The same with rms_norm.
[[nodiscard]] ResidualNorm residual_rms_norm(const Tensor& x, const Tensor& residual, const Tensor& weight = {},
                                             double eps = 1e-6);

}  // namespace tern
