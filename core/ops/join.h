// Putting tensors together, taking them apart, and moving elements about, with PyTorch's meaning. Results are copies
// unless said to be views. Any dtype; differentiable for floating ones. Throws ShapeError for an axis out of range, and
// where an axis is needed for a scalar.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include <tern/core/tensor.h>

namespace tern {

/// The tensors one behind the other along an axis. At least one tensor; all of one dtype and, but for that axis, one
/// shape. Channels-last if every one of them is channels-last. Throws ShapeError, DTypeError, ValueError for none.
[[nodiscard]] Tensor cat(std::span<const Tensor> tensors, int64_t axis = 0);
[[nodiscard]] Tensor cat(const std::vector<Tensor>& tensors, int64_t axis = 0);

/// The tensors along a new axis before position `axis`. At least one tensor (ValueError); all of one dtype (DTypeError)
/// and shape (ShapeError).
[[nodiscard]] Tensor stack(std::span<const Tensor> tensors, int64_t axis = 0);
[[nodiscard]] Tensor stack(const std::vector<Tensor>& tensors, int64_t axis = 0);

/// Views of consecutive pieces of `size` along an axis; the last may be smaller. Throws ValueError unless size > 0.
[[nodiscard]] std::vector<Tensor> split(const Tensor& x, int64_t size, int64_t axis = 0);

/// Views of consecutive pieces of the given sizes, which must be at least 0 and add up to x's (ShapeError).
[[nodiscard]] std::vector<Tensor> split_sizes(const Tensor& x, const std::vector<int64_t>& sizes, int64_t axis = 0);

/// Views of at most `chunks` pieces of equal size, ceil(size / chunks), the last maybe smaller, as torch.chunk. Throws
/// ValueError for chunks below 1.
[[nodiscard]] std::vector<Tensor> chunk(const Tensor& x, int64_t chunks, int64_t axis = 0);

/// Views of the positions along an axis, which disappears from each. Throws ShapeError for a scalar.
[[nodiscard]] std::vector<Tensor> unbind(const Tensor& x, int64_t axis = 0);

/// x with `value`, converted to its dtype as in full, around it: `padding` holds pairs (before, after), from the last
/// axis backwards, as in PyTorch. A negative amount crops. Keeps channels-last. Throws ShapeError for an odd list, too
/// many pairs, or a size below 0.
[[nodiscard]] Tensor pad(const Tensor& x, const std::vector<int64_t>& padding, double value = 0);

/// pad of the last two axes (height and width of an image) by the same amount on all four sides. Throws ShapeError
/// below two axes.
[[nodiscard]] Tensor pad2d(const Tensor& x, int64_t amount, double value = 0);

/// x in reverse order along the given axes, each once (ShapeError); keeps its memory format.
[[nodiscard]] Tensor flip(const Tensor& x, const Dims& axes);

/// Element i goes to (i + shift) mod size, along each of the axes; without axes, in the flattened tensor. As many
/// shifts as axes (one for none), else ValueError.
[[nodiscard]] Tensor roll(const Tensor& x, const Dims& shifts, const Dims& axes = {});

/// x repeated repeats[i] times along axis i; a longer list adds axes in front. Throws ShapeError for a shorter list,
/// ValueError for a negative number.
[[nodiscard]] Tensor repeat(const Tensor& x, const Dims& repeats);

/// Every element repeated in its place: `repeats` times, or repeats[i] times the slice at position i. Along an axis, or
/// without one in the flattened tensor. repeats: i64, [size along the axis], or one number for all (DTypeError,
/// ShapeError); not negative (ValueError).
[[nodiscard]] Tensor repeat_interleave(const Tensor& x, int64_t repeats, std::optional<int64_t> axis = std::nullopt);
[[nodiscard]] Tensor repeat_interleave(const Tensor& x, const Tensor& repeats,
                                       std::optional<int64_t> axis = std::nullopt);

/// x with zeros above the given diagonal of the last two axes (0 the main one, 1 the one above it), row-major. At least
/// 2 axes (ShapeError).
[[nodiscard]] Tensor tril(const Tensor& x, int64_t diagonal = 0);

/// x with zeros below the given diagonal of the last two axes, likewise.
[[nodiscard]] Tensor triu(const Tensor& x, int64_t diagonal = 0);

}  // namespace tern
