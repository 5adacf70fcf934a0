// Convolution with few channels per group, depthwise convolution among them: a vector of output channels spans several
// groups.
#pragma once

#include <tern/core/kernels/conv_weight_grad.h>

namespace tern {

/// Whether the kernels below take a convolution: (channels, out_channels) of a group is (1, 1), (1, 2), (2, 1), (2, 2),
/// (4, 4) or (8, 8).
[[nodiscard]] inline bool is_grouped_conv(const DirectConv& c) {
  if (c.groups == 1) return false;
  if (c.channels == c.out_channels) return c.channels == 1 || c.channels == 2 || c.channels == 4 || c.channels == 8;
  return c.channels + c.out_channels == 3;
}

}  // namespace tern

TERN_DECLARE_KERNELS(
    /// packed: [tap_h][tap_w][channel of a group][groups * out_channels]
    template <class T>
    void conv_grouped_pack(const DirectConv& conv, const T* weights, const WeightStrides& strides, T* packed);
    /// y as conv_direct gives it, for a convolution that is_grouped_conv. packed: as above
    template <class T>
    void conv_grouped(const DirectConv& conv, const T* x, const T* packed, const ConvFinish<T>& finish, T* y);
    /// partials: [plan.count, plan.elements], where elements is the packed size; grad_weights: laid out as packed
    template <class T> void conv_grouped_weight_grad(const DirectConv& conv, const WeightGradPlan& plan, const T* x,
                                                     const T* grad, T* partials, T* grad_weights);)
