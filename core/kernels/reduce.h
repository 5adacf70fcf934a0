// Reductions: many elements in, one out.
#pragma once

#include <tern/core/kernels/detail/strided.h>
#include <tern/core/kernels/kernel.h>

namespace tern {

/// Columns that are reduced together, at most.
inline constexpr int64_t kReduceTile = 512;

/// A reduction of x over some of its axes. Axes are listed innermost first (smallest stride in x), those that lie one
/// behind the other merged. Strides are in elements.
struct ReducePlan {
  int64_t kept_axes = 0, reduced_axes = 0;
  int64_t kept = 1, reduced = 1;  ///< products of the sizes
  int64_t kept_size[8] = {}, kept_stride[8] = {}, out_stride[8] = {};
  int64_t reduced_size[8] = {}, reduced_stride[8] = {};
  bool columns = false;  ///< the innermost axis of x is a kept one
  int64_t tile = 1;      ///< columns: outputs worked on together
  int64_t part = 1;      ///< reduced elements (columns: rows) that one partial result covers
  int64_t parts = 1;     ///< partial results an output
};

/// What is computed from the elements x; `shift` is a number an output, laid out as the output.
enum class ReduceKind {
  kSum,            ///< sum of x, over the divisor
  kAbsSum,         ///< sum of |x|
  kNorm,           ///< square root of the sum of x^2
  kVariance,       ///< sum of (x - shift)^2, over the divisor
  kDeviation,      ///< square root of that
  kLogSumExp,      ///< shift + log of the sum of exp(x - shift); shift itself where it is infinite
  kCountEqual,     ///< how often x == shift
  kCountAbsEqual,  ///< how often |x| == shift
  kMax,            ///< largest x; NaN if there is one
  kMin,            ///< smallest x; NaN if there is one
  kAbsMax,         ///< largest |x|; NaN if there is one
  kProduct,        ///< product of x
};

/// What reductions add up in, and what reductions of integers give.
template <class T>
struct WideType {
  using type = int64_t;
};
template <>
struct WideType<float> {
  using type = double;
};
template <>
struct WideType<double> {
  using type = double;
};
template <class T>
using Wide = typename WideType<T>::type;

}  // namespace tern

TERN_DECLARE_KERNELS(
    /// out[o] = the reduction. T is float, double or int64_t, which knows kSum, kMax, kMin and kProduct alone. shift:
    /// null for kinds without one. partial: [plan.parts, plan.kept], needed when plan.parts > 1. The extremes need at
    /// least one element.
    template <class T> void reduce(ReduceKind kind, const ReducePlan& plan, const T* x, const T* shift, T* out,
                                   double divisor, Wide<T>* partial);
    /// out[o] = the number of elements that are not 0 (a NaN is not)
    template <class T> void count_nonzero(const ReducePlan& plan, const T* x, int64_t* out, int64_t* partial);
    /// values[o] and indices[o] = the largest (or smallest) element along the one reduced axis, and the place of the
    /// first of them; a NaN beats all numbers. At least one element.
    template <class T> void extreme(const ReducePlan& plan, const T* x, T* values, int64_t* indices, bool largest);)
