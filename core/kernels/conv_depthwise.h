// Depthwise convolution: every channel is a group of its own, with one output channel.
#pragma once

#include <tern/core/kernels/conv_weight_grad.h>

TERN_DECLARE_KERNELS(
    /// packed: [tap_h][tap_w][groups]
    template <class T>
    void conv_depthwise_pack(const DirectConv& conv, const T* weights, const WeightStrides& strides, T* packed);
    /// y as conv_direct would give it, for channels = out_channels = 1. packed: [tap_h][tap_w][groups]; bias: [groups]
    /// or null
    template <class T>
    void conv_depthwise(const DirectConv& conv, const T* x, const T* packed, const ConvFinish<T>& finish, T* y);
    /// partials: [plan.count, plan.elements], where elements is at least taps_h taps_w groups; grad_weights:
    /// [tap_h][tap_w][groups]
    template <class T> void conv_depthwise_weight_grad(const DirectConv& conv, const WeightGradPlan& plan, const T* x,
                                                       const T* grad, T* partials, T* grad_weights);)
