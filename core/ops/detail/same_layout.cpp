#include <tern/core/error.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/detail/same_layout.h>

namespace tern {

Tensor same_layout(const Tensor& x, const Tensor& like) {
  TERN_ASSERT(x.shape() == like.shape() && like.is_dense(), "layouts of ", x.shape(), " and ", like.shape());
  bool same = true;
  for (int64_t a = 0; same && a < x.dim(); ++a) same = x.shape()[a] == 1 || x.strides()[a] == like.strides()[a];
  if (same || x.numel() == 0) return x;
  Tensor out = empty_like(like, x.dtype());
  copy_into(out, x.detach());
  return out;
}

AxisBlocks axis_blocks(const Tensor& dense, int64_t axis) {
  TERN_ASSERT(dense.is_dense(), "blocks of a tensor with holes, shape ", dense.shape());
  if (dense.dim() == 0) return {};
  const int64_t n = dense.shape()[axis], inner = n == 1 ? 1 : dense.strides()[axis];
  if (dense.numel() == 0) return {0, n, 1};
  return {dense.numel() / (n * inner), n, inner};
}

}  // namespace tern
