// Building the iteration plans of kernels/strided.h from tensors.
#pragma once

#include <array>
#include <utility>

#include <tern/core/error.h>
#include <tern/core/kernels/detail/strided.h>
#include <tern/core/tensor.h>

namespace tern {

/// A plan over operands that broadcast to `shape`. The first operand (the output) decides the order of the axes.
template <size_t N>
LoopPlan<static_cast<int>(N)> make_plan(const Shape& shape, const std::array<const Tensor*, N>& operands) {
  LoopPlan<static_cast<int>(N)> plan;
  plan.numel = numel_of(shape);
  std::array<Strides, N> strides;
  for (size_t k = 0; k < N; ++k) {
    const Tensor& x = *operands[k];
    const int64_t shift = shape.size() - x.dim();
    strides[k] = Strides(shape.size(), 0);
    for (int64_t a = 0; a < x.dim(); ++a) {
      TERN_ASSERT(x.shape()[a] == shape[a + shift] || x.shape()[a] == 1, "operand ", x.shape(), " in a loop over ",
                  shape);
      if (x.shape()[a] != 1) strides[k][a + shift] = x.strides()[a];
    }
  }
  Dims order;  // innermost first: by rising stride of the first operand that tells the axes apart
  for (int64_t a = shape.size() - 1; a >= 0; --a)
    if (shape[a] != 1) order.push_back(a);
  std::stable_sort(order.begin(), order.end(), [&](int64_t a, int64_t b) {
    for (size_t k = 0; k < N; ++k) {
      const int64_t x = std::abs(strides[k][a]), y = std::abs(strides[k][b]);
      if (x != y && x != 0 && y != 0) return x < y;
    }
    return false;
  });
  for (int64_t axis : order) {
    const int64_t last = plan.axes - 1;
    bool merges = plan.axes > 0;
    for (size_t k = 0; merges && k < N; ++k) merges = strides[k][axis] == plan.stride[k][last] * plan.size[last];
    if (merges) {
      plan.size[last] *= shape[axis];
      continue;
    }
    plan.size[plan.axes] = shape[axis];
    for (size_t k = 0; k < N; ++k) plan.stride[k][plan.axes] = strides[k][axis];
    ++plan.axes;
  }
  return plan;
}

}  // namespace tern
