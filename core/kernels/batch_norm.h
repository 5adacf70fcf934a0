// Batch normalisation: statistics of channels, normalising with what follows it, and the backward of both.
#pragma once

#include <tern/core/kernels/kernel.h>

namespace tern {

/// A tensor seen as [outer, channels, inner]: inner is 1 where channels are innermost (channels-last images, [N, C]).
struct ChannelView {
  int64_t outer = 0, channels = 0, inner = 1;
};

/// Blocks of outer positions whose statistics are taken one by one and then combined in order.
struct ChannelBlocks {
  int64_t size = 1;   ///< outer positions of a block
  int64_t count = 0;  ///< blocks
};

/// Where the ReLU's gradient mask comes from.
enum class ReluMask { kNone, kFromOutput, kFromInput };

/// What the backward of batch norm works on; T is the element type. Pointers that a case does not need are null.
template <class T>
struct BatchNormGradArgs {
  const T* grad = nullptr;    ///< of the output
  const T* x = nullptr;       ///< input of the forward
  const T* output = nullptr;  ///< of the forward, for ReluMask::kFromOutput
  const T* mean = nullptr;    ///< [channels], as are the next two
  const T* scale = nullptr;   ///< weight / sqrt(var + eps)
  const T* bias = nullptr;    ///< for ReluMask::kFromInput
  ReluMask mask = ReluMask::kNone;
};

}  // namespace tern

TERN_DECLARE_KERNELS(
    /// partials: [blocks.count, 2, channels]; mean, var (biased): [channels]
    template <class T> void channel_moments(const ChannelView& view, const ChannelBlocks& blocks, const T* x,
                                            double* partials, double* mean, double* var);
    /// partials: [blocks.count, channels]; sums: [channels]
    template <class T>
    void channel_sums(const ChannelView& view, const ChannelBlocks& blocks, const T* x, double* partials, double* sums);
    /// y = (x - mean) scale + bias (+ residual), below 0 set to 0 if relu; residual may be null
    template <class T> void batch_norm_apply(const ChannelView& view, const T* x, const T* mean, const T* scale,
                                             const T* bias, const T* residual, bool relu, T* y);
    /// With g the masked gradient: sum of g and of g (x - mean). partials: [blocks.count, 2, channels]; sums: [2,
    /// channels]; masked: g itself is written there unless null
    template <class T>
    void batch_norm_grad_sums(const ChannelView& view, const ChannelBlocks& blocks, const BatchNormGradArgs<T>& args,
                              double* partials, double* sums, T* masked);
    /// grad_x = g scale + (x - mean) slope + offset; slope, offset: [channels], or both null: grad_x = g scale
    template <class T> void batch_norm_grad_input(const ChannelView& view, const BatchNormGradArgs<T>& args,
                                                  const T* slope, const T* offset, T* grad_x);)
