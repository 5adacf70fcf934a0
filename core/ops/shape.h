// Views and rearrangements: shapes change, elements do not. "View" means that the result shares x's storage. Any dtype;
// differentiable for floating ones. Axes count from the back when negative. Throws ShapeError for an axis out of range,
// and slice and select for a scalar.
#pragma once

#include <span>
#include <vector>

#include <tern/core/tensor.h>

namespace tern {

/// x with another shape of as many elements; one size may be -1 (worked out from the others). A view where x's strides
/// allow it, else a copy. Throws ShapeError if the numbers of elements differ.
[[nodiscard]] Tensor reshape(const Tensor& x, const Shape& shape);

/// As reshape, but always a view; throws ShapeError where x's strides do not allow one.
[[nodiscard]] Tensor view(const Tensor& x, const Shape& shape);

/// View with the axes in another order: result axis i is x's axis axes[i]. Throws ShapeError unless every axis stands
/// there once.
[[nodiscard]] Tensor permute(const Tensor& x, const Dims& axes);

/// View with two axes swapped.
[[nodiscard]] Tensor transpose(const Tensor& x, int64_t axis0, int64_t axis1);

/// View of elements begin, begin + step, ... below end along an axis. Negative begin and end count from the back and
/// both are cut to [0, size], as in Python; step is at least 1 (ValueError otherwise).
[[nodiscard]] Tensor slice(const Tensor& x, int64_t axis, int64_t begin, int64_t end, int64_t step = 1);

/// View of one position along an axis, which disappears. Throws ShapeError outside [-size, size).
[[nodiscard]] Tensor select(const Tensor& x, int64_t axis, int64_t index);

/// View of the elements whose positions along two axes are i and i + offset (i - offset and i for a negative one), i =
/// 0, 1, ...: the axes disappear and their diagonal becomes the last axis. Throws ShapeError for one axis given twice.
[[nodiscard]] Tensor diagonal(const Tensor& x, int64_t offset = 0, int64_t axis0 = 0, int64_t axis1 = 1);

/// View in which axes of size 1 repeat; -1 keeps a size; new axes may be added in front. Throws ShapeError unless x
/// broadcasts to the shape.
[[nodiscard]] Tensor expand(const Tensor& x, const Shape& shape);

/// View without an axis of size 1 (x itself if its size is not 1, as in PyTorch).
[[nodiscard]] Tensor squeeze(const Tensor& x, int64_t axis);

/// View with a new axis of size 1 before position `axis`, in [-dim - 1, dim].
[[nodiscard]] Tensor unsqueeze(const Tensor& x, int64_t axis);

/// reshape that merges the axes first..last into one; a scalar becomes [1]. Throws ShapeError for last before first.
[[nodiscard]] Tensor flatten(const Tensor& x, int64_t first = 0, int64_t last = -1);

/// Sums x, f32 or f64, over the axes along which `shape` was broadcast to x's shape: the gradient of expand.
[[nodiscard]] Tensor sum_to(const Tensor& x, const Shape& shape);

}  // namespace tern
