// Convolution with 3 x 3 taps by Winograd's minimal filtering, tile by tile.
//
// Tiles of m x m outputs are taken `block` at a time, so that all that is derived from them stays in the second-level
// cache. Forward: the (m + 2)^2 inputs of each tile are transformed into as many frequencies,
// [frequency][tile][channel] (borders are zero rows and zero columns, nothing is copied); for each row of frequencies,
// one small matrix product a frequency with the transformed weights (tile.h: 6 tiles by 2 vectors of output channels in
// registers), whose results are transformed back along the row at once; at the end along the columns, plus bias, into
// y. Weight gradient: inputs and output gradients of a block are transformed, and for each frequency the product
// channels x tiles x output channels is added to sums that are transformed back to 3 x 3 taps once, at the end.
#include <tern/core/kernels/conv_winograd.h>
#include <tern/core/kernels/detail/prefetch.h>
#include <tern/core/kernels/detail/tile.h>
#include <tern/core/kernels/detail/winograd.h>
#include <tern/core/scratch.h>

namespace tern::kernels::TERN_ISA {
namespace {

using S = Simd<float>;
using V = S::Vec;
constexpr int64_t kFloat = sizeof(float);

// Where tile number `index` lies.
struct TileAt {
  int64_t image, row, column;  // first output position

  TileAt(const WinogradPlan& p, int64_t index)
      : image(index / (p.tiles_h * p.tiles_w)),
        row(index / p.tiles_w % p.tiles_h * p.tile),
        column(index % p.tiles_w * p.tile) {}
};

inline int64_t clamp(int64_t value, int64_t low, int64_t high) {
  return value < low ? low : value > high ? high : value;
}

// The square of Step::kFrom positions of an image [height, width], rows and pixels row_step and pixel_step apart,
// whose corner is (top, left), transformed for `channels` channels. zeros: Step::kFrom pixels of them. put(channel) is
// where a vector of channels goes.
template <class Step, class Put>
[[gnu::always_inline]] inline void expand_square(const float* image, int64_t height, int64_t width, int64_t row_step,
                                                 int64_t pixel_step, int64_t top, int64_t left, int64_t channels,
                                                 const float* zeros, int64_t step, const Put& put) {
  constexpr int F = Step::kFrom;
  const int64_t first = clamp(-left, 0, F), last = clamp(width - left, 0, F);
  const float* rows[F];
  for (int r = 0; r < F; ++r) {
    const bool inside = top + r >= 0 && top + r < height;
    rows[r] = inside ? image + (top + r) * row_step + left * pixel_step : zeros;
  }
  for (int64_t k = 0; k < channels; k += S::kWidth) expand<Step>(rows, k, pixel_step, first, last, put(k), step);
}

template <class W>
[[gnu::noinline]] void expand_input(const DirectConv& c, const TileAt& at, const float* x, int64_t channels,
                                    const float* zeros, float* to, int64_t step) {
  const int64_t in_row = c.in_w * c.in_pixel;
  expand_square<typename W::Data>(x + at.image * c.in_h * in_row, c.in_h, c.in_w, in_row, c.in_pixel,
                                  at.row + c.first_h, at.column + c.first_w, channels, zeros, step,
                                  [&](int64_t k) { return to + k; });
}

// Into panels of `tiles` rows each.
template <class W>
[[gnu::noinline]] void expand_gradient(const DirectConv& c, const TileAt& at, const float* grad, const float* zeros,
                                       int64_t tiles, float* to, int64_t step) {
  expand_square<typename W::Gradient>(
      grad + at.image * c.out_image, c.out_h, c.out_w, c.out_row, c.out_pixel, at.row, at.column, c.out_channels, zeros,
      step, [&](int64_t k) { return to + k / kPanel<float> * kPanel<float> * tiles + k % kPanel<float>; });
}

// products: [kIn][tile][channel], a row of frequencies; to: [kOut][tile][channel], both `step` apart.
template <class W>
[[gnu::noinline]] void shrink_row(int64_t n, const float* products, float* to, int64_t step) {
  for (int64_t i = 0; i < n; i += S::kWidth) {
    V m[W::kIn], y[W::kOut];
#pragma GCC unroll 8
    for (int j = 0; j < W::kIn; ++j) m[j] = S::load(products + j * step + i);
    W::Result::run(m, y);
#pragma GCC unroll 8
    for (int s = 0; s < W::kOut; ++s) S::store(to + s * step + i, y[s]);
  }
}

// half: [kIn][kOut][channel] of one tile, `step` apart; y: the whole output.
template <class W>
[[gnu::noinline]] void finish_tile(const DirectConv& c, const TileAt& at, const float* half, int64_t step,
                                   const ConvFinish<float>& finish, float* y) {
  const int64_t corner = at.image * c.out_image + at.row * c.out_row + at.column * c.out_pixel;
  const float* const residual = finish.residual;
  const bool relu = finish.relu;
  const int64_t rows = clamp(c.out_h - at.row, 0, W::kOut), columns = clamp(c.out_w - at.column, 0, W::kOut);
  for (int64_t k = 0; k < c.out_channels; k += S::kWidth) {
    const V offset = finish.bias == nullptr ? V{} : S::load(finish.bias + k);
    for (int64_t s = 0; s < columns; ++s) {
      V m[W::kIn], out[W::kOut];
#pragma GCC unroll 8
      for (int i = 0; i < W::kIn; ++i) m[i] = S::load(half + (i * W::kOut + s) * step + k);
      W::Result::run(m, out);
      const int64_t to = corner + s * c.out_pixel + k;
#pragma GCC unroll 8
      for (int r = 0; r < W::kOut; ++r) {
        if (r >= rows) break;
        V value = out[r] + offset;
        if (residual != nullptr) value += S::load(residual + to + r * c.out_row);
        if (relu) value = value < V{} ? V{} : value;
        S::store(y + to + r * c.out_row, value);
      }
    }
  }
}

template <class W>
void pack(const DirectConv& c, const WinogradPlan&, const float* weights, const WeightStrides& s, float* packed) {
  const int64_t step = panel_elements<float>(c.channels, c.out_channels) + WinogradPlan::kGap;
  parallel_for(c.channels, 1 + 2048 / c.out_channels, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      for (int64_t o = 0; o < c.out_channels; o += S::kWidth) {
        float taps[3][3][S::kWidth];
        const float* rows[3];
        for (int u = 0; u < 3; ++u) {
          rows[u] = taps[u][0];
          for (int v = 0; v < 3; ++v)
            for (int lane = 0; lane < S::kWidth; ++lane)
              taps[u][v][lane] = weights[s.first + (o + lane) * s.out + k * s.in + u * s.tap_h + v * s.tap_w];
        }
        float* to = packed + o / kPanel<float> * kPanel<float> * c.channels + k * kPanel<float> + o % kPanel<float>;
        expand<typename W::Weights>(rows, 0, S::kWidth, 0, 3, to, step);
      }
    }
  });
}

template <class W>
void convolve(const DirectConv& c, const WinogradPlan& p, const float* x, const float* packed,
              const ConvFinish<float>& finish, float* y) {
  constexpr int I = W::kIn, O = W::kOut;
  const int64_t in_step = p.block * c.channels + WinogradPlan::kGap,
                out_step = p.block * c.out_channels + WinogradPlan::kGap;
  const int64_t weights_step = panel_elements<float>(c.channels, c.out_channels) + WinogradPlan::kGap;
  // Memory that a tile adds to what others read, and that it writes; images follow each other without gaps.
  const int64_t x_tile = c.in_h * c.in_w * c.in_pixel / (p.tiles_h * p.tiles_w);
  const int64_t y_tile = c.out_h * c.out_w * c.out_pixel / (p.tiles_h * p.tiles_w);
  const int64_t overlap = 2 * c.in_w * c.in_pixel;
  parallel_for(p.tiles, p.block * p.blocks, [&](int64_t first, int64_t last) {
    float* inputs =
        static_cast<float*>(thread_scratch((I * I * in_step + (I + I * O) * out_step + I * c.channels) * kFloat));
    float* products = inputs + I * I * in_step;  // [I] a row of frequencies
    float* half = products + I * out_step;       // [I][O] transformed back along the rows
    float* zeros = half + I * O * out_step;
    __builtin_memset(zeros, 0, static_cast<size_t>(I * c.channels * kFloat));
    for (int64_t begin = first; begin < last; begin += p.block) {
      const int64_t count = clamp(last - begin, 0, p.block), next = clamp(last - begin - count, 0, p.block);
      for (int64_t t = 0; t < count; ++t)
        expand_input<W>(c, TileAt(p, begin + t), x, c.channels, zeros, inputs + t * c.channels, in_step);
      for (int i = 0; i < I; ++i) {
        for (int j = 0; j < I; ++j) {
          const int64_t f = i * I + j;
          prefetch_part(x + (begin + count) * x_tile + overlap, next * x_tile, f, I * I);
          prefetch_part(y + begin * y_tile, count * y_tile, f, I * I);
          if (finish.residual != nullptr) prefetch_part(finish.residual + begin * y_tile, count * y_tile, f, I * I);
          tile_product(count, c.out_channels, c.channels, inputs + f * in_step, c.channels, 1,
                       packed + f * weights_step, c.channels, products + j * out_step, c.out_channels, false);
        }
        shrink_row<W>(count * c.out_channels, products, half + i * O * out_step, out_step);
      }
      for (int64_t t = 0; t < count; ++t)
        finish_tile<W>(c, TileAt(p, begin + t), half + t * c.out_channels, out_step, finish, y);
    }
  });
}

// sums: [frequency][channel][output channel], parts `p.elements` apart.
template <class W>
void store_weight_grad(const DirectConv& c, const WinogradPlan& p, float* sums, float* grad_weights,
                       const WeightStrides& s) {
  using Taps = typename W::Taps;
  constexpr int I = W::kIn;
  const int64_t step = c.channels * c.out_channels;
  parallel_for(c.channels, 1 + 512 / c.out_channels, [&](int64_t begin, int64_t end) {
    for (int64_t k = begin; k < end; ++k) {
      for (int64_t o = 0; o < c.out_channels; o += S::kWidth) {
        V half[3][I];
        for (int i = 0; i < I; ++i) {
          V total[I], w[3];
          for (int j = 0; j < I; ++j) {
            const float* at = sums + (i * I + j) * step + k * c.out_channels + o;
            total[j] = S::load(at);
            for (int64_t part = 1; part < p.parts; ++part) total[j] += S::load(at + part * p.elements);
          }
          Taps::run(total, w);
          for (int v = 0; v < 3; ++v) half[v][i] = w[v];
        }
        for (int v = 0; v < 3; ++v) {
          V w[3];
          Taps::run(half[v], w);
          for (int u = 0; u < 3; ++u)
            for (int lane = 0; lane < S::kWidth; ++lane)
              grad_weights[s.first + (o + lane) * s.out + k * s.in + u * s.tap_h + v * s.tap_w] = w[u][lane];
        }
      }
    }
  });
}

template <class W>
void weight_grad(const DirectConv& c, const WinogradPlan& p, const float* x, const float* grad, float* partials,
                 float* grad_weights, const WeightStrides& s) {
  constexpr int I = W::kIn;
  const int64_t in_step = p.block * p.share + WinogradPlan::kGap;
  const int64_t grad_step = panel_elements<float>(p.block, c.out_channels) + WinogradPlan::kGap;
  const int64_t sums_step = c.channels * c.out_channels;
  const int64_t shares = (c.channels + p.share - 1) / p.share;
  const int64_t x_tile = c.in_h * c.in_w * c.in_pixel / (p.tiles_h * p.tiles_w);
  const int64_t grad_tile = c.out_h * c.out_w * c.out_pixel / (p.tiles_h * p.tiles_w);
  const int64_t overlap = 2 * c.in_w * c.in_pixel;
  const int64_t most = c.channels > c.out_channels ? c.channels : c.out_channels;
  parallel_for(p.parts * shares, 1, [&](int64_t task, int64_t) {
    float* inputs = static_cast<float*>(thread_scratch((I * I * (in_step + grad_step) + I * most) * kFloat));
    float* grads = inputs + I * I * in_step;
    float* zeros = grads + I * I * grad_step;
    __builtin_memset(zeros, 0, static_cast<size_t>(I * most * kFloat));
    const int64_t part = task / shares, first = task % shares * p.share;
    const int64_t channels = c.channels - first < p.share ? c.channels - first : p.share;
    float* sums = partials + part * p.elements + first * c.out_channels;
    const int64_t last_tile = (part + 1) * p.tiles / p.parts;
    bool add = false;
    for (int64_t begin = part * p.tiles / p.parts; begin < last_tile || !add; begin += p.block, add = true) {
      const int64_t count = clamp(last_tile - begin, 0, p.block);
      for (int64_t t = 0; t < count; ++t) {
        const TileAt at(p, begin + t);
        expand_input<W>(c, at, x + first, channels, zeros, inputs + t * p.share, in_step);
        expand_gradient<W>(c, at, grad, zeros, p.block, grads + t * kPanel<float>, grad_step);
      }
      const int64_t next = clamp(last_tile - begin - count, 0, p.block);
      for (int f = 0; f < I * I; ++f) {
        prefetch_part(x + (begin + count) * x_tile + overlap, next * x_tile, f, I * I);
        prefetch_part(grad + (begin + count) * grad_tile, next * grad_tile, f, I * I);
        tile_product(channels, c.out_channels, count, inputs + f * in_step, 1, p.share, grads + f * grad_step, p.block,
                     sums + f * sums_step, c.out_channels, add);
      }
    }
  });
  store_weight_grad<W>(c, p, partials, grad_weights, s);
}

}  // namespace

void winograd_pack(const DirectConv& c, const WinogradPlan& p, const float* weights, const WeightStrides& s,
                   float* packed) {
  p.tile == 4 ? pack<Winograd<4>>(c, p, weights, s, packed) : pack<Winograd<2>>(c, p, weights, s, packed);
}

void conv_winograd(const DirectConv& c, const WinogradPlan& p, const float* x, const float* packed,
                   const ConvFinish<float>& finish, float* y) {
  p.tile == 4 ? convolve<Winograd<4>>(c, p, x, packed, finish, y) : convolve<Winograd<2>>(c, p, x, packed, finish, y);
}

void winograd_weight_grad(const DirectConv& c, const WinogradPlan& p, const float* x, const float* grad,
                          float* partials, float* grad_weights, const WeightStrides& s) {
  p.tile == 4 ? weight_grad<Winograd<4>>(c, p, x, grad, partials, grad_weights, s)
              : weight_grad<Winograd<2>>(c, p, x, grad, partials, grad_weights, s);
}

}  // namespace tern::kernels::TERN_ISA
