// What a linear layer does besides its matrix products.
#pragma once

#include <tern/core/kernels/kernel.h>

TERN_DECLARE_KERNELS(
    /// y[i, j] += bias[j] for a block of y: [rows, cols], rows ldy apart. On the calling thread.
    template <class T> void add_bias(T* y, int64_t ldy, const T* bias, int64_t rows, int64_t cols);
    /// sums[j] = sum over i of x[i, j]; x: [rows, cols] dense; partials: [column_sum_blocks(rows, cols), cols].
    template <class T> void column_sums(const T* x, int64_t rows, int64_t cols, T* partials, T* sums);)

namespace tern::kernels {

/// Rows that are added up in one partial sum: a fixed amount of work, and few enough partial sums.
inline int64_t column_sum_rows(int64_t rows, int64_t cols) {
  const int64_t by_work = kElementwiseGrain / (cols > 0 ? cols : 1), by_count = (rows + 63) / 64;
  return by_work > by_count ? by_work : (by_count > 0 ? by_count : 1);
}
inline int64_t column_sum_blocks(int64_t rows, int64_t cols) {
  return chunk_count(rows, column_sum_rows(rows, cols));
}

}  // namespace tern::kernels
