// Depthwise convolution over channels-last images.
//
// All channels of a piece are copied with their border, as for the direct convolution of one group (conv_image.h). A
// tile of the forward pass is PX neighbouring positions of a row by one vector of channels: each tap loads a vector of
// weights and PX vectors of input. A tile of the weight gradient is up to eight taps of one vector of channels, summed
// over all positions of a piece. The last channels, where they fill no vector, go through loads and stores of single
// elements. Loads bound both, not arithmetic.
#include <tern/core/kernels/conv_depthwise.h>
#include <tern/core/kernels/conv_image.h>
#include <tern/core/scratch.h>

namespace tern::kernels::TERN_ISA {
namespace {

constexpr int kPositions = 6;
constexpr int kTaps = 8;

// The same convolution seen as one group, for cutting and copying.
DirectConv all_channels(const DirectConv& c) {
  DirectConv all = c;
  all.groups = 1;
  all.channels = c.in_pixel;
  all.out_channels = 1;
  return all;
}

template <class T, bool whole>
[[gnu::always_inline]] inline Vec<T> load_lanes(const T* p, int64_t lanes) {
  if constexpr (whole) return Simd<T>::load(p);
  return Simd<T>::load_first(p, lanes, T(0));
}

template <class T, bool whole>
[[gnu::always_inline]] inline void store_lanes(T* p, Vec<T> v, int64_t lanes) {
  if constexpr (whole)
    Simd<T>::store(p, v);
  else
    Simd<T>::store_first(p, v, lanes);
}

// PX positions of a row, `lanes` channels.
template <class T, int PX, bool whole>
[[gnu::always_inline]] inline void positions(const DirectConv& c, const Piece<T>& piece, const T* x, const T* weights,
                                             const T* bias, T* y, int64_t lanes) {
  Vec<T> sum[PX];
  const Vec<T> start = bias == nullptr ? Vec<T>{} : load_lanes<T, whole>(bias, lanes);
  for (int p = 0; p < PX; ++p) sum[p] = start;
  for (int64_t u = 0; u < c.taps_h; ++u) {
    const T* tap = x + u * c.dilation_h * piece.x_row;
    for (int64_t v = 0; v < c.taps_w; ++v, tap += c.dilation_w * piece.x_pixel, weights += c.groups) {
      const Vec<T> weight = load_lanes<T, whole>(weights, lanes);
#pragma GCC unroll 8
      for (int p = 0; p < PX; ++p) sum[p] += weight * load_lanes<T, whole>(tap + p * c.step_w * piece.x_pixel, lanes);
    }
  }
  for (int p = 0; p < PX; ++p) store_lanes<T, whole>(y + p * c.out_pixel, sum[p], lanes);
}

template <class T, bool whole>
void row(const DirectConv& c, const Piece<T>& piece, const T* x, const T* weights, const T* bias, T* y, int64_t lanes) {
  int64_t j = 0;
  for (; j + kPositions <= c.out_w; j += kPositions)
    positions<T, kPositions, whole>(c, piece, x + j * c.step_w * piece.x_pixel, weights, bias, y + j * c.out_pixel,
                                    lanes);
  for (; j < c.out_w; ++j)
    positions<T, 1, whole>(c, piece, x + j * c.step_w * piece.x_pixel, weights, bias, y + j * c.out_pixel, lanes);
}

// sums[tap - first][lane] += x at the tap times the gradient, over a piece; `count` taps from `first` on.
template <class T, int count, bool whole>
void taps(const DirectConv& c, const Piece<T>& piece, const T* x, const T* grad, int64_t first, T* sums,
          int64_t lanes) {
  Vec<T> sum[count];
  int64_t offset[count];
#pragma GCC unroll 8
  for (int t = 0; t < count; ++t) {
    sum[t] = load_lanes<T, whole>(sums + t * c.groups, lanes);
    offset[t] =
        (first + t) / c.taps_w * c.dilation_h * piece.x_row + (first + t) % c.taps_w * c.dilation_w * piece.x_pixel;
  }
  for (int64_t n = 0; n < piece.images; ++n) {
    for (int64_t r = 0; r < piece.rows; ++r) {
      const T* x_at = x + n * piece.x_image + r * c.step_h * piece.x_row;
      const T* g_at = grad + n * c.out_image + r * c.out_row;
      for (int64_t j = 0; j < c.out_w; ++j, x_at += c.step_w * piece.x_pixel, g_at += c.out_pixel) {
        const Vec<T> g = load_lanes<T, whole>(g_at, lanes);
#pragma GCC unroll 8
        for (int t = 0; t < count; ++t) sum[t] += g * load_lanes<T, whole>(x_at + offset[t], lanes);
      }
    }
  }
#pragma GCC unroll 8
  for (int t = 0; t < count; ++t) store_lanes<T, whole>(sums + t * c.groups, sum[t], lanes);
}

template <class T, bool whole>
void all_taps(const DirectConv& c, const Piece<T>& piece, const T* x, const T* grad, T* sums, int64_t lanes) {
  const int64_t count = c.taps_h * c.taps_w;
  int64_t t = 0;
  for (; t + kTaps <= count; t += kTaps) taps<T, kTaps, whole>(c, piece, x, grad, t, sums + t * c.groups, lanes);
  for (; t + 4 <= count; t += 4) taps<T, 4, whole>(c, piece, x, grad, t, sums + t * c.groups, lanes);
  for (; t < count; ++t) taps<T, 1, whole>(c, piece, x, grad, t, sums + t * c.groups, lanes);
}

}  // namespace

template <class T>
void conv_depthwise_pack(const DirectConv& c, const T* weights, const WeightStrides& s, T* packed) {
  for (int64_t u = 0; u < c.taps_h; ++u)
    for (int64_t v = 0; v < c.taps_w; ++v)
      for (int64_t group = 0; group < c.groups; ++group)
        *packed++ = weights[s.first + group * s.group + u * s.tap_h + v * s.tap_w];
}

template <class T>
void conv_depthwise(const DirectConv& c, const T* x, const T* weights, const ConvFinish<T>& finish, T* y) {
  if (c.batch == 0) return;
  const DirectConv all = all_channels(c);
  const Pieces<T> pieces(all);
  parallel_for(pieces.count, 1, [&](int64_t i, int64_t) {
    T* scratch =
        pieces.in_place ? nullptr : static_cast<T*>(thread_scratch(pieces.scratch * static_cast<int64_t>(sizeof(T))));
    const Piece<T> piece = open_piece(all, pieces, i, 0, x, scratch);
    T* out = y + piece.first_image * c.out_image + piece.first_row * c.out_row;
    for (int64_t n = 0; n < piece.images; ++n) {
      for (int64_t r = 0; r < piece.rows; ++r) {
        const T* x_row = piece.x + n * piece.x_image + r * c.step_h * piece.x_row;
        T* y_row = out + n * c.out_image + r * c.out_row;
        for (int64_t k = 0; k < c.groups; k += kLanes<T>) {
          const int64_t lanes = c.groups - k;
          const T* b = finish.bias == nullptr ? nullptr : finish.bias + k;
          if (lanes >= kLanes<T>)
            row<T, true>(c, piece, x_row + k, weights + k, b, y_row + k, lanes);
          else
            row<T, false>(c, piece, x_row + k, weights + k, b, y_row + k, lanes);
        }
      }
    }
    finish_piece(c, piece, finish, 0, c.groups, y);
  });
}

template <class T>
void conv_depthwise_weight_grad(const DirectConv& c, const WeightGradPlan& plan, const T* x, const T* grad, T* partials,
                                T* grad_weights) {
  const DirectConv all = all_channels(c);
  const Pieces<T> pieces(all);
  const int64_t elements = c.taps_h * c.taps_w * c.groups;
  parallel_for(plan.count, 1, [&](int64_t part, int64_t) {
    T* scratch =
        pieces.in_place ? nullptr : static_cast<T*>(thread_scratch(pieces.scratch * static_cast<int64_t>(sizeof(T))));
    T* sums = partials + part * plan.elements;
    __builtin_memset(sums, 0, static_cast<size_t>(elements) * sizeof(T));
    const int64_t end = (part + 1) * pieces.count / plan.count;
    for (int64_t i = part * pieces.count / plan.count; c.batch > 0 && i < end; ++i) {
      const Piece<T> piece = open_piece(all, pieces, i, 0, x, scratch);
      const T* g = grad + piece.first_image * c.out_image + piece.first_row * c.out_row;
      for (int64_t k = 0; k < c.groups; k += kLanes<T>) {
        if (c.groups - k >= kLanes<T>)
          all_taps<T, true>(c, piece, piece.x + k, g + k, sums + k, kLanes<T>);
        else
          all_taps<T, false>(c, piece, piece.x + k, g + k, sums + k, c.groups - k);
      }
    }
  });
  parallel_for(elements, kElementwiseGrain, [&](int64_t begin, int64_t end) {
    for (int64_t e = begin; e < end; ++e) grad_weights[e] = partials[e];
    for (int64_t part = 1; part < plan.count; ++part)
      for (int64_t e = begin; e < end; ++e) grad_weights[e] += partials[part * plan.elements + e];
  });
}

#define INSTANTIATE(T)                                                                           \
  template void conv_depthwise_pack(const DirectConv&, const T*, const WeightStrides&, T*);      \
  template void conv_depthwise(const DirectConv&, const T*, const T*, const ConvFinish<T>&, T*); \
  template void conv_depthwise_weight_grad(const DirectConv&, const WeightGradPlan&, const T*, const T*, T*, T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tern::kernels::TERN_ISA
