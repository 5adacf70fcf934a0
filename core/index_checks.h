// Checks of index tensors that several ops share.
#pragma once

#include <tern/core/tensor.h>

namespace tern {

/// Throws DTypeError unless `index` is i64, ValueError naming the first index outside [0, size).
void check_indices(const char* op, const Tensor& index, int64_t size);

/// Zeros of `shape` with the elements of `y` added where `index` says along `axis`: the gradient of gather, sort, topk.
/// y and index: of one shape.
[[nodiscard]] Tensor spread_along(const Shape& shape, int64_t axis, const Tensor& index, const Tensor& y);

}  // namespace tern
