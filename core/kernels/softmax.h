// Softmax and its logarithm along one axis of a dense block [outer, n, inner], and softmax + cross-entropy on rows.
#pragma once

#include <tern/core/kernels/kernel.h>

TERN_DECLARE_KERNELS(
    /// y = exp(x - max) / sum, or its logarithm. x, y: [outer, n, inner]
    template <class T> void softmax(const T* x, T* y, int64_t outer, int64_t n, int64_t inner, bool logarithm);
    /// dx = y * (dy - sum(dy * y)), or dy - exp(y) * sum(dy) for the logarithm. All [outer, n, inner]
    template <class T>
    void softmax_backward(const T* y, const T* dy, T* dx, int64_t outer, int64_t n, int64_t inner, bool logarithm);

    /// Per row of x: lse = log(sum(exp(x))), kept as the largest x and what it lies above that, and loss = a * (lse -
    /// x[label]) + b * sum_c w_c * (lse - x_c) with a = (1 - smoothing) * w[label], b = smoothing / n; 0 where the
    /// label is `ignore`. x: [rows, n], label, loss: [rows], lse: [rows, 2], weight: [n] or null (all 1).
    template <class T> void cross_entropy(const T* x, const int64_t* label, const T* weight, int64_t rows, int64_t n,
                                          int64_t ignore, double smoothing, T* lse, T* loss);
    /// dx of the above times scale, and times dloss[row] unless that is null.
    template <class T>
    void cross_entropy_backward(const T* x, const int64_t* label, const T* weight, const T* lse, const T* dloss,
                                double scale, int64_t rows, int64_t n, int64_t ignore, double smoothing, T* dx);

    /// Per row: loss = sum_c t'_c * w_c * (lse - x_c) with t' = (1 - smoothing) * t + smoothing / n. t: [rows, n]
    template <class T> void cross_entropy_soft(const T* x, const T* t, const T* weight, int64_t rows, int64_t n,
                                               double smoothing, T* lse, T* loss);
    /// dx and dt of the above (either may be null) times scale, and times dloss[row] unless that is null.
    template <class T>
    void cross_entropy_soft_backward(const T* x, const T* t, const T* weight, const T* lse, const T* dloss,
                                     double scale, int64_t rows, int64_t n, double smoothing, T* dx, T* dt);)
