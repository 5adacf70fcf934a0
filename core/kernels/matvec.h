// Matrix times vector, bound by memory, and the adding up of partial products.
#pragma once

#include <tern/core/kernels/kernel.h>

TERN_DECLARE_KERNELS(
    /// y[i * y_stride] = dot(a[i, :], x): a [rows, n], rows lda apart. On the calling thread, as matvec_columns.
    template <class T> void matvec_rows(const T* a, int64_t lda, const T* x, T* y, int64_t y_stride, int64_t rows,
                                        int64_t n, bool accumulate);
    /// y[j] = sum over i of x[i] * a[i, j]: a [k, n], rows lda apart.
    template <class T>
    void matvec_columns(const T* a, int64_t lda, const T* x, T* y, int64_t n, int64_t k, bool accumulate);
    /// out[i, j] = sum over p of partials[p * step + i * n + j], in order of p; rows of out out_stride apart.
    template <class T> void sum_partials(const T* partials, int64_t count, int64_t step, T* out, int64_t out_stride,
                                         int64_t m, int64_t n);)
