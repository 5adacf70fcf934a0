// Running results along an axis.
#pragma once

#include <tern/core/tensor.h>

namespace tern {

/// Running sums: y[i] = x[0] + ... + x[i] along `axis`. x: f32, f64 (same dtype out, added in f64) or an integer dtype
/// (i64 out); keeps its memory format. Throws DTypeError for bf16 and f16, ShapeError for an axis out of range.
[[nodiscard]] Tensor cumsum(const Tensor& x, int64_t axis);

}  // namespace tern
