// Rotary position embedding.
#pragma once

#include <tern/core/tensor.h>

namespace tern {

/// Which elements of a head of width w are rotated together. Weights are trained for one of the two.
enum class RotaryConvention {
  kHalves,  ///< i and i + w / 2 (Hugging Face's llama)
  kPairs,   ///< 2 i and 2 i + 1 (the original paper, Meta's llama, llama2.c)
};

/// Settings of rotary_embedding.
struct RotaryOptions {
  double theta = 10000;  ///< above 0: the angle, in radians, of pair i at position p is p * theta^(-2 i / w)
  RotaryConvention convention = RotaryConvention::kHalves;
  int64_t time_axis = -2;  ///< the axis that positions run along: -2 for [B, H, T, w], -3 for [B, T, H, w]
  int64_t offset = 0;      ///< position of the first element of the time axis, for generation with a key-value cache
  Tensor positions = {};   ///< i64 [T], or [B, T] with B the size of x's first axis; replaces offset where given
};

/// Rotates each pair (a, b) of the last axis by its position's angle: (a cos - b sin, a sin + b cos), after Su et al.,
/// "RoFormer" (2021), section 3.2.2. x: f32 or f64, at least two axes, the last one of even size and any strides; the
/// result has x's shape and is row-major. Throws ShapeError for an odd width, a time axis that is the last one, or
/// positions of another shape; DTypeError for other dtypes, of the positions too; ValueError for a negative position or
/// offset or a theta that is not above 0.
[[nodiscard]] Tensor rotary_embedding(const Tensor& x, const RotaryOptions& options = {});

}  // namespace tern
