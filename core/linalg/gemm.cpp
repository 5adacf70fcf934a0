#include <algorithm>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/kernels/matvec.h>
#include <tern/core/kernels/panel_gemm.h>
#include <tern/core/linalg/blas.h>
#include <tern/core/linalg/gemm.h>
#include <tern/core/parallel.h>
#include <tern/core/scratch.h>
#include <tern/core/tensor.h>

// There are two ways to a product. Products of some size go by panels of our own (kernels/panel_gemm.h): the right
// operand is packed once, in as many pieces as there are threads for, and blocks of rows of the left one run over it;
// so does each of many small products of a batch. Everything else, and processors without AVX2, go to BLAS in pieces.
//
// How the latter is cut. A piece should be worth a hand-over to another thread (kPieceWork multiply-adds, some 10 us)
// and its sides long enough that packing the operands is small beside the arithmetic: every piece packs its own. Sides
// of 256 rows by 512 columns lose 3 % against one undivided call. Where the result has too few such pieces, a long
// inner axis is cut as well (partial results, added in order); only then are the sides cut shorter. Small matrices of a
// batch go several to a piece.

namespace tern::gemm {
namespace {

constexpr int64_t kPieceWork = int64_t{1} << 20;
constexpr int64_t kMaxPieces = 32;
constexpr int64_t kEnoughPieces = 8;
constexpr int64_t kInnerBlock = 512;
constexpr int64_t kPartialElements = int64_t{1} << 22;  // at most 16 MiB of partial results in f32

struct Cut {
  int64_t rows = 1, cols = 1, inner = 1;  // numbers of blocks
};

Cut choose_cut(int64_t batch, int64_t m, int64_t n, int64_t k, bool inner_allowed) {
  const double work = static_cast<double>(m) * static_cast<double>(n) * static_cast<double>(k) *
                      static_cast<double>(batch) / static_cast<double>(kPieceWork);
  const int64_t wanted = work >= static_cast<double>(kMaxPieces) ? kMaxPieces : static_cast<int64_t>(work);
  const int64_t each = (wanted + batch - 1) / batch;
  Cut cut;
  for (int64_t side = 256; side >= 32; side /= 2) {
    cut.rows = std::clamp<int64_t>(m / side, 1, std::max<int64_t>(each, 1));
    cut.cols = std::clamp<int64_t>(n / (2 * side), 1, std::max<int64_t>((each + cut.rows - 1) / cut.rows, 1));
    const int64_t pieces = batch * cut.rows * cut.cols;
    if (pieces >= std::min(wanted, kEnoughPieces)) break;
    if (side == 256 && inner_allowed && k >= 2 * kInnerBlock) {
      const int64_t inner = std::min(
          {(wanted + pieces - 1) / pieces, k / kInnerBlock, kPartialElements / std::max<int64_t>(batch * m * n, 1)});
      if (inner > 1) {
        cut.inner = inner;
        break;
      }
    }
  }
  return cut;
}

// Length of each of `count` nearly equal blocks of n, a multiple of 16 where there are several.
int64_t block_length(int64_t n, int64_t count) {
  if (count <= 1) return std::max<int64_t>(n, 1);
  return ((n + count - 1) / count + 15) / 16 * 16;
}

template <class T>
void zero_block(T* c, int64_t m, int64_t n, int64_t row_stride) {
  for (int64_t i = 0; i < m; ++i) std::fill_n(c + i * row_stride, n, T(0));
}

// One piece, on the calling thread.
template <class T>
void multiply_piece(int64_t m, int64_t n, int64_t k, const Matrices<const T>& a, const T* pa,
                    const Matrices<const T>& b, const T* pb, T* c, int64_t c_row_stride, bool accumulate) {
  if (k == 0) {
    if (!accumulate) zero_block(c, m, n, c_row_stride);
    return;
  }
  if (m == 1 && (a.col_stride == 1 || k == 1)) {
    if (b.row_stride == 1 && k > 1)
      TERN_KERNEL(matvec_rows<T>)(pb, b.col_stride, pa, c, 1, n, k, accumulate);
    else if (b.col_stride == 1)
      TERN_KERNEL(matvec_columns<T>)(pb, b.row_stride, pa, c, n, k, accumulate);
    else
      blas::gemm(false, true, m, n, k, T(1), pa, std::max(k, a.row_stride), pb, b.col_stride, T(accumulate), c,
                 c_row_stride);
    return;
  }
  if (n == 1 && (b.row_stride == 1 || k == 1) && a.col_stride == 1) {
    TERN_KERNEL(matvec_rows<T>)(pa, a.row_stride, pb, c, c_row_stride, m, k, accumulate);
    return;
  }
  const bool ta = a.col_stride != 1, tb = b.col_stride != 1;
  blas::gemm(ta, tb, m, n, k, T(1), pa, ta ? a.col_stride : a.row_stride, pb, tb ? b.col_stride : b.row_stride,
             T(accumulate), c, c_row_stride);
}

// Offset of batch index `index`, counted in row-major order over `sizes`.
int64_t batch_offset(const Dims& sizes, const Strides& strides, int64_t index) {
  int64_t offset = 0;
  for (int64_t axis = sizes.size() - 1; axis >= 0; --axis) {
    offset += index % sizes[axis] * strides[axis];
    index /= sizes[axis];
  }
  return offset;
}

// The batch axes of a product, apart into those that C has and those that are added up.
struct BatchAxes {
  Dims sizes;
  Strides a, b, c;
  int64_t count = 1;
  void add(int64_t size, int64_t sa, int64_t sb, int64_t sc) {
    sizes.push_back(size);
    a.push_back(sa);
    b.push_back(sb);
    c.push_back(sc);
    count *= size;
  }
};

// Brings strides to the rule of Matrices where sizes of 1 leave them free; false if only a copy would help.
bool normalize_strides(int64_t rows, int64_t cols, int64_t& row_stride, int64_t& col_stride) {
  if (rows == 0 || cols == 0) {
    row_stride = std::max<int64_t>(cols, 1), col_stride = 1;
    return true;
  }
  if (rows == 1 && cols == 1) {
    row_stride = col_stride = 1;
    return true;
  }
  if (cols == 1) {  // a column: its elements may lie anywhere apart
    if (row_stride == 1)
      col_stride = rows;
    else
      col_stride = 1;
    return row_stride >= 1;
  }
  if (rows == 1) {
    if (col_stride == 1)
      row_stride = cols;
    else
      row_stride = 1;
    return col_stride >= 1;
  }
  return (col_stride == 1 && row_stride >= cols) || (row_stride == 1 && col_stride >= rows);
}

// -- by panels

constexpr int64_t kPackedElements = int64_t{1} << 20;  // of B at once: 4 MiB in f32
constexpr int64_t kShortestSlice = 256;                // of the inner axis, where B is packed a slice at a time
constexpr int64_t kRowBlock = 96;                      // rows of A; a multiple of every tile height, as its quarter is
constexpr int64_t kEnoughTasks = 16;
constexpr int64_t kMinPanels = 6;        // of a block of columns
constexpr int64_t kMinColumnBlocks = 2;  // processors differ in speed: the last task should be short
constexpr int64_t kPanelsPacked = 4;     // by a task, side by side (kernels/tile.h)
constexpr int64_t kSmallProduct = int64_t{1} << 15;

int64_t ceil_divide(int64_t a, int64_t b) {
  return (a + b - 1) / b;
}

bool suits_panels(int64_t m, int64_t n, int64_t k) {
  if (isa() == Isa::kPortable || k < 4 || n < 4 || m < 4) return false;
  return m >= 48 || m * n * k <= kSmallProduct;  // packing B must pay, or the library's call be what costs
}

// What multiply_blocks makes of a product: tasks of `rows` rows by `panels` panels.
struct BlockCut {
  int64_t rows = kRowBlock, row_blocks = 1, panels = 1, col_blocks = 1;
  BlockCut(int64_t items, int64_t m, int64_t all_panels) {
    while (rows > kRowBlock / 4 && items * ceil_divide(m, rows) < kEnoughTasks) rows /= 2;
    row_blocks = ceil_divide(m, rows);
    const int64_t wanted =
        std::min(kMinColumnBlocks * ceil_divide(kEnoughTasks, items * row_blocks), all_panels / kMinPanels);
    panels = ceil_divide(all_panels, std::max<int64_t>(wanted, 1));
    col_blocks = ceil_divide(all_panels, panels);
  }
};

// Scratch memory of the calling thread: two areas of that many elements.
template <class T>
struct TwoAreas {
  T *first, *second;
  TwoAreas(int64_t elements, int64_t more) {
    const int64_t whole = ceil_divide(elements, 64) * 64;
    first = static_cast<T*>(thread_scratch((whole + more) * static_cast<int64_t>(sizeof(T))));
    second = first + whole;
  }
};

// Small matrices: a thread packs a matrix and multiplies by it, several a turn.
template <class T>
void multiply_items(const Product<T>& p, const BatchAxes& kept, const BatchAxes& summed) {
  const int64_t m = p.m, n = p.n, k = p.k, panels = ceil_divide(n, TERN_KERNEL(panel_width<T>)());
  const int64_t work = m * n * k * summed.count;
  const int64_t packed_elements = panels * TERN_KERNEL(panel_width<T>)() * k,
                left_elements = TERN_KERNEL(multiply_panels_scratch<T>)(m, k, p.a.row_stride, p.a.col_stride);
  parallel_for(kept.count, std::max<int64_t>(1, kPieceWork / 4 / work), [&](int64_t begin, int64_t end) {
    const TwoAreas<T> scratch(packed_elements, left_elements);
    for (int64_t item = begin; item < end; ++item) {
      T* c = p.c.data + batch_offset(kept.sizes, kept.c, item);
      for (int64_t term = 0; term < summed.count; ++term) {
        const T* a = p.a.data + batch_offset(kept.sizes, kept.a, item) + batch_offset(summed.sizes, summed.a, term);
        const T* b = p.b.data + batch_offset(kept.sizes, kept.b, item) + batch_offset(summed.sizes, summed.b, term);
        TERN_KERNEL(pack_panel_range<T>)(b, p.b.row_stride, p.b.col_stride, k, n, 0, panels, scratch.first);
        TERN_KERNEL(multiply_panels<T>)
        (m, n, k, a, p.a.row_stride, p.a.col_stride, scratch.first, k, c, p.c.row_stride, p.accumulate || term > 0,
         scratch.second);
      }
      if (p.epilogue != nullptr) p.epilogue(p.context, 0, m, 0, n);
    }
  });
}

// Larger ones: all threads pack the right operands, then all take blocks of rows (and of columns where rows are few).
// A long inner axis goes a slice at a time, so that what has been packed is still in the caches when it is used.
template <class T>
void multiply_blocks(const Product<T>& p, const BatchAxes& kept) {
  const int64_t m = p.m, n = p.n, k = p.k, width = TERN_KERNEL(panel_width<T>)(), panels = ceil_divide(n, width);
  const int64_t slices = ceil_divide(kept.count * panels * width * k, kPackedElements);
  const int64_t slice = std::min(k, std::max(ceil_divide(ceil_divide(k, slices), 16) * 16, kShortestSlice));
  const int64_t item_elements = panels * width * slice;
  Tensor packed = empty({kept.count, item_elements}, dtype_of<T>());
  T* const all = packed.data<T>();
  const BlockCut cut(kept.count, m, panels);
  const int64_t cols = cut.panels * width;
  const int64_t left_elements =
      TERN_KERNEL(multiply_panels_scratch<T>)(cut.rows, slice, p.a.row_stride, p.a.col_stride);
  for (int64_t k0 = 0; k0 < k; k0 += slice) {
    const int64_t inner = std::min(slice, k - k0);
    const bool accumulate = p.accumulate || k0 > 0, last = k0 + inner == k;
    parallel_for(kept.count * panels, std::max(kPanelsPacked, chunk_items(width * inner)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin, next; i < end; i = next) {
                     const int64_t item = i / panels, panel = i % panels;
                     next = std::min(end, (item + 1) * panels);
                     const T* b = p.b.data + batch_offset(kept.sizes, kept.b, item) + k0 * p.b.row_stride;
                     TERN_KERNEL(pack_panel_range<T>)
                     (b, p.b.row_stride, p.b.col_stride, inner, n, panel, panel + next - i, all + item * item_elements);
                   }
                 });
    const int64_t grain = std::max<int64_t>(1, kPieceWork / 4 / (cut.rows * std::min(cols, n) * inner));
    parallel_for(kept.count * cut.row_blocks * cut.col_blocks, grain, [&](int64_t begin, int64_t end) {
      T* scratch = left_elements > 0 ? TwoAreas<T>(0, left_elements).second : nullptr;
      for (int64_t task = begin; task < end; ++task) {
        const int64_t j0 = task % cut.col_blocks * cols, i0 = task / cut.col_blocks % cut.row_blocks * cut.rows;
        const int64_t item = task / cut.col_blocks / cut.row_blocks;
        const int64_t bm = std::min(cut.rows, m - i0), bn = std::min(cols, n - j0);
        TERN_KERNEL(multiply_panels<T>)
        (bm, bn, inner, p.a.data + batch_offset(kept.sizes, kept.a, item) + i0 * p.a.row_stride + k0 * p.a.col_stride,
         p.a.row_stride, p.a.col_stride, all + item * item_elements + j0 * inner, inner,
         p.c.data + batch_offset(kept.sizes, kept.c, item) + i0 * p.c.row_stride + j0, p.c.row_stride, accumulate,
         scratch);
        if (last && p.epilogue != nullptr) p.epilogue(p.context, i0, i0 + bm, j0, j0 + bn);
      }
    });
  }
}

// B is in panels. It is read once for every block of rows, from memory where it is large: so blocks have as many rows
// as stay in the second cache, and the columns are shared out.
template <class T>
void multiply_by_panels(const Product<T>& p) {
  const int64_t m = p.m, n = p.n, k = p.k, width = TERN_KERNEL(panel_width<T>)(), panels = ceil_divide(n, width);
  const int64_t row_blocks = ceil_divide(m, kRowBlock), rows = ceil_divide(ceil_divide(m, row_blocks), 4) * 4;
  const int64_t wanted = ceil_divide(kEnoughTasks, row_blocks), each = ceil_divide(panels, std::min(wanted, panels));
  const int64_t col_blocks = ceil_divide(panels, each), cols = each * width;
  const int64_t scratch_elements = TERN_KERNEL(multiply_panels_scratch<T>)(rows, k, p.a.row_stride, p.a.col_stride);
  const int64_t grain = std::max<int64_t>(1, kPieceWork / 8 / (std::min(rows, m) * std::min(cols, n) * k));
  parallel_for(row_blocks * col_blocks, grain, [&](int64_t begin, int64_t end) {
    T* scratch = scratch_elements > 0 ? TwoAreas<T>(0, scratch_elements).second : nullptr;
    for (int64_t task = begin; task < end; ++task) {
      const int64_t j0 = task % col_blocks * cols, i0 = task / col_blocks * rows;
      const int64_t bm = std::min(rows, m - i0), bn = std::min(cols, n - j0);
      TERN_KERNEL(multiply_panels<T>)
      (bm, bn, k, p.a.data + i0 * p.a.row_stride, p.a.row_stride, p.a.col_stride,
       p.panels->memory.template data<T>() + j0 * k, k, p.c.data + i0 * p.c.row_stride + j0, p.c.row_stride,
       p.accumulate, scratch);
      if (p.epilogue != nullptr) p.epilogue(p.context, i0, i0 + bm, j0, j0 + bn);
    }
  });
}

// Whether there is enough to do for all threads in the blocks of C.
bool enough_blocks(int64_t items, int64_t m, int64_t n, int64_t k, int64_t width) {
  const BlockCut cut(items, m, ceil_divide(n, width));
  return items * cut.row_blocks * cut.col_blocks >= kEnoughPieces || m * n * k < kEnoughPieces * kPieceWork ||
         k < 2 * kInnerBlock;
}

}  // namespace

MatrixView MatrixView::transposed() const {
  MatrixView t = *this;
  std::swap(t.rows, t.cols);
  std::swap(t.row_stride, t.col_stride);
  return t;
}

MatrixView as_matrices(const Tensor& x) {
  const auto of = [](const Tensor& t) {
    const int64_t d = t.dim();
    MatrixView v{t, t.shape()[d - 2], t.shape()[d - 1], t.strides()[d - 2], t.strides()[d - 1], {}, {}};
    for (int64_t i = 0; i < d - 2; ++i) {
      v.batch.push_back(t.shape()[i]);
      v.batch_strides.push_back(t.strides()[i]);
    }
    return v;
  };
  MatrixView v = of(x);
  if (normalize_strides(v.rows, v.cols, v.row_stride, v.col_stride)) return v;
  const NoGradGuard no_grad;
  v = of(x.clone(MemoryFormat::kContiguous));
  normalize_strides(v.rows, v.cols, v.row_stride, v.col_stride);
  return v;
}

template <class T>
void multiply(const Product<T>& p) {
  TERN_ASSERT(p.c.col_stride == 1 || p.n == 1, "a product into columns ", p.c.col_stride, " apart");
  TERN_ASSERT(p.epilogue == nullptr || p.batch.empty(), "an epilogue for a batch of products");
  if (p.m == 0 || p.n == 0) return;
  BatchAxes kept, summed;
  for (int64_t i = 0; i < p.batch.size(); ++i) {
    if (p.batch[i] == 1) continue;
    BatchAxes& axes = p.c.batch_strides[i] == 0 ? summed : kept;
    axes.add(p.batch[i], p.a.batch_strides[i], p.b.batch_strides[i], p.c.batch_strides[i]);
  }
  if (kept.count == 0) return;
  const int64_t m = p.m, n = p.n, k = p.k, terms = summed.count;
  if (k == 0 || terms == 0) {
    for (int64_t item = 0; item < kept.count && !p.accumulate; ++item)
      zero_block(p.c.data + batch_offset(kept.sizes, kept.c, item), m, n, p.c.row_stride);
    if (p.epilogue != nullptr) p.epilogue(p.context, 0, m, 0, n);
    return;
  }

  if (p.panels != nullptr) {
    TERN_ASSERT(p.batch.empty() && p.panels->k == k && p.panels->n == n, "panels of another product");
    return multiply_by_panels(p);
  }
  if (suits_panels(m, n, k)) {
    if (k * n <= kPackedElements && (kept.count >= kMaxPieces || m * n * k * terms < kPieceWork))
      return multiply_items(p, kept, summed);
    if (terms == 1 && enough_blocks(kept.count, m, n, k, TERN_KERNEL(panel_width<T>)()))
      return multiply_blocks(p, kept);
  }
  const Cut cut = choose_cut(kept.count, m, n, k * terms, terms == 1 && !p.accumulate);
  const int64_t rows = block_length(m, cut.rows), cols = block_length(n, cut.cols), inner = block_length(k, cut.inner);
  const int64_t row_blocks = chunk_count(m, rows), col_blocks = chunk_count(n, cols),
                inner_blocks = chunk_count(k, inner);
  const int64_t pieces = kept.count * row_blocks * col_blocks * inner_blocks;
  const int64_t piece_work = rows * cols * inner * terms;
  const int64_t grain = std::max<int64_t>(1, kPieceWork / 2 / std::max<int64_t>(piece_work, 1));

  Tensor partial;  // [inner_blocks, kept.count, m, n]
  T* partials = nullptr;
  if (inner_blocks > 1) {
    partial = empty({inner_blocks * kept.count * m * n}, dtype_of<T>());
    partials = partial.data<T>();
  }
  parallel_for(pieces, grain, [&](int64_t begin, int64_t end) {
    for (int64_t piece = begin; piece < end; ++piece) {
      int64_t rest = piece;
      const int64_t j0 = rest % col_blocks * cols;
      rest /= col_blocks;
      const int64_t i0 = rest % row_blocks * rows;
      rest /= row_blocks;
      const int64_t item = rest % kept.count, l = rest / kept.count, k0 = l * inner;
      const int64_t bm = std::min(rows, m - i0), bn = std::min(cols, n - j0), bk = std::min(inner, k - k0);
      const T* a = p.a.data + batch_offset(kept.sizes, kept.a, item) + i0 * p.a.row_stride + k0 * p.a.col_stride;
      const T* b = p.b.data + batch_offset(kept.sizes, kept.b, item) + k0 * p.b.row_stride + j0 * p.b.col_stride;
      T* c = partials != nullptr ? partials + ((l * kept.count + item) * m + i0) * n + j0
                                 : p.c.data + batch_offset(kept.sizes, kept.c, item) + i0 * p.c.row_stride + j0;
      const int64_t c_row_stride = partials != nullptr ? n : p.c.row_stride;
      for (int64_t term = 0; term < terms; ++term)
        multiply_piece(bm, bn, bk, p.a, a + batch_offset(summed.sizes, summed.a, term), p.b,
                       b + batch_offset(summed.sizes, summed.b, term), c, c_row_stride, p.accumulate || term > 0);
      if (p.epilogue != nullptr && partials == nullptr) p.epilogue(p.context, i0, i0 + bm, j0, j0 + bn);
    }
  });
  if (partials == nullptr) return;
  for (int64_t item = 0; item < kept.count; ++item) TERN_KERNEL(sum_partials<T>)
  (partials + item * m * n, inner_blocks, kept.count * m * n, p.c.data + batch_offset(kept.sizes, kept.c, item),
   p.c.row_stride, m, n);
  if (p.epilogue != nullptr)
    parallel_for(m, chunk_items(n), [&](int64_t begin, int64_t end) { p.epilogue(p.context, begin, end, 0, n); });
}

template <class T>
Panels<T> pack_right(const Matrices<const T>& b, int64_t k, int64_t n) {
  const int64_t width = TERN_KERNEL(panel_width<T>)(), panels = ceil_divide(n, width);
  Panels<T> packed{empty({panels * width * k}, dtype_of<T>()), k, n};
  T* const to = packed.memory.template data<T>();
  parallel_for(panels, chunk_items(width * std::max<int64_t>(k, 1)), [&](int64_t begin, int64_t end) {
    TERN_KERNEL(pack_panel_range<T>)(b.data, b.row_stride, b.col_stride, k, n, begin, end, to);
  });
  return packed;
}

template <class T>
int64_t multiply_rows_scratch(int64_t rows, int64_t a_row_stride, const Panels<T>& b) {
  return TERN_KERNEL(multiply_panels_scratch<T>)(rows, b.k, a_row_stride, 1);
}

template <class T>
void multiply_rows(int64_t rows, const T* a, int64_t a_row_stride, const Panels<T>& b, T* c, int64_t c_row_stride,
                   T* scratch) {
  TERN_KERNEL(multiply_panels<T>)
  (rows, b.n, b.k, a, a_row_stride, 1, b.memory.template data<T>(), b.k, c, c_row_stride, false, scratch);
}

#define INSTANTIATE(T)                                                        \
  template void multiply(const Product<T>&);                                  \
  template Panels<T> pack_right(const Matrices<const T>&, int64_t, int64_t);  \
  template int64_t multiply_rows_scratch(int64_t, int64_t, const Panels<T>&); \
  template void multiply_rows(int64_t, const T*, int64_t, const Panels<T>&, T*, int64_t, T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tern::gemm
