// What a linear layer does besides its matrix products.
#pragma once

#include <tern/core/kernels/kernel.h>

namespace tern::kernels {

enum class LinearAct { kNone, kRelu, kGeluErf, kGeluTanh, kSilu };

}  // namespace tern::kernels

TERN_DECLARE_KERNELS(
    /// z[i, j] += bias[j], y = act(z), for a block [rows, cols] of z and y, rows ld apart. bias may be null, y may be
    /// z. On the calling thread.
    template <class T> void bias_act(LinearAct act, T* z, T* y, int64_t ld, const T* bias, int64_t rows, int64_t cols);
    /// grad_z = grad_y * slope of act, from `saved`: y for kRelu, z for the others; all [rows, cols] dense. Where not
    /// null, partials ([column_sum_blocks(rows, cols), cols]) and sums get the column sums of grad_z.
    template <class T> void act_backward(LinearAct act, const T* grad_y, const T* saved, T* grad_z, int64_t rows,
                                         int64_t cols, T* partials, T* sums);
    /// The same for a block, on the calling thread, in place if grad_z is grad_y; all dense. sums, if not null, get the
    /// column sums of this block's grad_z.
    template <class T> void act_backward_block(LinearAct act, const T* grad_y, const T* saved, T* grad_z, int64_t rows,
                                               int64_t cols, T* sums);
    /// sums[j] = the column sums of x [rows, cols], dense, on the calling thread.
    template <class T> void column_sums_block(const T* x, int64_t rows, int64_t cols, T* sums);
    /// sums[j] = partials[0, j] + partials[1, j] + ..., in order; partials: [blocks, cols].
    template <class T> void add_partial_sums(const T* partials, int64_t blocks, int64_t cols, T* sums);
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
