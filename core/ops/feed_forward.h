// Two affine maps of the last axis with an activation between them.
#pragma once

#include <tern/core/ops/linear.h>
#include <tern/core/tensor.h>

namespace tern {

/// linear(linear_act(x, up_weight, up_bias, activation), down_weight, down_bias), forward and backward by blocks of
/// rows: what lies between the two maps is used while it is in the caches, and without a gradient it is never stored
/// whole. x: [..., in]; up_weight: [hidden, in]; down_weight: [out, hidden]; the biases [hidden] and [out] may be left
/// out (pass {}). The result is [..., out]. All f32 or all f64. Throws ShapeError where the sizes disagree, DTypeError
/// for other or mixed dtypes.
[[nodiscard]] Tensor feed_forward(const Tensor& x, const Tensor& up_weight, const Tensor& up_bias,
                                  Activation activation, const Tensor& down_weight, const Tensor& down_bias);

}  // namespace tern
