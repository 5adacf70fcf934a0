#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/detail/index.h>
#include <tern/core/ops/embedding.h>
#include <tern/core/ops/shape.h>

namespace tern {
namespace {

struct EmbeddingBackward : IndexSelectBackward {
  static constexpr const char* kName = "embedding";
};

}  // namespace

Tensor embedding(const Tensor& indices, const Tensor& weight, std::optional<int64_t> padding_idx) {
  check_defined("embedding", indices, weight);
  TERN_CHECK(weight.dim() == 2, ShapeError, "[embedding] expected a weight [V, D], got ", weight.shape());
  dispatch_float("embedding", weight.dtype(), []<class T>() {});
  check_indices("embedding", indices, weight.size(0));
  int64_t skip = -1;
  if (padding_idx) {
    const int64_t rows = weight.size(0);
    TERN_CHECK(*padding_idx >= -rows && *padding_idx < rows, ValueError, "[embedding] expected padding_idx in [", -rows,
               ", ", rows - 1, "], got ", *padding_idx);
    skip = *padding_idx < 0 ? *padding_idx + rows : *padding_idx;
  }
  const Tensor flat = reshape(contiguous(indices), {indices.numel()});
  Shape shape = indices.shape();
  shape.push_back(weight.size(1));
  const Tensor y = reshape(select_slices(weight.detach(), 0, flat, MemoryFormat::kContiguous), shape);
  return autograd::record<EmbeddingBackward>(y, {weight}, {{.index = flat, .shape = weight.shape(), .skip = skip}});
}

}  // namespace tern
