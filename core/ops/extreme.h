// The extreme elements along one axis, and their places. A negative axis counts from the back; the reduced axis
// disappears or, with keepdim, becomes 1. x is f32, f64 or of an integer dtype; a gradient reaches f32 and f64 alone.
// Throws ShapeError for an axis out of range, DTypeError for a dtype that is not taken.
#pragma once

#include <optional>

#include <tern/core/tensor.h>

namespace tern {

/// The extreme elements along one axis, and the places of the first of them (i64).
struct ExtremeResult {
  Tensor values;
  Tensor indices;
};
/// Largest elements along one axis. The first of equals wins, and takes the whole gradient; a NaN beats every number.
/// x: integers too (same dtype out). Throws ShapeError over no elements; so do argmax and argmin.
[[nodiscard]] ExtremeResult max(const Tensor& x, int64_t axis, bool keepdim = false);
/// Smallest elements along one axis, likewise.
[[nodiscard]] ExtremeResult min(const Tensor& x, int64_t axis, bool keepdim = false);

/// Place of the first largest element along an axis (i64), or in row-major order of all elements when none is given. x:
/// integers too.
[[nodiscard]] Tensor argmax(const Tensor& x, std::optional<int64_t> axis = std::nullopt, bool keepdim = false);
/// Place of the first smallest element, likewise.
[[nodiscard]] Tensor argmin(const Tensor& x, std::optional<int64_t> axis = std::nullopt, bool keepdim = false);

}  // namespace tern
