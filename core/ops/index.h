// Picking and placing elements by index. Indices are i64 and not negative. Throws everywhere: ValueError naming an
// index out of range, DTypeError for indices of another dtype, ShapeError for shapes that do not fit. gather and
// scatter take no bf16 and f16 (DTypeError). Gradients flow to x and source.
#pragma once

#include <optional>

#include <tern/core/tensor.h>

namespace tern {

/// y[i, j, k] = x[index[i, j, k], j, k] (for axis 0): one element of x for each index. index: as many axes as x, and no
/// longer than x along the other axes; the result has its shape.
[[nodiscard]] Tensor gather(const Tensor& x, int64_t axis, const Tensor& index);

/// gather after x and index have been broadcast to each other along all other axes (NumPy's function).
[[nodiscard]] Tensor take_along_axis(const Tensor& x, const Tensor& index, int64_t axis);

/// A copy of x with y[index[i, j, k], j, k] = source[i, j, k] (for axis 0). index as in gather; source: of index's
/// shape and x's dtype (DTypeError), here and in scatter_add. Where indices repeat the last one wins, and gradients of
/// source are those of the elements it would have written.
[[nodiscard]] Tensor scatter(const Tensor& x, int64_t axis, const Tensor& index, const Tensor& source);
/// The same with one value for all, converted to x's dtype as in full.
[[nodiscard]] Tensor scatter(const Tensor& x, int64_t axis, const Tensor& index, double value);

/// A copy of x with source[i, j, k] added at y[index[i, j, k], j, k], in the order of the indices.
[[nodiscard]] Tensor scatter_add(const Tensor& x, int64_t axis, const Tensor& index, const Tensor& source);

/// The slices of x at index[0], index[1], ... along an axis. index: one axis (or a scalar, which counts as one). Keeps
/// channels-last.
[[nodiscard]] Tensor index_select(const Tensor& x, int64_t axis, const Tensor& index);

/// A new last axis with 1 at the position that the label gives and 0 elsewhere. labels: i64, any shape. num_classes -1:
/// the largest label plus one (ValueError for no labels, and for num_classes below -1).
[[nodiscard]] Tensor one_hot(const Tensor& labels, int64_t num_classes = -1, DType dtype = DType::kI64);

/// The elements of x where mask (u8, else DTypeError) is not 0, in row-major order, as one axis; both are broadcast to
/// each other.
[[nodiscard]] Tensor masked_select(const Tensor& x, const Tensor& mask);

/// Positions of the elements that are not 0, in row-major order: i64 [count, axes of x]. x: any dtype; NaN is not 0.
[[nodiscard]] Tensor nonzero(const Tensor& x);

}  // namespace tern
