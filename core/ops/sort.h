// Sorting along an axis. NaN counts as larger than everything, equal elements keep their order (so that results are the
// same everywhere). Gradients flow through the values. x: f32, f64 or an integer dtype (DTypeError otherwise). Results
// have x's shape but for the k of topk and are row-major. Throws ShapeError for an axis out of range.
#pragma once

#include <tern/core/tensor.h>

namespace tern {

/// Elements, and where they came from along the axis (i64).
struct SortResult {
  Tensor values;
  Tensor indices;
};

/// x sorted along `axis`.
[[nodiscard]] SortResult sort(const Tensor& x, int64_t axis = -1, bool descending = false);

/// The indices of sort.
[[nodiscard]] Tensor argsort(const Tensor& x, int64_t axis = -1, bool descending = false);

/// The k largest elements along `axis`, or the k smallest, in order. Throws ValueError unless 0 <= k <= size.
[[nodiscard]] SortResult topk(const Tensor& x, int64_t k, int64_t axis = -1, bool largest = true);

}  // namespace tern
