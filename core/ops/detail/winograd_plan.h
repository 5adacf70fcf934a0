// The choice between direct and Winograd kernels, by shape.
#pragma once

#include <tern/core/kernels/conv_winograd.h>

namespace tern {

/// How to do a single-precision convolution, or (weight_grad) the gradient of its weights, by Winograd's method; tile
/// is 0 where the direct kernels shall be used. It can be done for 3 x 3 taps, strides, dilation and groups of 1, and
/// channels in and out that are multiples of 16. With ConvMethod::kAuto it is done where the reckoned time is less:
/// products, plus the transforms of each tile in the measure of the products that take as long, plus the transform of
/// the weights unless they are ready. A batch counts as 64 images at most, so the choice is the same for all larger
/// batches.
[[nodiscard]] WinogradPlan winograd_plan(const DirectConv& conv, bool weight_grad, bool weights_ready = false);

}  // namespace tern
