// Affine maps of the last axis, alone and with what follows them.
#pragma once

#include <tern/core/tensor.h>

namespace tern {

/// x weight^T + bias. x: [..., in]; weight: [out, in]; bias: [out], or left out; the result is [..., out]. All f32 or
/// all f64. Throws ShapeError where the sizes disagree, DTypeError for other or mixed dtypes.
[[nodiscard]] Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});

/// What linear_act applies to the result of the linear map.
enum class Activation {
  kNone,
  kRelu,
  kGelu,      ///< with erf
  kGeluTanh,  ///< with tanh
  kSilu,
};

/// activation(x weight^T + bias) in one pass over the result, forward and backward. Same as the activation of linear's
/// result; arguments and errors are linear's.
[[nodiscard]] Tensor linear_act(const Tensor& x, const Tensor& weight, const Tensor& bias, Activation activation);

}  // namespace tern
