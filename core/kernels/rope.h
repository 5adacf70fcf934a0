// Rotation of pairs by tabulated angles.
#pragma once

#include <tern/core/kernels/kernel.h>

namespace tern::kernels {

/// Rows are all axes of x but the last: `axes` of them, in the order in which y lies dense, outermost first. Row (i0,
/// i1, ...) uses row table_rows[i0 * table_step[0] + i1 * table_step[1] + ...] of cos and sin, [.., half].
template <class T>
struct Rotation {
  int64_t axes = 0, rows = 0, half = 0;
  int64_t size[8] = {}, x_stride[8] = {}, table_step[8] = {};
  const T *x = nullptr, *cos = nullptr, *sin = nullptr;
  const int64_t* table_rows = nullptr;
  T* y = nullptr;
  T sign = T(1);  ///< -1 turns backwards
};

}  // namespace tern::kernels

TERN_DECLARE_KERNELS(
    /// kPairs: elements 2 i and 2 i + 1 belong together, else i and i + half. The last axis of x is dense.
    template <bool kPairs, class T> void rotate(const Rotation<T>& p);)
