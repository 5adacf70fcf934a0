// Reading and writing at positions that a tensor of indices names. Indices have been checked.
#pragma once

#include <tern/core/kernels/detail/strided.h>
#include <tern/core/kernels/kernel.h>

namespace tern {

/// Lines along one axis: `lines` is a plan over all other axes (operands: the indexed tensor, the index, and the tensor
/// with the index's shape), `count` and `step` the number of indices on a line and each operand's stride along it.
struct IndexLines {
  LoopPlan<3> lines;
  int64_t count = 0;
  int64_t step[3] = {};
};

}  // namespace tern

TERN_DECLARE_KERNELS(
    /// y[i] = x[index[i]] along each line
    template <class T> void gather(const IndexLines& in, const T* x, const int64_t* index, T* y);
    /// x[index[i]] = y[i], in the order of i
    template <class T> void scatter(const IndexLines& in, T* x, const int64_t* index, const T* y);
    /// x[index[i]] += y[i], in the order of i
    template <class T> void scatter_add(const IndexLines& in, T* x, const int64_t* index, const T* y);

    /// x[o, index[k], :] += y[o, k, :], in the order of k, but for index[k] == skip. x: [outer, n, inner], y: [outer,
    /// count, inner]
    template <class T> void index_add(T* x, const int64_t* index, const T* y, int64_t outer, int64_t n, int64_t count,
                                      int64_t inner, int64_t skip);)
