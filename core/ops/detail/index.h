// What ops that take tensors of indices share.
#pragma once

#include <tern/core/autograd/autograd.h>
#include <tern/core/tensor.h>

namespace tern {

/// Throws DTypeError unless `index` is i64, ValueError naming the first index outside [0, size).
void check_indices(const char* op, const Tensor& index, int64_t size);

/// Zeros of `shape` with the elements of `y` added where `index` says along `axis`: the gradient of gather, sort, topk.
/// y and index: of one shape.
[[nodiscard]] Tensor spread_along(const Shape& shape, int64_t axis, const Tensor& index, const Tensor& y);

/// index_select of checked, contiguous indices [K], x of any dtype; not recorded.
[[nodiscard]] Tensor select_slices(const Tensor& x, int64_t axis, const Tensor& index, MemoryFormat format);

/// Of index_select and of embedding: row `skip` of the input gets nothing.
struct IndexSelectBackward {
  static constexpr const char* kName = "index_select";
  SavedTensor index;
  Shape shape;
  int64_t axis = 0;
  MemoryFormat format = MemoryFormat::kContiguous;
  int64_t skip = -1;
  Gradients backward(const Tensor& grad_output) const;
};

}  // namespace tern
