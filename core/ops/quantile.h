// Elements by their place in the order of all, over any axes: no axes means all of them, negative axes count from the
// back, the reduced axes disappear or, with keepdim, become 1. x is f32 or f64; results have its dtype and a gradient.
// Throws ShapeError for an axis out of range or given twice, DTypeError for other dtypes.
#pragma once

#include <vector>

#include <tern/core/tensor.h>

namespace tern {

/// What a quantile between two elements a <= b is, r in [0, 1) of the way from a to b, as PyTorch names it: between
/// them by r; a; b; the mean of both; the one at the position rounded half to even. Where r is 0 it is a.
enum class Interpolation { kLinear, kLower, kHigher, kMidpoint, kNearest };

/// The q-quantile: with n elements in order, what lies at position q (n - 1), found by selection, not by sorting.
/// Linear interpolation is a + r (b - a) below r = 1/2 and b - (b - a) (1 - r) from there on, as torch.quantile has it.
/// NaN if an element is NaN. Throws ValueError unless 0 <= q <= 1, ShapeError over no elements.
[[nodiscard]] Tensor quantile(const Tensor& x, double q, const Dims& axes = {}, bool keepdim = false,
                              Interpolation interpolation = Interpolation::kLinear);
/// Several quantiles along a new first axis. Throws ValueError for none.
[[nodiscard]] Tensor quantile(const Tensor& x, const std::vector<double>& q, const Dims& axes = {},
                              bool keepdim = false, Interpolation interpolation = Interpolation::kLinear);

/// The middle element, the lower of two for an even number (torch.median). NaN and errors as for quantile.
[[nodiscard]] Tensor median(const Tensor& x, const Dims& axes = {}, bool keepdim = false);

}  // namespace tern
