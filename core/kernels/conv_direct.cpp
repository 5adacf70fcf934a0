// Direct convolution, register-tiled.
//
// A tile is PX output positions by CV vectors of output channels, held in registers (6 by 2 with sixteen registers).
// For each tap and input channel it loads CV vectors of weights and multiplies them with one repeated input value a
// position. Weights are packed once a call so that they are read in order; taps of a kernel row are neighbours in the
// input when columns are not dilated, so the inner loop runs over taps_w * channels values at once. Positions of a tile
// may lie in different rows or images: each has its own pointer, so narrow images waste nothing. Where the weights of
// a block of output channels exceed the first-level cache, kernel rows are done one after the other over all positions
// of a piece, adding to what is in y. Results depend on the shape alone.
#include <tern/core/kernels/conv_direct.h>
#include <tern/core/kernels/conv_image.h>
#include <tern/core/scratch.h>

namespace tern::kernels::TERN_ISA {
namespace {

constexpr int kMaxVectors = kVectorRegisters == 32 ? 4 : 2;
constexpr int64_t kWeightBytes = 20 << 10;  // of a block of output channels, kept in the first-level cache

constexpr int tile_positions(int vectors) {
  return kVectorRegisters == 32 ? (vectors == 4 ? 6 : 8) : (vectors == 2 ? 6 : 8);
}

// Vectors of the block of output channels that starts at `done` of `padded`.
template <class T>
constexpr int block_vectors(int64_t done, int64_t padded) {
  int vectors = kMaxVectors;
  while (vectors * kLanes < T >> padded - done) vectors /= 2;
  return vectors;
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

template <class T, int CV, int PX>
[[gnu::noinline]] void tile(const Depth& depth, const T* const* x, const T* w, const T* bias, bool add, T* const* y,
                            int64_t valid) {
  constexpr int L = kLanes<T>;
  Vec<T> sum[PX][CV];
  const T* in[PX];
#pragma GCC unroll 8
  for (int p = 0; p < PX; ++p) {
    in[p] = x[p];
#pragma GCC unroll 4
    for (int v = 0; v < CV; ++v) {
      const int64_t lanes = valid - v * L;
      const T* from = add ? y[p] : bias;
      if (from == nullptr)
        sum[p][v] = Vec<T>{};
      else
        sum[p][v] = lanes >= L ? Simd<T>::load(from + v * L) : Simd<T>::load_first(from + v * L, lanes, T(0));
    }
  }
  for (int64_t h = 0; h < depth.segments_h; ++h) {
    for (int64_t s = 0; s < depth.segments_w; ++s) {
      for (int64_t k = 0; k < depth.run; ++k, w += CV * L) {
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
#pragma GCC unroll 8
      for (int p = 0; p < PX; ++p) in[p] += depth.step_w;
    }
#pragma GCC unroll 8
    for (int p = 0; p < PX; ++p) in[p] += depth.step_h - depth.segments_w * depth.step_w;
  }
#pragma GCC unroll 8
  for (int p = 0; p < PX; ++p) {
#pragma GCC unroll 4
    for (int v = 0; v < CV; ++v) {
      const int64_t lanes = valid - v * L;
      if (lanes >= L)
        Simd<T>::store(y[p] + v * L, sum[p][v]);
      else
        Simd<T>::store_first(y[p] + v * L, sum[p][v], lanes);
    }
  }
}

// All positions of a piece for one block of output channels and one stretch of the reduction. y: the block's first
// channel at the piece's first position. The last tile repeats its last position, which is harmless.
template <class T, int CV>
void block(const DirectConv& c, const Piece<T>& piece, const Depth& depth, const T* x, const T* w, const T* bias,
           bool add, T* y, int64_t valid) {
  constexpr int PX = tile_positions(CV);
  const T* in[PX];
  T* out[PX];
  int filled = 0;
  const int64_t x_step = piece.x_pixel * c.step_w;
  for (int64_t n = 0; n < piece.images; ++n) {
    for (int64_t r = 0; r < piece.rows; ++r) {
      const T* x_at = x + n * piece.x_image + r * c.step_h * piece.x_row;
      T* y_at = y + n * c.out_image + r * c.out_row;
      for (int64_t j = 0; j < c.out_w; ++j, x_at += x_step, y_at += c.out_pixel) {
        in[filled] = x_at;
        out[filled] = y_at;
        if (++filled == PX) {
          tile<T, CV, PX>(depth, in, w, bias, add, out, valid);
          filled = 0;
        }
      }
    }
  }
  if (filled > 0) {
    for (int p = filled; p < PX; ++p) in[p] = in[filled - 1], out[p] = out[filled - 1];
    tile<T, CV, PX>(depth, in, w, bias, add, out, valid);
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
  const int64_t taps = c.taps_h * c.taps_w;
  parallel_for(c.groups * taps, 1 + 4096 / (c.channels * padded), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t group = i / taps, tap = i % taps;
      const T* from = weights + s.first + group * s.group + tap / c.taps_w * s.tap_h + tap % c.taps_w * s.tap_w;
      for (int64_t o = 0; o < padded;) {
        const int64_t width = block_vectors<T>(o, padded) * kLanes<T>;
        T* to = packed + group * c.packed_group() + o * c.depth() + tap * c.channels * width;
        for (int64_t k = 0; k < c.channels; ++k, to += width)
          for (int64_t lane = 0; lane < width; ++lane)
            to[lane] = o + lane < c.out_channels ? from[(o + lane) * s.out + k * s.in] : T(0);
        o += width;
      }
    }
  });
}

template <class T>
void conv_direct(const DirectConv& c, const T* x, const T* packed, const T* bias, T* y) {
  if (c.batch == 0) return;
  const Pieces<T> pieces(c);
  const int64_t padded = padded_channels<T>(c.out_channels);
  parallel_for(pieces.count, 1, [&](int64_t begin, int64_t) {
    T* scratch =
        pieces.in_place ? nullptr : static_cast<T*>(thread_scratch(pieces.scratch * static_cast<int64_t>(sizeof(T))));
    for (int64_t group = 0; group < c.groups; ++group) {
      const Piece<T> piece = open_piece(c, pieces, begin, group, x, scratch);
      Depth depth{c.taps_h, 1, c.taps_w * c.channels, c.dilation_h * piece.x_row, 0};
      if (c.dilation_w != 1 || piece.x_pixel != c.channels) {
        depth.segments_w = c.taps_w;
        depth.run = c.channels;
        depth.step_w = c.dilation_w * piece.x_pixel;
      }
      T* out = y + piece.first_image * c.out_image + piece.first_row * c.out_row + group * c.out_channels;
      for (int64_t o = 0; o < padded;) {
        const int vectors = block_vectors<T>(o, padded);
        const int64_t width = vectors * kLanes<T>;
        const T* w = packed + group * c.packed_group() + o * c.depth();
        const T* b = bias == nullptr ? nullptr : bias + group * c.out_channels + o;
        const int64_t row_depth = c.taps_w * c.channels;
        int64_t rows_at_once = kWeightBytes / (row_depth * width * static_cast<int64_t>(sizeof(T)) + 1);
        if (rows_at_once < 1) rows_at_once = 1;
        for (int64_t u = 0; u < c.taps_h; u += rows_at_once) {
          Depth part = depth;
          part.segments_h = c.taps_h - u < rows_at_once ? c.taps_h - u : rows_at_once;
          block(vectors, c, piece, part, piece.x + u * depth.step_h, w + u * row_depth * width, b, u > 0, out + o,
                c.out_channels - o);
        }
        o += width;
      }
    }
  });
}

#define INSTANTIATE(T)                                                            \
  template void conv_pack(const DirectConv&, const T*, const WeightStrides&, T*); \
  template void conv_direct(const DirectConv&, const T*, const T*, const T*, T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tern::kernels::TERN_ISA
