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
                                             const T* grad, T* partials, T* grad_weights, const WeightStrides& strides);
    /// The input values that a tap sees at output positions [begin, end) (counted over images, rows and columns), of
    /// the group's channels [first, first + count): columns [end - begin, count]. One group only.
    template <class T> void conv_gather(const DirectConv& conv, int64_t tap_h, int64_t tap_w, int64_t first,
                                        int64_t count, int64_t begin, int64_t end, const T* x, T* columns);
    /// sums: [parts][group][tap_h][tap_w][channel][pitch], parts `part` elements apart; their sum is written at the
    /// strides.
    template <class T> void conv_store_weight_grad(const DirectConv& conv, int64_t parts, int64_t part, int64_t pitch,
                                                   T* sums, T* grad_weights, const WeightStrides& strides);)
