// Gradient of a convolution's weights: sums of outer products over all output positions.
//
// A tile is RW neighbouring input values (of the taps of one kernel row: taps_w * channels values lie side by side) by
// CV vectors of output channels, held in registers (6 by 2 with sixteen registers); the loop runs over output
// positions, each giving RW repeated input values and CV vectors of the output's gradient. Positions are taken in
// strips of rows for which both fit the first-level cache; a tile's sum waits in memory from strip to strip.
// The batch is cut into a number of parts that depends on the shape alone, each with a partial gradient of its own,
// and these are added in order.
#include <tern/core/kernels/conv_weight_grad.h>
#include <tern/core/kernels/detail/conv_image.h>
#include <tern/core/scratch.h>

namespace tern::kernels::TERN_ISA {
namespace {

constexpr int kRows = 6;
constexpr int64_t kStripBytes = 24 << 10;

// Output positions of a strip, and the strides of x and the gradient between them.
struct Strip {
  int64_t images, rows, columns;
  int64_t x_image, x_row, x_step, g_image, g_row, g_step;
};

// sum[r][lane] (rows `pitch` apart) += x[position + r] * g[position][lane]
template <class T, int RW, int CV>
[[gnu::noinline]] void tile(const Strip& s, const T* x, const T* g, T* sums, int64_t pitch) {
  constexpr int L = kLanes<T>;
  Vec<T> sum[RW][CV];
#pragma GCC unroll 8
  for (int r = 0; r < RW; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < CV; ++v) sum[r][v] = Simd<T>::load(sums + r * pitch + v * L);
  for (int64_t n = 0; n < s.images; ++n) {
    for (int64_t i = 0; i < s.rows; ++i) {
      const T* x_at = x + n * s.x_image + i * s.x_row;
      const T* g_at = g + n * s.g_image + i * s.g_row;
      for (int64_t j = 0; j < s.columns; ++j, x_at += s.x_step, g_at += s.g_step) {
        Vec<T> grad[CV];
#pragma GCC unroll 4
        for (int v = 0; v < CV; ++v) grad[v] = Simd<T>::load(g_at + v * L);
#pragma GCC unroll 8
        for (int r = 0; r < RW; ++r) {
          const Vec<T> value = Simd<T>::broadcast(x_at[r]);
#pragma GCC unroll 4
          for (int v = 0; v < CV; ++v) sum[r][v] += value * grad[v];
        }
      }
    }
  }
#pragma GCC unroll 8
  for (int r = 0; r < RW; ++r)
#pragma GCC unroll 4
    for (int v = 0; v < CV; ++v) Simd<T>::store(sums + r * pitch + v * L, sum[r][v]);
}

template <class T, int CV>
void tile(int64_t rows, const Strip& s, const T* x, const T* g, T* sums, int64_t pitch) {
  switch (rows) {
    case 6:
      return tile<T, 6, CV>(s, x, g, sums, pitch);
    case 5:
      return tile<T, 5, CV>(s, x, g, sums, pitch);
    case 4:
      return tile<T, 4, CV>(s, x, g, sums, pitch);
    case 3:
      return tile<T, 3, CV>(s, x, g, sums, pitch);
    case 2:
      return tile<T, 2, CV>(s, x, g, sums, pitch);
    default:
      return tile<T, 1, CV>(s, x, g, sums, pitch);
  }
}

template <class T>
void tile(int vectors, int64_t rows, const Strip& s, const T* x, const T* g, T* sums, int64_t pitch) {
  if constexpr (kMaxVectors >= 4) {
    if (vectors == 4) return tile<T, 4>(rows, s, x, g, sums, pitch);
  }
  if (vectors == 2) return tile<T, 2>(rows, s, x, g, sums, pitch);
  tile<T, 1>(rows, s, x, g, sums, pitch);
}

// The gradient's first `valid` channels at the positions of a strip, with zeros up to `width`: [position][width].
template <class T>
void pack_gradient(const Strip& s, const T* g, int64_t valid, int64_t width, T* packed) {
  for (int64_t n = 0; n < s.images; ++n) {
    for (int64_t i = 0; i < s.rows; ++i) {
      const T* at = g + n * s.g_image + i * s.g_row;
      for (int64_t j = 0; j < s.columns; ++j, at += s.g_step, packed += width) {
        for (int64_t o = 0; o < valid; ++o) packed[o] = at[o];
        for (int64_t o = valid; o < width; ++o) packed[o] = T(0);
      }
    }
  }
}

// One piece of one group, added to its partial gradient [tap_h][tap_w][channel][pitch]. packed: room for the piece's
// positions times the lanes of a block.
template <class T>
void add_piece(const DirectConv& c, const Piece<T>& piece, const T* g, T* partial, int64_t pitch, T* packed) {
  const bool joined = c.dilation_w == 1 && piece.x_pixel == c.channels;
  const int64_t runs = joined ? 1 : c.taps_w, run = joined ? c.taps_w * c.channels : c.channels;
  const int64_t tiles = (run + kRows - 1) / kRows;
  int64_t strip_rows = kStripBytes / (piece.x_row * c.step_h * static_cast<int64_t>(sizeof(T)) + 1);
  strip_rows = strip_rows < 1 ? 1 : strip_rows < piece.rows ? strip_rows : piece.rows;
  for (int64_t first = 0; first < piece.rows; first += strip_rows) {
    const int64_t rows = piece.rows - first < strip_rows ? piece.rows - first : strip_rows;
    const Strip whole{
        piece.images, rows,      c.out_w,    piece.x_image, piece.x_row * c.step_h, piece.x_pixel * c.step_w,
        c.out_image,  c.out_row, c.out_pixel};
    const T* x_strip = piece.x + first * whole.x_row;
    for (int64_t o = 0; o < pitch;) {
      const int vectors = block_vectors<T>(o, pitch);
      const int64_t width = vectors * kLanes<T>;
      Strip strip = whole;
      const T* g_strip = g + first * whole.g_row + o;
      if (c.out_channels - o < width) {
        pack_gradient(whole, g_strip, c.out_channels - o, width, packed);
        g_strip = packed;
        strip.g_step = width;
        strip.g_row = c.out_w * width;
        strip.g_image = rows * strip.g_row;
      }
      for (int64_t u = 0; u < c.taps_h; ++u) {
        for (int64_t s = 0; s < runs; ++s) {
          const T* x = x_strip + u * c.dilation_h * piece.x_row + s * c.dilation_w * piece.x_pixel;
          T* sums = partial + (u * runs + s) * run * pitch + o;
          for (int64_t t = 0; t < tiles; ++t) {
            const int64_t r0 = t * run / tiles, r1 = (t + 1) * run / tiles;
            tile(vectors, r1 - r0, strip, x + r0, g_strip, sums + r0 * pitch, pitch);
          }
        }
      }
      o += width;
    }
  }
}

}  // namespace

template <class T>
void conv_weight_grad(const DirectConv& c, const WeightGradPlan& plan, const T* x, const T* grad, T* partials,
                      T* grad_weights, const WeightStrides& s) {
  const Pieces<T> pieces(c);
  const int64_t pitch = (c.out_channels + kLanes<T> - 1) / kLanes<T> * kLanes<T>;
  const int64_t group_elements = c.depth() * pitch;
  const int64_t packed_room =
      c.out_channels == pitch ? 0 : pieces.images * pieces.rows * c.out_w * kMaxVectors * kLanes<T>;
  parallel_for(plan.count, 1, [&](int64_t part, int64_t) {
    T* packed = static_cast<T*>(thread_scratch((packed_room + pieces.scratch) * static_cast<int64_t>(sizeof(T))));
    T* scratch = packed + packed_room;
    T* partial = partials + part * plan.elements;
    __builtin_memset(partial, 0, static_cast<size_t>(c.groups * group_elements) * sizeof(T));
    const int64_t end = (part + 1) * pieces.count / plan.count;
    for (int64_t i = part * pieces.count / plan.count; i < end; ++i) {
      for (int64_t group = 0; group < c.groups; ++group) {
        const Piece<T> piece = open_piece(c, pieces, i, group, x, scratch);
        const T* g = grad + piece.first_image * c.out_image + piece.first_row * c.out_row + group * c.out_channels;
        add_piece(c, piece, g, partial + group * group_elements, pitch, packed);
      }
    }
  });
  conv_store_weight_grad(c, plan.count, plan.elements, pitch, partials, grad_weights, s);
}

template <class T>
void conv_gather(const DirectConv& c, int64_t tap_h, int64_t tap_w, int64_t first, int64_t count, int64_t begin,
                 int64_t end, const T* x, T* columns) {
  for (int64_t position = begin; position < end; ++position, columns += count) {
    const int64_t n = position / (c.out_h * c.out_w), i = position / c.out_w % c.out_h, j = position % c.out_w;
    const int64_t row = i * c.step_h + tap_h * c.dilation_h + c.first_h;
    const int64_t column = j * c.step_w + tap_w * c.dilation_w + c.first_w;
    if (row < 0 || row >= c.in_h || column < 0 || column >= c.in_w) {
      __builtin_memset(columns, 0, static_cast<size_t>(count) * sizeof(T));
    } else {
      const T* from = x + ((n * c.in_h + row) * c.in_w + column) * c.in_pixel + first;
      __builtin_memcpy(columns, from, static_cast<size_t>(count) * sizeof(T));
    }
  }
}

template <class T>
void conv_store_weight_grad(const DirectConv& c, int64_t parts, int64_t part, int64_t pitch, T* sums, T* grad_weights,
                            const WeightStrides& s) {
  const int64_t rows = c.groups * c.depth();
  parallel_for(rows, 1 + 4096 / pitch, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t group = row / c.depth(), tap = row % c.depth() / c.channels, k = row % c.channels;
      T* total = sums + row * pitch;
      for (int64_t i = 1; i < parts; ++i) {
        const T* more = total + i * part;
        for (int64_t o = 0; o < pitch; ++o) total[o] += more[o];
      }
      T* to = grad_weights + s.first + group * s.group + tap / c.taps_w * s.tap_h + tap % c.taps_w * s.tap_w + k * s.in;
      for (int64_t o = 0; o < c.out_channels; ++o) to[o * s.out] = total[o];
    }
  });
}

#define INSTANTIATE(T)                                                                                              \
  template void conv_weight_grad(const DirectConv&, const WeightGradPlan&, const T*, const T*, T*, T*,              \
                                 const WeightStrides&);                                                             \
  template void conv_gather(const DirectConv&, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, const T*, T*); \
  template void conv_store_weight_grad(const DirectConv&, int64_t, int64_t, int64_t, T*, T*, const WeightStrides&);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tern::kernels::TERN_ISA
