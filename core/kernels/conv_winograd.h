// Convolution with 3 x 3 taps by Winograd's minimal filtering: F(2 x 2, 3 x 3) and F(4 x 4, 3 x 3), single precision.
#pragma once

#include <tern/core/kernels/conv_direct.h>
#include <tern/core/kernels/conv_weight_grad.h>

namespace tern {

/// A convolution by tiles of `tile` x `tile` outputs (2 or 4); see winograd_plan in winograd_plan.h.
struct WinogradPlan {
  static constexpr int64_t kGap = 16;           ///< elements between frequencies, lest cache lines compete
  int64_t tile = 0;                             ///< 0: not to be done so
  int64_t tiles_h = 0, tiles_w = 0, tiles = 0;  ///< tiles of an image; of the batch
  int64_t block = 0;                            ///< tiles that are transformed and multiplied together
  int64_t blocks = 1;                           ///< blocks of a task, one behind the other
  int64_t parts = 0;                            ///< of the weight gradient's sum, see WeightGradPlan
  int64_t share = 0;                            ///< input channels of a task of the weight gradient
  int64_t elements = 0;                         ///< of the transformed weights, or of a part of the gradient's sums
};

}  // namespace tern

TERN_DECLARE_KERNELS(
    /// packed: [frequency][panel of output channels][channel][lane]
    void winograd_pack(const DirectConv& conv, const WinogradPlan& plan, const float* weights,
                       const WeightStrides& strides, float* packed);
    /// As conv_direct, with weights of winograd_pack. Channels are multiples of 16.
    void conv_winograd(const DirectConv& conv, const WinogradPlan& plan, const float* x, const float* packed,
                       const ConvFinish<float>& finish, float* y);
    /// As conv_weight_grad; partials: [parts, elements] of the plan.
    void winograd_weight_grad(const DirectConv& conv, const WinogradPlan& plan, const float* x, const float* grad,
                              float* partials, float* grad_weights, const WeightStrides& strides);)
