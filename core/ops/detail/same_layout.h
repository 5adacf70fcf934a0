// For ops whose kernels walk several dense tensors with one index.
#pragma once

#include <tern/core/tensor.h>

namespace tern {

/// x if its elements lie in memory in the order of `like`'s (dense, of x's shape), else a copy that does. Not recorded:
/// for gradients and saved values.
[[nodiscard]] Tensor same_layout(const Tensor& x, const Tensor& like);

/// A dense tensor seen as [outer, n, inner] blocks in memory around one axis.
struct AxisBlocks {
  int64_t outer = 1, n = 1, inner = 1;
};
AxisBlocks axis_blocks(const Tensor& dense, int64_t axis);

}  // namespace tern
