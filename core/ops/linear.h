// Affine maps of the last axis.
#pragma once

#include <tern/core/tensor.h>

namespace tern {

/// x weight^T + bias. x: [..., in]; weight: [out, in]; bias: [out], or left out; the result is [..., out]. All f32 or
/// all f64. Throws ShapeError where the sizes disagree, DTypeError for other or mixed dtypes.
[[nodiscard]] Tensor linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {});

}  // namespace tern
