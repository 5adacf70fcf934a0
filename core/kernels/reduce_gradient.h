// Gradients of reductions, and running sums.
#pragma once

#include <tern/core/kernels/detail/strided.h>
#include <tern/core/kernels/kernel.h>

namespace tern {

/// How the gradient dx of a reduction to y follows from the gradient g of y; all broadcast to x.
enum class ReduceGradient {
  kVariance,   ///< factor * g * (x - y), y the mean
  kEqual,      ///< g where x == y, else 0
  kLogSumExp,  ///< g * exp(x - y)
  kAbsSum,     ///< g * sign(x)
  kNorm,       ///< g * x / y, 0 where y is 0
  kAbsEqual,   ///< g * sign(x) where |x| == y, else 0
};

}  // namespace tern

TERN_DECLARE_KERNELS(
    /// plan operands: dx, x, y, g
    template <class T> void reduce_gradient(ReduceGradient kind, const LoopPlan<4>& plan, T* dx, const T* x, const T* y,
                                            const T* g, T factor);
    /// dx[r, i] = g[r] * product of x[r, k] over k != i. x, dx: [rows, n]
    template <class T> void product_gradient(const T* x, const T* g, T* dx, int64_t rows, int64_t n);
    /// y = running sums of x along n, from its end if reverse. x, y: [outer, n, inner]; O is T for
    /// floats and int64_t for integers
    template <class T, class O> void cumulate(const T* x, O* y, int64_t outer, int64_t n, int64_t inner, bool reverse);)
