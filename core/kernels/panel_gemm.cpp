#include <tern/core/kernels/detail/tile.h>
#include <tern/core/kernels/panel_gemm.h>

// The tiling (after Goto and van de Geijn, "Anatomy of high-performance matrix multiplication", 2008):
//   - B has been packed into panels, two vectors wide (tile.h); all row blocks of all threads read the same copy.
//   - The inner axis is cut into slices of up to kSlice: a slice of a panel is 20 KiB and stays in the first cache
//   while the
//     tiles of a row block run over it, one below the other.
//   - A, a block of some 100 rows, stays in the second cache over all panels. It is read in place where rows are dense:
//     a tile then reads six (AVX-512: twelve) streams. Where columns are dense (the transpose in a weight gradient) or
//     rows lie so far apart that they share few cache sets, a slice of the block is packed tile by tile first.
//   - The tile of C stays in registers for a slice, and is read and written once a slice.

namespace tern::kernels::TERN_ISA {
namespace {

constexpr int64_t kSlice = 320;  // at most
constexpr int64_t kTailRows = 4 * kTileRows;

// Slices are nearly equal.
int64_t slice_length(int64_t k) {
  const int64_t slices = (k + kSlice - 1) / kSlice;
  return slices > 1 ? round_up((k + slices - 1) / slices, 8) : k;
}

// Rows lying this many bytes apart fall into few sets of the caches.
constexpr int64_t kAliasBytes = 2048;
constexpr int64_t kSmallBlock = 4096;  // elements: read in place however they lie

template <class T>
bool packs_left(int64_t m, int64_t k, int64_t a_row, int64_t a_col) {
  if (m * k <= kSmallBlock) return false;
  return a_col != 1 || a_row * static_cast<int64_t>(sizeof(T)) % kAliasBytes == 0;
}

template <class T>
constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(T));
constexpr int64_t kRowsAhead = 12;

// Elements from one packed tile of A to the next: a line more than its own, or all of them would begin in two sets.
template <class T>
constexpr int64_t tile_step(int64_t k) {
  return round_up(k * kTileRows, 64 / static_cast<int64_t>(sizeof(T))) + 64 / static_cast<int64_t>(sizeof(T));
}

// One tile of kTileRows dense rows, as many columns as fill vectors; returns how many. Squares are transposed in
// registers. A stored vector may be longer than what is left of a column of the tile: the next one writes over it, and
// behind the last there is the gap of tile_step.
template <class T>
int64_t pack_rows(const T* a, int64_t a_row, int64_t k, T* tile) {
  using S = Simd<T>;
  constexpr int W = S::kWidth, kSquares = (kTileRows + W - 1) / W;
  int64_t l = 0;
  for (; l + W <= k; l += W) {
    typename S::Vec squares[kSquares][W] = {};
#pragma GCC unroll 16
    for (int r = 0; r < kTileRows; ++r) squares[r / W][r % W] = S::load(a + r * a_row + l);
#pragma GCC unroll 8
    for (int s = 0; s < kSquares; ++s) transpose<W>(squares[s]);
#pragma GCC unroll 16
    for (int c = 0; c < W; ++c)
#pragma GCC unroll 8
      for (int s = 0; s < kSquares; ++s) S::store(tile + (l + c) * kTileRows + s * W, squares[s][c]);
  }
  return l;
}

// Rows of A in tiles of kTileRows: element (i, l) at tiles[i / kTileRows * tile_step(k) + l * kTileRows + i %
// kTileRows].
template <class T>
void pack_tiles(const T* a, int64_t a_row, int64_t a_col, int64_t m, int64_t k, T* tiles) {
  const int64_t step = tile_step<T>(k), whole = m / kTileRows, rest = m - whole * kTileRows;
  if (a_row == 1) {
    for (int64_t l = 0; l < k; ++l, a += a_col) {  // A is read as it lies
      T* to = tiles + l * kTileRows;
      for (int64_t i = 0; i < m; i += kLine<T>) __builtin_prefetch(a + kRowsAhead * a_col + i);
      for (int64_t t = 0; t < whole; ++t, to += step) __builtin_memcpy(to, a + t * kTileRows, kTileRows * sizeof(T));
      for (int64_t r = 0; r < rest; ++r) to[r] = a[whole * kTileRows + r];
    }
    return;
  }
  for (int64_t t = 0; t <= whole; ++t, tiles += step, a += kTileRows * a_row) {
    const int64_t rows = t < whole ? kTileRows : rest;
    const int64_t done = a_col == 1 && rows == kTileRows ? pack_rows(a, a_row, k, tiles) : 0;
    for (int64_t r = 0; r < rows; ++r)
      for (int64_t l = done; l < k; ++l) tiles[l * kTileRows + r] = a[r * a_row + l * a_col];
  }
}

// One slice: C (+)= A B with n a multiple of the vector width.
template <class T>
void multiply_slice(int64_t m, int64_t n, int64_t k, const T* a, int64_t a_row, int64_t a_col, bool packed,
                    const T* panels, int64_t panel_rows, T* c, int64_t ldc, bool accumulate) {
  if (!packed) return tile_product(m, n, k, a, a_row, a_col, panels, panel_rows, c, ldc, accumulate);
  for (int64_t j = 0; j < n; j += kPanel<T>, panels += panel_rows * kPanel<T>)
    for (int64_t i = 0; i < m; i += kTileRows) {
      const T* tile_of_a = a + i / kTileRows * tile_step<T>(k);
      const int64_t rows = m - i < kTileRows ? m - i : kTileRows;
      if (n - j >= kPanel<T>)
        tile_rows<kTileRows, 2>(rows, k, tile_of_a, int64_t{1}, int64_t{kTileRows}, panels, c + i * ldc + j, ldc,
                                accumulate);
      else
        tile_rows<kTileRows, 1>(rows, k, tile_of_a, int64_t{1}, int64_t{kTileRows}, panels, c + i * ldc + j, ldc,
                                accumulate);
    }
}

}  // namespace

template <class T>
int64_t panel_width() {
  return kPanel<T>;
}

template <class T>
void pack_panel_range(const T* b, int64_t row_stride, int64_t col_stride, int64_t k, int64_t n, int64_t first,
                      int64_t last, T* panels) {
  const int64_t j0 = first * kPanel<T>, end = last * kPanel<T> < n ? last * kPanel<T> : n;
  if (col_stride == 1)
    pack_panels(b + j0, row_stride, k, end - j0, panels + j0 * k);
  else
    pack_panels_transposed(b + j0 * col_stride, col_stride, k, end - j0, panels + j0 * k);
}

template <class T>
int64_t multiply_panels_scratch(int64_t m, int64_t k, int64_t a_row, int64_t a_col) {
  return packs_left<T>(m, k, a_row, a_col) ? round_up(m, kTileRows) / kTileRows * tile_step<T>(k < kSlice ? k : kSlice)
                                           : 0;
}

template <class T>
void multiply_panels(int64_t m, int64_t n, int64_t k, const T* a, int64_t a_row, int64_t a_col, const T* panels,
                     int64_t panel_rows, T* c, int64_t ldc, bool accumulate, T* scratch) {
  const bool packs = packs_left<T>(m, k, a_row, a_col);
  const int64_t whole = n % Simd<T>::kWidth == 0 ? n : n / kPanel<T> * kPanel<T>, rest = n - whole;
  for (int64_t k0 = 0, slice = slice_length(k); k0 < k; k0 += slice, accumulate = true) {
    const int64_t inner = k - k0 < slice ? k - k0 : slice;
    const T *left = a + k0 * a_col, *right = panels + k0 * kPanel<T>;
    if (packs) pack_tiles(left, a_row, a_col, m, inner, scratch);
    if (packs)
      multiply_slice(m, whole, inner, scratch, int64_t{0}, int64_t{0}, true, right, panel_rows, c, ldc, accumulate);
    else
      multiply_slice(m, whole, inner, left, a_row, a_col, false, right, panel_rows, c, ldc, accumulate);
    if (rest == 0) continue;
    // Columns that do not fill a vector are computed beside C, with the zeros of the panel.
    right += whole * panel_rows;
    T beside[kTailRows * kPanel<T>];
    for (int64_t i0 = 0; i0 < m; i0 += kTailRows) {
      const int64_t rows = m - i0 < kTailRows ? m - i0 : kTailRows, cols = round_up(rest, Simd<T>::kWidth);
      if (packs)
        multiply_slice(rows, cols, inner, scratch + i0 / kTileRows * tile_step<T>(inner), int64_t{0}, int64_t{0}, true,
                       right, panel_rows, beside, kPanel<T>, false);
      else
        multiply_slice(rows, cols, inner, left + i0 * a_row, a_row, a_col, false, right, panel_rows, beside, kPanel<T>,
                       false);
      for (int64_t i = 0; i < rows; ++i) {
        T* to = c + (i0 + i) * ldc + whole;
        const T* from = beside + i * kPanel<T>;
        for (int64_t j = 0; j < rest; ++j) to[j] = accumulate ? to[j] + from[j] : from[j];
      }
    }
  }
}

#define INSTANTIATE(T)                                                                                                 \
  template int64_t panel_width<T>();                                                                                   \
  template void pack_panel_range(const T*, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, T*);                  \
  template int64_t multiply_panels_scratch<T>(int64_t, int64_t, int64_t, int64_t);                                     \
  template void multiply_panels(int64_t, int64_t, int64_t, const T*, int64_t, int64_t, const T*, int64_t, T*, int64_t, \
                                bool, T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tern::kernels::TERN_ISA
