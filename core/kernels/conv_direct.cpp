// Direct convolution, register-tiled.
//
// A tile is PX output positions by CV vectors of output channels, held in registers (6 by 2 with sixteen registers).
// For each tap and input channel it loads CV vectors of weights and multiplies them with one repeated input value a
// position. Weights are packed once a call so that they are read in order; taps of a kernel row are neighbours in the
// input when columns are not dilated, so the inner loop runs over taps_w * channels values at once. Positions of a tile
// may lie in different rows or images: each has its own pointer, so narrow images waste nothing. Where the weights of
// a block of output channels exceed the first-level cache, the reduction is cut into parts that do not, each done over
// all positions of a piece and added to what is in y. Results depend on the shape alone.
#include <tern/core/kernels/conv_direct.h>
#include <tern/core/kernels/detail/conv_image.h>
#include <tern/core/scratch.h>

namespace tern::kernels::TERN_ISA {
namespace {

constexpr int64_t kWeightBytes = 20 << 10;  // of a block of output channels, kept in the first-level cache
constexpr int64_t kShareChannels = 64;      // a multiple of every block's channels
constexpr int64_t kTasks = 16;

constexpr int tile_positions(int vectors) {
  return kVectorRegisters == 32 ? (vectors == 4 ? 6 : 8) : (vectors == 2 ? 6 : 8);
}

template <class T>
int64_t padded_channels(int64_t channels) {
  return (channels + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
}

// The reduction of a tile: `segments_h` by `segments_w` runs of `run` neighbouring input values.
struct Depth {
  int64_t segments_h, segments_w, run;
  int64_t step_h, step_w;  // from segment to segment
};

// y[p] = (add ? y[p] : bias) + the sums of tile position p; all CV vectors of y are read and written.
template <class T, int CV, int PX>
[[gnu::noinline]] void tile(const Depth& depth, const T* const* x, const T* w, const T* bias, bool add, T* const* y) {
  constexpr int L = kLanes<T>;
  Vec<T> sum[PX][CV];
  if (add) {
#pragma GCC unroll 8
    for (int p = 0; p < PX; ++p)
#pragma GCC unroll 4
      for (int v = 0; v < CV; ++v) sum[p][v] = Simd<T>::load(y[p] + v * L);
  } else {
#pragma GCC unroll 8
    for (int p = 0; p < PX; ++p)
#pragma GCC unroll 4
      for (int v = 0; v < CV; ++v) sum[p][v] = Simd<T>::load(bias + v * L);
  }
  const T* in[PX];
#pragma GCC unroll 8
  for (int p = 0; p < PX; ++p) in[p] = x[p];
  const int64_t segments_h = depth.segments_h, segments_w = depth.segments_w, run = depth.run;
  const int64_t step_h = depth.step_h, step_w = depth.step_w;
  for (int64_t h = 0; h < segments_h; ++h) {
    for (int64_t s = 0; s < segments_w; ++s) {
      const int64_t first = h * step_h + s * step_w, last = first + run;
      for (int64_t k = first; k < last; ++k, w += CV * L) {
        Vec<T> weight[CV];
#pragma GCC unroll 4
        for (int v = 0; v < CV; ++v) weight[v] = Simd<T>::load(w + v * L);
#pragma GCC unroll 8
        for (int p = 0; p < PX; ++p) {
          const Vec<T> value = Simd<T>::broadcast(in[p][k]);
#pragma GCC unroll 4
          for (int v = 0; v < CV; ++v) sum[p][v] += value * weight[v];
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int p = 0; p < PX; ++p)
#pragma GCC unroll 4
    for (int v = 0; v < CV; ++v) Simd<T>::store(y[p] + v * L, sum[p][v]);
}

// A tile of which only the first `valid` output channels exist.
template <class T, int CV, int PX>
[[gnu::noinline]] void partial_tile(const Depth& depth, const T* const* x, const T* w, const T* bias, bool add,
                                    T* const* y, int64_t valid) {
  T block[PX][CV * kLanes<T>];
  T* rows[PX];
  for (int p = 0; p < PX; ++p) {
    rows[p] = block[p];
    for (int64_t o = 0; o < CV * kLanes<T>; ++o) block[p][o] = add && o < valid ? y[p][o] : T(0);
  }
  tile<T, CV, PX>(depth, x, w, bias, add, rows);
  for (int p = 0; p < PX; ++p)
    for (int64_t o = 0; o < valid; ++o) y[p][o] = block[p][o];
}

// All positions of a piece for one block of output channels and one stretch of the reduction. y: the block's first
// channel at the piece's first position; bias: all lanes of the block. The last tile repeats its last position, which
// is harmless.
template <class T, int CV>
void block(const DirectConv& c, const Piece<T>& piece, const Depth& depth, const T* x, const T* w, const T* bias,
           bool add, T* y, int64_t valid) {
  constexpr int PX = tile_positions(CV);
  const T* in[PX];
  T* out[PX];
  int filled = 0;
  const auto run = [&] {
    if (valid >= CV * kLanes<T>)
      tile<T, CV, PX>(depth, in, w, bias, add, out);
    else
      partial_tile<T, CV, PX>(depth, in, w, bias, add, out, valid);
  };
  const int64_t x_step = piece.x_pixel * c.step_w;
  for (int64_t n = 0; n < piece.images; ++n) {
    for (int64_t r = 0; r < piece.rows; ++r) {
      const T* x_at = x + n * piece.x_image + r * c.step_h * piece.x_row;
      T* y_at = y + n * c.out_image + r * c.out_row;
      for (int64_t j = 0; j < c.out_w; ++j, x_at += x_step, y_at += c.out_pixel) {
        in[filled] = x_at;
        out[filled] = y_at;
        if (++filled == PX) {
          run();
          filled = 0;
        }
      }
    }
  }
  if (filled > 0) {
    for (int p = filled; p < PX; ++p) in[p] = in[filled - 1], out[p] = out[filled - 1];
    run();
  }
}

// Calls body(part, x, products before) for the parts of the reduction whose weights, for `width` output channels, fit
// the first-level cache: everything, some kernel rows, or stretches of a row.
template <class T, class Body>
void reduce(const DirectConv& c, const Piece<T>& piece, int64_t width, const Body& body) {
  const bool joined = c.dilation_w == 1 && piece.x_pixel == c.channels;
  const int64_t tap_w = c.dilation_w * piece.x_pixel;
  const Depth rows{c.taps_h, joined ? 1 : c.taps_w, joined ? c.taps_w * c.channels : c.channels,
                   c.dilation_h * piece.x_row, joined ? 0 : tap_w};
  const int64_t most = kWeightBytes / (width * static_cast<int64_t>(sizeof(T)));  // products at once
  const int64_t row_depth = c.taps_w * c.channels;
  if (row_depth <= most + most / 2) {
    const int64_t at_once = most > row_depth ? most / row_depth : 1;
    for (int64_t u = 0; u < c.taps_h; u += at_once) {
      Depth part = rows;
      part.segments_h = c.taps_h - u < at_once ? c.taps_h - u : at_once;
      body(part, piece.x + u * rows.step_h, u * row_depth);
    }
    return;
  }
  const int64_t stretches = (rows.run + most - 1) / most;
  for (int64_t u = 0; u < c.taps_h; ++u) {
    for (int64_t s = 0; s < rows.segments_w; ++s) {
      for (int64_t i = 0; i < stretches; ++i) {
        const int64_t begin = i * rows.run / stretches, end = (i + 1) * rows.run / stretches;
        body(Depth{1, 1, end - begin, 0, 0}, piece.x + u * rows.step_h + s * rows.step_w + begin,
             u * row_depth + s * rows.run + begin);
      }
    }
  }
}

template <class T>
void block(int vectors, const DirectConv& c, const Piece<T>& piece, const Depth& depth, const T* x, const T* w,
           const T* bias, bool add, T* y, int64_t valid) {
  if constexpr (kMaxVectors >= 4) {
    if (vectors == 4) return block<T, 4>(c, piece, depth, x, w, bias, add, y, valid);
  }
  if (vectors == 2) return block<T, 2>(c, piece, depth, x, w, bias, add, y, valid);
  block<T, 1>(c, piece, depth, x, w, bias, add, y, valid);
}

}  // namespace

template <class T>
void conv_pack(const DirectConv& c, const T* weights, const WeightStrides& s, T* packed) {
  const int64_t padded = padded_channels<T>(c.out_channels);
  const int64_t block_lanes = kMaxVectors * kLanes<T>, blocks = (padded + block_lanes - 1) / block_lanes;
  const auto pack_block = [&](const T* from, int64_t width, int64_t valid, T* to) {
    for (int64_t k = 0; k < c.channels; ++k) {
      for (int64_t u = 0; u < c.taps_h; ++u) {
        for (int64_t v = 0; v < c.taps_w; ++v) {
          const T* element = from + k * s.in + u * s.tap_h + v * s.tap_w;
          T* lanes = to + ((u * c.taps_w + v) * c.channels + k) * width;
          for (int64_t lane = 0; lane < valid; ++lane) lanes[lane] = element[lane * s.out];
          for (int64_t lane = valid; lane < width; ++lane) lanes[lane] = T(0);
        }
      }
    }
  };
  parallel_for(c.groups * blocks, 1 + 8192 / (c.depth() * block_lanes), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t group = i / blocks, first = i % blocks * block_lanes;
      const int64_t last = first + block_lanes < padded ? first + block_lanes : padded;
      for (int64_t o = first; o < last;) {
        const int64_t width = block_vectors<T>(o, padded) * kLanes<T>;
        const int64_t valid = c.out_channels - o < width ? c.out_channels - o : width;
        pack_block(weights + s.first + group * s.group + o * s.out, width, valid,
                   packed + group * c.packed_group() + o * c.depth());
        o += width;
      }
    }
  });
}

template <class T>
void conv_direct(const DirectConv& c, const T* x, const T* packed, const ConvFinish<T>& finish, T* y) {
  if (c.batch == 0) return;
  const Pieces<T> pieces(c);
  const int64_t padded = padded_channels<T>(c.out_channels);
  // Where pieces are few and weights large, the output channels are shared out as well.
  int64_t shares = 1;
  if (pieces.large) {
    const int64_t most = padded / kShareChannels, wanted = (kTasks + pieces.count - 1) / pieces.count;
    shares = wanted < most ? wanted : most;
    if (shares < 1) shares = 1;
  }
  const int64_t share = (padded / shares + kShareChannels - 1) / kShareChannels * kShareChannels;
  parallel_for(pieces.count * shares, 1, [&](int64_t task, int64_t) {
    T* scratch =
        pieces.in_place ? nullptr : static_cast<T*>(thread_scratch(pieces.scratch * static_cast<int64_t>(sizeof(T))));
    const int64_t first = task % shares * share;
    const int64_t last = shares == 1 || first + share > padded ? padded : first + share;
    if (first >= last) return;
    for (int64_t group = 0; group < c.groups; ++group) {
      const Piece<T> piece = open_piece(c, pieces, task / shares, group, x, scratch);
      T* out = y + piece.first_image * c.out_image + piece.first_row * c.out_row + group * c.out_channels;
      for (int64_t o = first; o < last;) {
        const int vectors = block_vectors<T>(o, padded);
        const int64_t width = vectors * kLanes<T>;
        T b[kMaxVectors * kLanes<T>];
        for (int64_t lane = 0; lane < width; ++lane)
          b[lane] = finish.bias != nullptr && o + lane < c.out_channels ? finish.bias[group * c.out_channels + o + lane]
                                                                        : T(0);
        const T* w = packed + group * c.packed_group() + o * c.depth();
        reduce(c, piece, width, [&](const Depth& part, const T* x_part, int64_t depth_done) {
          block(vectors, c, piece, part, x_part, w + depth_done * width, b, depth_done > 0, out + o,
                c.out_channels - o);
        });
        o += width;
      }
      const int64_t end = last < c.out_channels ? last : c.out_channels;
      finish_piece(c, piece, finish, group * c.out_channels + first, end - first, y);
    }
  });
}

#define INSTANTIATE(T)                                                            \
  template void conv_pack(const DirectConv&, const T*, const WeightStrides&, T*); \
  template void conv_direct(const DirectConv&, const T*, const T*, const ConvFinish<T>&, T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tern::kernels::TERN_ISA
