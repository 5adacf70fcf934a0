// Convolution with few channels per group over channels-last images.
//
// A vector holds consecutive output channels, kOut of each of several groups. What it is multiplied by holds, for
// input channel i of a group, that channel of each lane's group: the input as it lies in memory for depthwise
// convolutions, else a permutation of it. The weights are packed to match.
//
// Work is cut into bands of output rows of one image. A band first lists where each position of its window lies
// (a pointer per position; positions outside of the image point at zeros), so that the loops have no borders and
// nothing is copied. Then it goes through the output channels one vector at a time, in tiles of up to eight
// neighbouring positions: an input vector is loaded once per row of taps and serves all taps of that row, whose weights
// stay in registers. The weight gradient keeps the sums of 3 x 3 taps, or of a row of taps, in registers over a whole
// band.
//
// Where the last channels do not fill a vector, the last vector overlaps the one before; with fewer channels than a
// vector has lanes, plain loops do the work.
#include <tern/core/kernels/conv_grouped.h>
#include <tern/core/kernels/detail/conv_image.h>
#include <tern/core/kernels/detail/prefetch.h>
#include <tern/core/scratch.h>

namespace tern::kernels::TERN_ISA {
namespace {

constexpr int64_t kBandBytes = 256 << 10;  // of input; stays in the second-level cache from one vector to the next
constexpr int64_t kStreamBytes = 1 << 20;  // of all inputs: more than stays in a cache near a core
constexpr int64_t kStreamWidth = 8;        // positions of a row, so that the weights loaded for it pay

// Bands of output rows, as equal as can be.
struct Bands {
  int64_t rows, per_image, count;
  int64_t window_h, window_w;  // of a whole band

  Bands(const DirectConv& c, int64_t element_bytes) {
    window_w = (c.out_w - 1) * c.step_w + (c.taps_w - 1) * c.dilation_w + 1;
    const int64_t row_bytes = c.step_h * window_w * c.in_pixel * element_bytes;
    int64_t most = kBandBytes / (row_bytes + 1);
    most = most < 1 ? 1 : most > c.out_h ? c.out_h : most;
    per_image = (c.out_h + most - 1) / most;
    rows = (c.out_h + per_image - 1) / per_image;
    per_image = (c.out_h + rows - 1) / rows;
    count = c.batch * per_image;
    window_h = (rows - 1) * c.step_h + (c.taps_h - 1) * c.dilation_h + 1;
  }
};

// One band: window[r * window_w + j] points at the input's channels at row r and column j of the window.
template <class T>
struct Band {
  int64_t image, first_row, rows;
  int64_t window_w;
  const T** window;
  int64_t top;  // input row of the window's first

  static int64_t scratch_bytes(const DirectConv& c, const Bands& b) {
    return b.window_h * b.window_w * static_cast<int64_t>(sizeof(T*)) + c.in_pixel * static_cast<int64_t>(sizeof(T));
  }

  Band(const DirectConv& c, const Bands& b, int64_t index, const T* x) : window_w(b.window_w) {
    image = index / b.per_image;
    first_row = index % b.per_image * b.rows;
    rows = c.out_h - first_row < b.rows ? c.out_h - first_row : b.rows;
    window = static_cast<const T**>(thread_scratch(scratch_bytes(c, b)));
    T* zeros = reinterpret_cast<T*>(window + b.window_h * b.window_w);
    __builtin_memset(zeros, 0, static_cast<size_t>(c.in_pixel) * sizeof(T));
    top = first_row * c.step_h + c.first_h;
    const int64_t height = (rows - 1) * c.step_h + (c.taps_h - 1) * c.dilation_h + 1;
    const T** to = window;
    for (int64_t r = 0; r < height; ++r) {
      const int64_t row = top + r;
      const bool inside = row >= 0 && row < c.in_h;
      const T* from = x + (image * c.in_h + (inside ? row : 0)) * c.in_w * c.in_pixel;
      for (int64_t j = 0; j < window_w; ++j) {
        const int64_t column = j + c.first_w;
        *to++ = inside && column >= 0 && column < c.in_w ? from + column * c.in_pixel : zeros;
      }
    }
  }

  // Rows of taps [first, last) that lie inside of the image, for output row r of the band.
  void taps_inside(const DirectConv& c, int64_t r, int64_t& first, int64_t& last) const {
    first = 0;
    last = c.taps_h;
    const int64_t row = top + r * c.step_h;
    while (first < last && row + first * c.dilation_h < 0) ++first;
    while (last > first && row + (last - 1) * c.dilation_h >= c.in_h) --last;
  }
};

template <int N, int... kLane>
struct LaneList : LaneList<N - 1, N - 1, kLane...> {};
template <int... kLane>
struct LaneList<0, kLane...> {};

template <int kIn, int kOut, int i, class V, class Result, int... kLane>
[[gnu::always_inline]] inline void permute(const V& a, const V& b, Result& result, LaneList<0, kLane...>) {
  result = __builtin_shufflevector(a, b, (kLane / kOut * kIn + i)...);
}

// Lane l: input channel i of the group of output channel l; x: the first lane's group.
template <class T, int kIn, int kOut, int i>
[[gnu::always_inline]] inline Vec<T> spread(const T* x) {
  constexpr int lanes = kLanes<T>;
  if constexpr (kIn == 1 && kOut == 1) {
    return Simd<T>::load(x);
  } else if constexpr (kOut >= lanes) {
    return Simd<T>::broadcast(x[i]);
  } else {
    Vec<T> result;
    if constexpr (kIn < kOut) {
      typedef T Half __attribute__((vector_size(kVectorBytes / 2)));
      typedef T LooseHalf __attribute__((vector_size(kVectorBytes / 2), aligned(sizeof(T)), may_alias));
      const Half half = *reinterpret_cast<const LooseHalf*>(x);
      permute<kIn, kOut, i>(half, half, result, LaneList<lanes>());
    } else {
      const Vec<T> a = Simd<T>::load(x);
      permute<kIn, kOut, i>(a, kIn > kOut ? Simd<T>::load(x + lanes) : a, result, LaneList<lanes>());
    }
    return result;
  }
}

// How a convolution's taps are laid out along a row: kTaps of them, one beside the other, kStep input columns from one
// output to the next. kTaps = 1 stands for any number of taps, steps and dilation, one tap at a time.
template <class T, int kIn_, int kOut_, int kTaps_, int kStep_>
struct Form {
  static constexpr int kIn = kIn_, kOut = kOut_, kTaps = kTaps_, kStep = kStep_;
  using Element = T;
};

// sums += weights of a row of taps times the input, from input channel i of each group on. weights: the row's, of
// channel 0; row: the window at the first tap of the first position.
template <class F, int kTile, int i>
[[gnu::always_inline]] inline void row_of_taps(const DirectConv& c, const typename F::Element* const* row,
                                               int64_t channel, const typename F::Element* weights,
                                               int64_t out_channels, Vec<typename F::Element>* sum) {
  using T = typename F::Element;
  constexpr int kColumns = (kTile - 1) * F::kStep + F::kTaps;
  const int64_t step = F::kTaps == 1 ? c.step_w : 1;
  Vec<T> w[F::kTaps];
#pragma GCC unroll 8
  for (int v = 0; v < F::kTaps; ++v) w[v] = Simd<T>::load(weights + (v * F::kIn + i) * out_channels);
#pragma GCC unroll 24
  for (int p = 0; p < kColumns; ++p) {
    const Vec<T> x = spread<T, F::kIn, F::kOut, i>(row[p * step] + channel);
#pragma GCC unroll 8
    for (int v = 0; v < F::kTaps; ++v) {
      const int q = p - v;
      if (q >= 0 && q % F::kStep == 0 && q / F::kStep < kTile) sum[q / F::kStep] += w[v] * x;
    }
  }
  if constexpr (i + 1 < F::kIn) row_of_taps<F, kTile, i + 1>(c, row, channel, weights, out_channels, sum);
}

// kTile neighbouring output positions, one vector of channels.
template <class F, int kTile>
void tile(const DirectConv& c, const typename F::Element* const* window, int64_t window_w, int64_t channel,
          int64_t first_tap, int64_t last_tap, const typename F::Element* weights, Vec<typename F::Element> start,
          typename F::Element* y) {
  using T = typename F::Element;
  const int64_t out_channels = c.groups * F::kOut;
  Vec<T> sum[kTile];
#pragma GCC unroll 8
  for (int p = 0; p < kTile; ++p) sum[p] = start;
  for (int64_t u = first_tap; u < last_tap; ++u) {
    const T* const* row = window + u * c.dilation_h * window_w;
    const T* row_weights = weights + u * c.taps_w * F::kIn * out_channels;
    if constexpr (F::kTaps == 1) {
      for (int64_t v = 0; v < c.taps_w; ++v)
        row_of_taps<F, kTile, 0>(c, row + v * c.dilation_w, channel, row_weights + v * F::kIn * out_channels,
                                 out_channels, sum);
    } else {
      row_of_taps<F, kTile, 0>(c, row, channel, row_weights, out_channels, sum);
    }
  }
#pragma GCC unroll 8
  for (int p = 0; p < kTile; ++p) Simd<T>::store(y + p * c.out_pixel, sum[p]);
}

// One vector of output channels of row r of a band. weights, bias, y: at its first channel; channel: the input's.
template <class F>
void vector_of_channels(const DirectConv& c, const Band<typename F::Element>& band, int64_t r, int64_t channel,
                        const typename F::Element* weights, const typename F::Element* bias, typename F::Element* y) {
  using T = typename F::Element;
  const Vec<T> start = bias == nullptr ? Vec<T>{} : Simd<T>::load(bias);
  const T* const* window = band.window + r * c.step_h * band.window_w;
  T* to = y + r * c.out_row;
  int64_t first, last;
  band.taps_inside(c, r, first, last);
  int64_t j = 0;
  const auto tiles = [&]<int kTile>() __attribute__((always_inline)) {
    for (; j + kTile <= c.out_w; j += kTile)
      tile<F, kTile>(c, window + j * c.step_w, band.window_w, channel, first, last, weights, start,
                     to + j * c.out_pixel);
  };
  tiles.template operator()<8>();
  tiles.template operator()<4>();
  tiles.template operator()<2>();
  tiles.template operator()<1>();
}

// Part `index` of `parts` of what row r of a band reads that the row before does not, and of what it writes. Vectors of
// channels touch a line of each position, which the processor does not see coming.
template <class T>
void prefetch_row(const DirectConv& c, const Band<T>& band, int64_t r, const T* x, const T* out, int64_t index,
                  int64_t parts) {
  const int64_t reach = (c.taps_h - 1) * c.dilation_h, in_row = c.in_w * c.in_pixel;
  int64_t row = band.top + r * c.step_h + (r > 0 && c.step_h <= reach ? reach + 1 - c.step_h : 0);
  int64_t last = band.top + r * c.step_h + reach;
  row = row < 0 ? 0 : row;
  last = last < c.in_h ? last : c.in_h - 1;
  if (row <= last) prefetch_part(x + (band.image * c.in_h + row) * in_row, (last - row + 1) * in_row, index, parts);
  if (r < band.rows) prefetch_part(out + r * c.out_row, c.out_w * c.out_pixel, index, parts);
}

// Calls body(first output channel, input channel it begins at, lanes to leave alone) for vectors that cover the
// channels.
template <class T, class Body>
void for_vectors(int64_t channels, int64_t out_channels, int64_t groups, const Body& body) {
  const int64_t all = groups * out_channels;
  for (int64_t k = 0; k < all; k += kLanes<T>) {
    const int64_t first = k + kLanes<T> <= all ? k : all - kLanes<T>;
    body(first, first / out_channels * channels, k - first);
  }
}

// Fewer output channels than lanes.
template <class T>
void narrow_band(const DirectConv& c, const Band<T>& band, const T* weights, const T* bias, T* y) {
  const int64_t all = c.groups * c.out_channels;
  for (int64_t r = 0; r < band.rows; ++r) {
    for (int64_t j = 0; j < c.out_w; ++j) {
      const T* const* at = band.window + r * c.step_h * band.window_w + j * c.step_w;
      T* to = y + r * c.out_row + j * c.out_pixel;
      for (int64_t o = 0; o < all; ++o) {
        T sum = bias == nullptr ? T(0) : bias[o];
        const T* w = weights + o;
        for (int64_t u = 0; u < c.taps_h; ++u)
          for (int64_t v = 0; v < c.taps_w; ++v) {
            const T* x = at[u * c.dilation_h * band.window_w + v * c.dilation_w] + o / c.out_channels * c.channels;
            for (int64_t i = 0; i < c.channels; ++i, w += all) sum += *w * x[i];
          }
        to[o] = sum;
      }
    }
  }
}

// All vectors of a band. `streams`: row by row, each asking for the next.
template <class F>
void wide_band(const DirectConv& c, const Band<typename F::Element>& band, bool streams, const typename F::Element* x,
               const typename F::Element* weights, const typename F::Element* bias, typename F::Element* y) {
  using T = typename F::Element;
  const auto one = [&](int64_t r, int64_t first, int64_t channel) {
    vector_of_channels<F>(c, band, r, channel, weights + first, bias == nullptr ? nullptr : bias + first, y + first);
  };
  if (!streams) {
    for_vectors<T>(F::kIn, F::kOut, c.groups, [&](int64_t first, int64_t channel, int64_t) {
      for (int64_t r = 0; r < band.rows; ++r) one(r, first, channel);
    });
    return;
  }
  const int64_t all = c.groups * F::kOut;
  prefetch_row(c, band, 0, x, y, 0, 1);
  for (int64_t r = 0; r < band.rows; ++r)
    for_vectors<T>(F::kIn, F::kOut, c.groups, [&](int64_t first, int64_t channel, int64_t) {
      prefetch_row(c, band, r + 1, x, y, first / kLanes<T>, (all + kLanes<T> - 1) / kLanes<T>);
      one(r, first, channel);
    });
}

// sums[u][v] += x at tap (u, v) times the gradient, channel i of each group, over kTile positions.
template <class F, int kRows, int kTile, int i>
[[gnu::always_inline]] inline void add_taps(const DirectConv& c, const typename F::Element* const* window,
                                            int64_t window_w, int64_t channel, const typename F::Element* grad,
                                            Vec<typename F::Element> (&sum)[kRows][F::kTaps]) {
  using T = typename F::Element;
  constexpr int kColumns = (kTile - 1) * F::kStep + F::kTaps;
  const int64_t step = F::kTaps == 1 ? c.step_w : 1;
  Vec<T> g[kTile];
#pragma GCC unroll 8
  for (int p = 0; p < kTile; ++p) g[p] = Simd<T>::load(grad + p * c.out_pixel);
#pragma GCC unroll 4
  for (int u = 0; u < kRows; ++u) {
    const T* const* row = window + u * c.dilation_h * window_w;
#pragma GCC unroll 24
    for (int p = 0; p < kColumns; ++p) {
      const Vec<T> x = spread<T, F::kIn, F::kOut, i>(row[p * step] + channel);
#pragma GCC unroll 8
      for (int v = 0; v < F::kTaps; ++v) {
        const int q = p - v;
        if (q >= 0 && q % F::kStep == 0 && q / F::kStep < kTile) sum[u][v] += g[q / F::kStep] * x;
      }
    }
  }
}

// The taps [u, u + kRows) x [v, v + kTaps) of channel i, summed over a band and added to `sums` [tap][channel][out
// channel], at its first output channel; the first `done` lanes are left alone.
template <class F, int kRows, int i>
void sum_taps(const DirectConv& c, const Band<typename F::Element>& band, int64_t channel, int64_t u, int64_t v,
              const typename F::Element* grad, typename F::Element* sums, int64_t done) {
  using T = typename F::Element;
  constexpr int kTile = 4;
  Vec<T> sum[kRows][F::kTaps] = {};
  for (int64_t r = 0; r < band.rows; ++r) {
    const T* const* window = band.window + (r * c.step_h + u * c.dilation_h) * band.window_w + v * c.dilation_w;
    const T* g = grad + r * c.out_row;
    int64_t j = 0;
    for (; j + kTile <= c.out_w; j += kTile)
      add_taps<F, kRows, kTile, i>(c, window + j * c.step_w, band.window_w, channel, g + j * c.out_pixel, sum);
    for (; j < c.out_w; ++j)
      add_taps<F, kRows, 1, i>(c, window + j * c.step_w, band.window_w, channel, g + j * c.out_pixel, sum);
  }
  const int64_t out_channels = c.groups * F::kOut;
  for (int a = 0; a < kRows; ++a)
    for (int b = 0; b < F::kTaps; ++b) {
      T* to = sums + (((u + a) * c.taps_w + v + b) * F::kIn + i) * out_channels;
      for (int64_t lane = done; lane < kLanes<T>; ++lane) to[lane] += sum[a][b][lane];
    }
  if constexpr (i + 1 < F::kIn) sum_taps<F, kRows, i + 1>(c, band, channel, u, v, grad, sums, done);
}

template <class T>
void narrow_taps(const DirectConv& c, const Band<T>& band, const T* grad, T* sums) {
  const int64_t all = c.groups * c.out_channels;
  for (int64_t r = 0; r < band.rows; ++r) {
    for (int64_t j = 0; j < c.out_w; ++j) {
      const T* const* at = band.window + r * c.step_h * band.window_w + j * c.step_w;
      const T* g = grad + r * c.out_row + j * c.out_pixel;
      T* to = sums;
      for (int64_t u = 0; u < c.taps_h; ++u)
        for (int64_t v = 0; v < c.taps_w; ++v) {
          const T* x = at[u * c.dilation_h * band.window_w + v * c.dilation_w];
          for (int64_t i = 0; i < c.channels; ++i, to += all)
            for (int64_t o = 0; o < all; ++o) to[o] += g[o] * x[o / c.out_channels * c.channels + i];
        }
    }
  }
}

// Calls body with the Form of a convolution. Taps that lie side by side have forms of their own as far as networks use
// them, in single precision.
template <class T, int kIn, int kOut, class Body>
void with_taps(const DirectConv& c, const Body& body) {
  if constexpr (sizeof(T) == 4) {
    const int64_t step = c.taps_w == 1 || c.dilation_w != 1 ? 0 : c.step_w;
    if (step == 1 && c.taps_w == 3) return body(Form<T, kIn, kOut, 3, 1>());
    if (step == 2 && c.taps_w == 3) return body(Form<T, kIn, kOut, 3, 2>());
    if (step == 1 && c.taps_w == 2) return body(Form<T, kIn, kOut, 2, 1>());
    if constexpr (kIn == 1 && kOut == 1) {
      if (step == 1 && c.taps_w == 4) return body(Form<T, kIn, kOut, 4, 1>());
      if (step == 1 && c.taps_w == 5) return body(Form<T, kIn, kOut, 5, 1>());
      if (step == 2 && c.taps_w == 5) return body(Form<T, kIn, kOut, 5, 2>());
      if (step == 1 && c.taps_w == 7) return body(Form<T, kIn, kOut, 7, 1>());
      if (step == 2 && c.taps_w == 7) return body(Form<T, kIn, kOut, 7, 2>());
    }
  }
  body(Form<T, kIn, kOut, 1, 1>());
}

template <class T, class Body>
void with_form(const DirectConv& c, const Body& body) {
  if (c.channels == 1 && c.out_channels == 1) return with_taps<T, 1, 1>(c, body);
  if (c.channels == 1) return with_taps<T, 1, 2>(c, body);
  if (c.out_channels == 1) return with_taps<T, 2, 1>(c, body);
  if (c.channels == 2) return with_taps<T, 2, 2>(c, body);
  if (c.channels == 4) return with_taps<T, 4, 4>(c, body);
  with_taps<T, 8, 8>(c, body);
}

}  // namespace

template <class T>
void conv_grouped_pack(const DirectConv& c, const T* weights, const WeightStrides& s, T* packed) {
  for (int64_t u = 0; u < c.taps_h; ++u)
    for (int64_t v = 0; v < c.taps_w; ++v)
      for (int64_t i = 0; i < c.channels; ++i) {
        const T* from = weights + s.first + i * s.in + u * s.tap_h + v * s.tap_w;
        for (int64_t group = 0; group < c.groups; ++group)
          for (int64_t o = 0; o < c.out_channels; ++o) *packed++ = from[group * s.group + o * s.out];
      }
}

template <class T>
void conv_grouped(const DirectConv& c, const T* x, const T* packed, const ConvFinish<T>& finish, T* y) {
  const Bands bands(c, sizeof(T));
  // What does not stay in the caches comes row by row; else the weights of a vector serve all rows of a band.
  const bool streams = c.batch * c.in_h * c.in_w * c.in_pixel * static_cast<int64_t>(sizeof(T)) > kStreamBytes &&
                       c.out_w >= kStreamWidth;
  with_form<T>(c, [&]<class F>(F) {
    parallel_for(bands.count, 1, [&](int64_t index, int64_t) {
      const Band<T> band(c, bands, index, x);
      T* out = y + band.image * c.out_image + band.first_row * c.out_row;
      if (c.groups * F::kOut < kLanes<T>)
        narrow_band(c, band, packed, finish.bias, out);
      else
        wide_band<F>(c, band, streams, x, packed, finish.bias, out);
      Piece<T> piece{};
      piece.images = 1;
      piece.rows = band.rows;
      piece.first_image = band.image;
      piece.first_row = band.first_row;
      finish_piece(c, piece, finish, 0, c.groups * F::kOut, y);
    });
  });
}

template <class T>
void conv_grouped_weight_grad(const DirectConv& c, const WeightGradPlan& plan, const T* x, const T* grad, T* partials,
                              T* grad_weights) {
  const Bands bands(c, sizeof(T));
  const int64_t elements = c.depth() * c.groups * c.out_channels;
  with_form<T>(c, [&]<class F>(F) {
    parallel_for(plan.count, 1, [&](int64_t part, int64_t) {
      T* sums = partials + part * plan.elements;
      __builtin_memset(sums, 0, static_cast<size_t>(elements) * sizeof(T));
      const int64_t end = (part + 1) * bands.count / plan.count;
      for (int64_t index = part * bands.count / plan.count; index < end; ++index) {
        const Band<T> band(c, bands, index, x);
        const T* g = grad + band.image * c.out_image + band.first_row * c.out_row;
        if (c.groups * F::kOut < kLanes<T>) {
          narrow_taps(c, band, g, sums);
          continue;
        }
        for_vectors<T>(F::kIn, F::kOut, c.groups, [&](int64_t first, int64_t channel, int64_t done) {
          if constexpr (F::kTaps == 3) {
            if (c.taps_h == 3) return sum_taps<F, 3, 0>(c, band, channel, 0, 0, g + first, sums + first, done);
          }
          for (int64_t u = 0; u < c.taps_h; ++u)
            for (int64_t v = 0; v < c.taps_w; v += F::kTaps)
              sum_taps<F, 1, 0>(c, band, channel, u, v, g + first, sums + first, done);
        });
      }
    });
  });
  parallel_for(elements, kElementwiseGrain, [&](int64_t begin, int64_t end) {
    for (int64_t e = begin; e < end; ++e) grad_weights[e] = partials[e];
    for (int64_t part = 1; part < plan.count; ++part)
      for (int64_t e = begin; e < end; ++e) grad_weights[e] += partials[part * plan.elements + e];
  });
}

#define INSTANTIATE(T)                                                                         \
  template void conv_grouped_pack(const DirectConv&, const T*, const WeightStrides&, T*);      \
  template void conv_grouped(const DirectConv&, const T*, const T*, const ConvFinish<T>&, T*); \
  template void conv_grouped_weight_grad(const DirectConv&, const WeightGradPlan&, const T*, const T*, T*, T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tern::kernels::TERN_ISA
