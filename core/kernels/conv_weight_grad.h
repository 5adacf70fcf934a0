// Gradients of a convolution's weights and bias.
#pragma once

#include <tern/core/kernels/conv_direct.h>

namespace tern {

/// How the batch is cut for the weight gradient: pieces of the images are summed into `count` partial gradients of
/// `elements` each, which are then added in order. Depends on the shape alone.
struct WeightGradPlan {
  int64_t count = 0, elements = 0;
};

}  // namespace tern

TERN_DECLARE_KERNELS(
    /// partials: [count, elements] of the plan, overwritten; x as for conv_direct; grad: the output's gradient, at the
    /// output positions of conv. grad_weights is written at the strides.
    template <class T> void conv_weight_grad(const DirectConv& conv, const WeightGradPlan& plan, const T* x,
                                             const T* grad, T* partials, T* grad_weights,
                                             const WeightStrides& strides);)
