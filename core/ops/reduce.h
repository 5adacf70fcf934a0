// Reductions over any axes. Everywhere below: no axes means all of them, negative axes count from the back, the reduced
// axes disappear or, with keepdim, become 1. Sums are added in partial results that the shape alone fixes
// (bit-identical at any number of threads), f32 with f64 partial results.
#pragma once

#include <tern/core/tensor.h>

namespace tern {

/// Sum of the elements over `axes`; 0 over none. x: f32, f64 (same dtype out) or an integer dtype (i64 out).
/// Throws DTypeError for bf16 and f16, ShapeError for an axis out of range or given twice.
[[nodiscard]] Tensor sum(const Tensor& x, const Dims& axes = {}, bool keepdim = false);

/// Mean of the elements over `axes`; NaN over none. x: f32 or f64.
[[nodiscard]] Tensor mean(const Tensor& x, const Dims& axes = {}, bool keepdim = false);

}  // namespace tern
