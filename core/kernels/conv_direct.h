// Direct convolution over channels-last images: forward, and (with other geometry) the gradient of the input.
#pragma once

#include <tern/core/kernels/kernel.h>

namespace tern {

/// A convolution as the direct kernels see it: output position (i, j) reads, for each tap (u, v), the `channels` values
/// of its group at input row i step_h + u dilation_h + first_h and column j step_w + v dilation_w + first_w, zero
/// outside of the image. Strides are in elements.
struct DirectConv {
  int64_t batch = 0, groups = 1;
  int64_t in_h = 0, in_w = 0, in_pixel = 0;  ///< images are dense; in_pixel is the channels of all groups
  int64_t channels = 0;                      ///< input channels of a group
  int64_t out_h = 0, out_w = 0;              ///< output positions, out_image, out_row and out_pixel apart
  int64_t out_image = 0, out_row = 0, out_pixel = 0;
  int64_t out_channels = 0;  ///< of a group
  int64_t taps_h = 0, taps_w = 0;
  int64_t step_h = 1, step_w = 1, dilation_h = 1, dilation_w = 1, first_h = 0, first_w = 0;

  /// Products per output value.
  [[gnu::always_inline]] int64_t depth() const { return taps_h * taps_w * channels; }
  /// Elements of a group's packed weights, enough for every instruction set.
  [[gnu::always_inline]] int64_t packed_group() const { return depth() * ((out_channels + 15) / 16 * 16); }
};

/// Where weight (group g, output channel o, input channel c, tap u, v) lies: first + g group + o out + c in + u tap_h +
/// v tap_w.
struct WeightStrides {
  int64_t first = 0, group = 0, out = 0, in = 0, tap_h = 0, tap_w = 0;
};

/// What becomes of the sums of a convolution: relu(sum + bias + residual), each part optional.
template <class T>
struct ConvFinish {
  const T* bias = nullptr;      ///< [groups * out_channels]
  const T* residual = nullptr;  ///< lies as the output does
  bool relu = false;            ///< negative values become 0
  /// Whether there is more to do than adding the bias.
  [[gnu::always_inline]] bool more() const { return residual != nullptr || relu; }
};

}  // namespace tern

TERN_DECLARE_KERNELS(
    /// packed: as conv_direct wants them, [group][block of output channels][tap_h][tap_w][channel][lane]
    template <class T>
    void conv_pack(const DirectConv& conv, const T* weights, const WeightStrides& strides, T* packed);
    /// x: [batch, in_h, in_w, in_pixel]; y: written at the output positions only
    template <class T>
    void conv_direct(const DirectConv& conv, const T* x, const T* packed, const ConvFinish<T>& finish, T* y);)
