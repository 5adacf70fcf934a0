// Loops over several operands with strides, shared by the element-wise kernels.
#pragma once

#include <cstdint>

#include <tern/core/parallel.h>

namespace tern {

/// An iteration over N operands of one shape. Axis 0 is the innermost; axes that lie one behind the other in every
/// operand are merged, so dense operands of equal layout become a single axis of stride 1. Strides are in elements, 0
/// where broadcast.
template <int N>
struct LoopPlan {
  int64_t axes = 0;
  int64_t numel = 0;
  int64_t size[8] = {};
  int64_t stride[N][8] = {};
};

/// Calls body(offsets, n, strides) for runs along the innermost axis: operand k's elements are at offsets[k] + i *
/// strides[k], i in [0, n). Runs are cut by size only.
template <int N, class Body>
[[gnu::always_inline]] inline void run_plan(const LoopPlan<N>& plan, const Body& body) {
  if (plan.numel == 0) return;
  int64_t inner_strides[N];
  for (int k = 0; k < N; ++k) inner_strides[k] = plan.axes > 0 ? plan.stride[k][0] : 0;
  const int64_t inner = plan.axes > 0 ? plan.size[0] : 1;
  const int64_t rows = plan.numel / inner;
  if (rows == 1) {
    parallel_for(inner, kElementwiseGrain, [&](int64_t begin, int64_t end) {
      int64_t offsets[N];
      for (int k = 0; k < N; ++k) offsets[k] = begin * inner_strides[k];
      body(static_cast<const int64_t*>(offsets), end - begin, static_cast<const int64_t*>(inner_strides));
    });
    return;
  }
  const int64_t rows_at_once = chunk_items(inner);
  parallel_for(rows, rows_at_once, [&](int64_t begin, int64_t end) {
    int64_t index[8], offsets[N];
    for (int k = 0; k < N; ++k) offsets[k] = 0;
    int64_t rest = begin;
    for (int64_t a = 1; a < plan.axes; ++a) {
      index[a] = rest % plan.size[a];
      rest /= plan.size[a];
      for (int k = 0; k < N; ++k) offsets[k] += index[a] * plan.stride[k][a];
    }
    for (int64_t row = begin; row < end; ++row) {
      body(static_cast<const int64_t*>(offsets), inner, static_cast<const int64_t*>(inner_strides));
      for (int64_t a = 1; a < plan.axes; ++a) {
        for (int k = 0; k < N; ++k) offsets[k] += plan.stride[k][a];
        if (++index[a] < plan.size[a]) break;
        for (int k = 0; k < N; ++k) offsets[k] -= plan.size[a] * plan.stride[k][a];
        index[a] = 0;
      }
    }
  });
}

}  // namespace tern
