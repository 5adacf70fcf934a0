// Products of small matrices that lie in the caches, for kernel sources: no library call, no packing of the left
// operand.
//
// The right operand comes in panels: columns 2 w j .. 2 w (j + 1) - 1 (w: elements in a vector) of all its rows, one
// row behind the other, filled up with zeros. A tile of M rows by two vectors of the result stays in registers while
// the inner axis runs; each step loads two vectors of B and multiplies them by M broadcast elements of A:
//   AVX2, SSE: 6 x 2 vectors, 12 of 16 registers;  AVX-512: 12 x 2, 24 of 32.
// A last panel of a single vector has tiles twice as high, so that as many sums are under way.
#pragma once

#include <tern/core/kernels/detail/simd.h>

namespace tern::kernels::TERN_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int kTileRows = 12;
#else
constexpr int kTileRows = 6;
#endif

constexpr int64_t kRowsOfBAhead =
    32;  // asked for in advance, across the pages at which the processor's own asking ends

template <class T>
constexpr int64_t kPanel = 2 * Simd<T>::kWidth;  // columns of a panel

inline int64_t round_up(int64_t n, int64_t step) {
  return (n + step - 1) / step * step;
}

// Elements of a [k, n] matrix in panels.
template <class T>
inline int64_t panel_elements(int64_t k, int64_t n) {
  return k * round_up(n, kPanel<T>);
}

// b[k, n], rows ldb apart, into panels; several side by side, as every row of a large matrix lies in a page of its own.
template <class T>
inline void pack_panels(const T* b, int64_t ldb, int64_t k, int64_t n, T* panels) {
  constexpr int64_t kTogether = 4;
  int64_t j0 = 0;
  for (; j0 + kTogether * kPanel<T> <= n; j0 += kTogether * kPanel<T>, panels += kTogether * k * kPanel<T>)
    for (int64_t l = 0; l < k; ++l) {
      const T* row = b + l * ldb + j0;
      T* to = panels + l * kPanel<T>;
      for (int64_t p = 0; p < kTogether; ++p, row += kPanel<T>, to += k * kPanel<T>)
        for (int64_t j = 0; j < kPanel<T>; ++j) to[j] = row[j];
    }
  for (; j0 < n; j0 += kPanel<T>) {
    const int64_t cols = n - j0 < kPanel<T> ? n - j0 : kPanel<T>;
    for (int64_t l = 0; l < k; ++l, panels += kPanel<T>) {
      const T* row = b + l * ldb + j0;
      if (cols == kPanel<T>) {
        for (int64_t j = 0; j < kPanel<T>; ++j) panels[j] = row[j];
      } else {
        for (int64_t j = 0; j < cols; ++j) panels[j] = row[j];
        for (int64_t j = cols; j < kPanel<T>; ++j) panels[j] = T(0);
      }
    }
  }
}

// The first and the last halves of two vectors, lane by lane in turn.
template <int W, class V>
[[gnu::always_inline]] inline V interleave_low(V a, V b) {
  if constexpr (W == 2) return __builtin_shufflevector(a, b, 0, 2);
  if constexpr (W == 4) return __builtin_shufflevector(a, b, 0, 4, 1, 5);
  if constexpr (W == 8) return __builtin_shufflevector(a, b, 0, 8, 1, 9, 2, 10, 3, 11);
  if constexpr (W == 16) return __builtin_shufflevector(a, b, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
}
template <int W, class V>
[[gnu::always_inline]] inline V interleave_high(V a, V b) {
  if constexpr (W == 2) return __builtin_shufflevector(a, b, 1, 3);
  if constexpr (W == 4) return __builtin_shufflevector(a, b, 2, 6, 3, 7);
  if constexpr (W == 8) return __builtin_shufflevector(a, b, 4, 12, 5, 13, 6, 14, 7, 15);
  if constexpr (W == 16)
    return __builtin_shufflevector(a, b, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
}

// Transposes a square of W vectors of W lanes: each round of interleaving moves a bit of the row number into the lane
// number.
template <int W, class V>
[[gnu::always_inline]] inline void transpose(V (&rows)[W]) {
#pragma GCC unroll 4
  for (int round = 1; round < W; round *= 2) {
    V next[W];
#pragma GCC unroll 8
    for (int i = 0; i < W / 2; ++i) {
      next[2 * i] = interleave_low<W>(rows[i], rows[i + W / 2]);
      next[2 * i + 1] = interleave_high<W>(rows[i], rows[i + W / 2]);
    }
#pragma GCC unroll 16
    for (int i = 0; i < W; ++i) rows[i] = next[i];
  }
}

// The same for the transpose of b[n, k], rows ldb apart.
template <class T>
inline void pack_panels_transposed(const T* b, int64_t ldb, int64_t k, int64_t n, T* panels) {
  using S = Simd<T>;
  constexpr int W = S::kWidth;
  for (int64_t j0 = 0; j0 < n; j0 += kPanel<T>, panels += k * kPanel<T>) {
    const int64_t cols = n - j0 < kPanel<T> ? n - j0 : kPanel<T>;
    for (int64_t half = 0; half < kPanel<T>; half += W) {
      const T* from = b + (j0 + half) * ldb;
      int64_t l = 0;
      for (; half + W <= cols && l + W <= k; l += W) {
        typename S::Vec rows[W];
#pragma GCC unroll 16
        for (int r = 0; r < W; ++r) rows[r] = S::load(from + r * ldb + l);
        transpose<W>(rows);
#pragma GCC unroll 16
        for (int r = 0; r < W; ++r) S::store(panels + (l + r) * kPanel<T> + half, rows[r]);
      }
      const int64_t here = cols - half < 0 ? 0 : cols - half < W ? cols - half : W;
      for (; l < k; ++l) {
        T* to = panels + l * kPanel<T> + half;
        if (here < W) S::store(to, typename S::Vec{});
        for (int64_t j = 0; j < here; ++j) to[j] = from[j * ldb + l];
      }
    }
  }
}

// `count` tiles of M rows by N vectors of C, one below the other. a(i, l) is a[i * a_row + l * a_col]; b is one panel.
// Without the unrolling the sums would live in memory.
template <int M, int N, class T>
[[gnu::noinline]] void tiles(int64_t count, int64_t k, const T* a, int64_t a_row, int64_t a_col, const T* b, T* c,
                             int64_t ldc, bool accumulate) {
  using S = Simd<T>;
  using V = typename S::Vec;
  for (int64_t tile = 0; tile < count; ++tile, a += M * a_row, c += M * ldc) {
    V sums[M][N] = {};
#pragma GCC unroll 24
    for (int i = 0; i < M; ++i) __builtin_prefetch(c + i * ldc, 1);  // C is wanted at the end: by then it has come
    const T* left = a;
    const T* right = b;
    for (int64_t l = 0; l < k; ++l, left += a_col, right += kPanel<T>) {
      V row[N];
#pragma GCC unroll 2
      for (int j = 0; j < N; ++j) row[j] = S::load(right + j * S::kWidth);
#pragma GCC unroll 2
      for (int j = 0; j < N; ++j) __builtin_prefetch(right + kRowsOfBAhead * kPanel<T> + j * S::kWidth);
#pragma GCC unroll 24
      for (int i = 0; i < M; ++i) {
        const V value = S::broadcast(left[i * a_row]);
#pragma GCC unroll 2
        for (int j = 0; j < N; ++j) sums[i][j] += value * row[j];
      }
    }
#pragma GCC unroll 24
    for (int i = 0; i < M; ++i)
#pragma GCC unroll 2
      for (int j = 0; j < N; ++j) {
        T* to = c + i * ldc + j * S::kWidth;
        S::store(to, accumulate ? S::load(to) + sums[i][j] : sums[i][j]);
      }
  }
}

// Tiles of `rows` rows, at most M.
template <int M, int N, class T>
inline void tiles_of(int64_t rows, int64_t count, int64_t k, const T* a, int64_t a_row, int64_t a_col, const T* b, T* c,
                     int64_t ldc, bool accumulate) {
  if constexpr (M > 1) {
    if (rows < M) return tiles_of<M - 1, N>(rows, count, k, a, a_row, a_col, b, c, ldc, accumulate);
  }
  tiles<M, N>(count, k, a, a_row, a_col, b, c, ldc, accumulate);
}

// All rows, in tiles of at most M, as even as can be: of 16 rows, tiles of 6, 5 and 5.
template <int M, int N, class T>
[[gnu::noinline]] void tile_rows(int64_t m, int64_t k, const T* a, int64_t a_row, int64_t a_col, const T* b, T* c,
                                 int64_t ldc, bool accumulate) {
  const int64_t count = (m + M - 1) / M, rows = (m + count - 1) / count;
  const int64_t lower = count * rows - m, higher = count - lower;  // tiles with a row less, and without
  tiles_of<M, N>(rows, higher, k, a, a_row, a_col, b, c, ldc, accumulate);
  if (lower > 0) {
    const int64_t done = higher * rows;
    tiles_of<M, N>(rows - 1, lower, k, a + done * a_row, a_row, a_col, b, c + done * ldc, ldc, accumulate);
  }
}

// C (+)= A B: C [m, n], rows ldc apart, n a multiple of the vector width (padding columns get zeros); B in panels of
// `panel_rows` rows, of which the first k are used.
template <class T>
inline void tile_product(int64_t m, int64_t n, int64_t k, const T* a, int64_t a_row, int64_t a_col, const T* panels,
                         int64_t panel_rows, T* c, int64_t ldc, bool accumulate) {
  int64_t j = 0;
  for (; j + kPanel<T> <= n; j += kPanel<T>, panels += panel_rows * kPanel<T>)
    tile_rows<kTileRows, 2>(m, k, a, a_row, a_col, panels, c + j, ldc, accumulate);
  if (j < n) tile_rows<2 * kTileRows, 1>(m, k, a, a_row, a_col, panels, c + j, ldc, accumulate);
}

}  // namespace
}  // namespace tern::kernels::TERN_ISA
