#include <tern/core/kernels/linear.h>

namespace tern::kernels::TERN_ISA {

template <class T>
void add_bias(T* y, int64_t ldy, const T* bias, int64_t rows, int64_t cols) {
  for (int64_t i = 0; i < rows; ++i) {
    T* row = y + i * ldy;
    for (int64_t j = 0; j < cols; ++j) row[j] += bias[j];
  }
}

template <class T>
void column_sums(const T* x, int64_t rows, int64_t cols, T* partials, T* sums) {
  const int64_t block = column_sum_rows(rows, cols), blocks = column_sum_blocks(rows, cols);
  parallel_for(blocks, 1, [=](int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b) {
      T* out = partials + b * cols;
      const int64_t end = (b + 1) * block < rows ? (b + 1) * block : rows;
      for (int64_t j = 0; j < cols; ++j) out[j] = T(0);
      for (int64_t i = b * block; i < end; ++i)
        for (int64_t j = 0; j < cols; ++j) out[j] += x[i * cols + j];
    }
  });
  for (int64_t j = 0; j < cols; ++j) sums[j] = T(0);
  for (int64_t b = 0; b < blocks; ++b)
    for (int64_t j = 0; j < cols; ++j) sums[j] += partials[b * cols + j];
}

#define INSTANTIATE(T)                                             \
  template void add_bias(T*, int64_t, const T*, int64_t, int64_t); \
  template void column_sums(const T*, int64_t, int64_t, T*, T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tern::kernels::TERN_ISA
