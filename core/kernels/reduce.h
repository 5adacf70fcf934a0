// Reductions: many elements in, one out.
#pragma once

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

/// What sums are added up in.
template <class T>
struct SumType {
  using type = int64_t;
};
template <>
struct SumType<float> {
  using type = double;
};
template <>
struct SumType<double> {
  using type = double;
};
template <class T>
using Sum = typename SumType<T>::type;

}  // namespace tern

TERN_DECLARE_KERNELS(
    /// out[o] = sum over x / divisor. O is T for floats and int64_t for integers (divisor unused). partial:
    /// [plan.parts, plan.kept], needed when plan.parts > 1.
    template <class T, class O>
    void reduce_sum(const ReducePlan& plan, const T* x, O* out, double divisor, Sum<T>* partial);)
