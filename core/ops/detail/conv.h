// The three directions of a convolution, which the transposed one takes in other roles. All run outside the graph, on
// arguments that have been checked: images channels-last, weight [out, in / groups, kh, kw] at any strides.
#pragma once

#include <tern/core/ops/conv.h>

namespace tern::detail {

/// Sizes, strides, paddings and dilations are below this, so that products of two of them do not overflow.
constexpr int64_t kMaxPixels = int64_t{1} << 31;

/// conv2d of x with the given output size, which may be below what x has room for.
Tensor conv_forward(const Tensor& x, const Tensor& weight, Size2 out, const Conv2dOptions& options);

/// The gradient of an input of shape x_shape from that of the output; plus bias [C] of the input's channels, if
/// defined.
Tensor conv_input_gradient(const Tensor& grad, const Tensor& weight, const Shape& x_shape, const Conv2dOptions& options,
                           const Tensor& bias = {});

/// The gradient of a weight of that shape.
Tensor conv_weight_gradient(const Tensor& grad, const Tensor& x, const Shape& weight_shape,
                            const Conv2dOptions& options);

/// The gradient of a bias: sums over all but the channels of channels-last images.
Tensor conv_bias_gradient(const Tensor& grad);

}  // namespace tern::detail
