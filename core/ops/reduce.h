// Reductions over any axes. Everywhere below: no axes means all of them, negative axes count from the back, the reduced
// axes disappear or, with keepdim, become 1. Terms are joined in partial results that the shape alone fixes
// (bit-identical at any number of threads), those of f32 in f64. x is f32 or f64 unless more is said.
// The results of f32 and f64 have x's dtype and a gradient; those of integers, truth values and places have none.
// Throws ShapeError for an axis out of range or given twice, DTypeError for a dtype that is not taken.
#pragma once

#include <optional>
#include <vector>

#include <tern/core/tensor.h>

namespace tern {

/// Sum of the elements; 0 over none. x: f32, f64 (same dtype out) or an integer dtype (i64 out).
[[nodiscard]] Tensor sum(const Tensor& x, const Dims& axes = {}, bool keepdim = false);

/// Mean of the elements; NaN over none.
[[nodiscard]] Tensor mean(const Tensor& x, const Dims& axes = {}, bool keepdim = false);

/// Variance: the sum of squared distances from the mean over n - correction (1: the unbiased estimate, 0: the
/// population's). NaN where n <= correction.
[[nodiscard]] Tensor var(const Tensor& x, const Dims& axes = {}, int64_t correction = 1, bool keepdim = false);

/// Standard deviation, the square root of var (torch.std). The gradient where it is 0 is 0.
[[nodiscard]] Tensor stddev(const Tensor& x, const Dims& axes = {}, int64_t correction = 1, bool keepdim = false);

/// Largest element; NaN if there is one, and then its elements' gradients are NaN. Equal largest elements share the
/// gradient evenly. x: integers too (same dtype out). Throws ShapeError over no elements.
[[nodiscard]] Tensor amax(const Tensor& x, const Dims& axes = {}, bool keepdim = false);
/// Smallest element, likewise.
[[nodiscard]] Tensor amin(const Tensor& x, const Dims& axes = {}, bool keepdim = false);
/// Largest element of all: amax(x).
[[nodiscard]] Tensor max(const Tensor& x);
/// Smallest element of all: amin(x).
[[nodiscard]] Tensor min(const Tensor& x);

/// Product of the elements; 1 over none. The gradient is right at zeros too. x: integers too (i64 out).
[[nodiscard]] Tensor prod(const Tensor& x, const Dims& axes = {}, bool keepdim = false);

/// log(sum(exp(x))), computed from the distances to the largest element; -inf over none.
[[nodiscard]] Tensor logsumexp(const Tensor& x, const Dims& axes = {}, bool keepdim = false);

/// The p-norm for p = 1 (sum of magnitudes), 2 (Euclidean) or infinity (largest magnitude); 0 over no elements. The
/// gradient at zero is 0; for p = 1 it is 0 at NaN too, as PyTorch's. Throws ValueError for another p.
[[nodiscard]] Tensor norm(const Tensor& x, double p = 2, const Dims& axes = {}, bool keepdim = false);

/// 1 where any element is not 0, else 0 (u8). x: integers too.
[[nodiscard]] Tensor any(const Tensor& x, const Dims& axes = {}, bool keepdim = false);
/// 1 where all elements are not 0, also over none (u8). x: integers too.
[[nodiscard]] Tensor all(const Tensor& x, const Dims& axes = {}, bool keepdim = false);
/// How many elements are not 0 (i64). x: integers too.
[[nodiscard]] Tensor count_nonzero(const Tensor& x, const Dims& axes = {}, bool keepdim = false);

}  // namespace tern
