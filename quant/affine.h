// The affine quantizer: integers for floats, by a scale and a zero point for a tensor, a channel or a group.
//
//   q = clamp(round(x / s) + z, lo, hi)             x^ = (q - z) s
//
// Rounding is half to even. lo and hi come from the BitType, s and z from the range of the values by a RangeRule, the
// order of the operations is an AffineOrder. Published quantizers are settings of these:
//
//   quantizer                            type      rule                                                  order
//   FQ-ViT (arXiv 2111.13824), signed    int8      symmetric, kHalfRange, min_scale 2^-23                kFused
//   FQ-ViT, unsigned                     uint8     min_scale 2^-23                                       kFused
//   I-BERT (arXiv 2101.01321)            int8      symmetric, kTop                                       kSplit
//   AWQ (arXiv 2306.00978)               uint4     min_range 1e-5, min_scale 0                           kSplit
//   symmetric groups, "round to nearest" int4      symmetric, kTop, scale_of_zeros 1, min_scale 0        kSplit
//   torch.fake_quantize                  any       (scale and zero point are given)                      kReciprocal
//   BitNet's ternary weights             ternary   (the scale is mean |w|)                               kReciprocal
#pragma once

#include <cstdint>
#include <string>

#include <tern/core/tensor.h>

namespace tern::quant {

/// The integers that codes are taken from.
struct BitType {
  int bits = 8;             ///< 2 to 8, or 16
  bool is_signed = true;    ///< [-2^(bits-1), 2^(bits-1) - 1], else [0, 2^bits - 1]
  bool restricted = false;  ///< signed only: without the lowest code, so that the range is symmetric

  int lo() const { return is_signed ? -(1 << (bits - 1)) + static_cast<int>(restricted) : 0; }
  int hi() const { return is_signed ? (1 << (bits - 1)) - 1 : (1 << bits) - 1; }
  /// Of codes: i8 or u8 up to 8 bits, i32 for 16.
  DType dtype() const { return bits > 8 ? DType::kI32 : is_signed ? DType::kI8 : DType::kU8; }
  /// Throws ValueError for other widths, and for an unsigned type that is restricted.
  void validate() const;
  bool operator==(const BitType&) const = default;
};
/// "int8", "uint4", "int8 restricted".
std::string to_string(const BitType& type);
/// -1, 0 and 1.
inline constexpr BitType kTernary{.bits = 2, .restricted = true};

/// Which elements share a scale.
struct Granularity {
  enum class Kind : uint8_t { kTensor, kChannel, kGroup };
  Kind kind = Kind::kTensor;
  int64_t axis = 0;        ///< of channels or groups; negative ones count from the end
  int64_t group_size = 0;  ///< consecutive elements along the axis
  bool pad_last = false;   ///< whether the range of a last group that is shorter includes the 0 it would be padded with

  static Granularity tensor() { return {}; }
  /// One scale for each index of the axis, over all others.
  static Granularity channel(int64_t axis) { return {.kind = Kind::kChannel, .axis = axis}; }
  /// One scale for each group along the axis and each index of the others; the last group may be shorter.
  static Granularity group(int64_t axis, int64_t size) {
    return {.kind = Kind::kGroup, .axis = axis, .group_size = size};
  }
};
/// The shape of the scales of a tensor of that shape: [], [shape[axis]], or the shape with the groups in the place of
/// the axis. Throws ShapeError for an axis that is not there, ValueError for a group size below 1.
[[nodiscard]] Shape scale_shape(const Shape& shape, const Granularity& granularity);

/// What the range of a symmetric quantizer is divided by.
enum class Divisor : uint8_t {
  kHalfRange,  ///< (hi - lo) / 2: 127.5 for int8, where the largest value is clamped by half a step
  kTop,        ///< hi: 127 for int8
};

/// From a range [min, max] to a scale s and a zero point z, in the dtype of the range:
///   symmetric    s = max(-min, max) / divisor            z = 0
///   asymmetric   s = (max - min) / (hi - lo)             z = clamp(lo - round(min / s), lo, hi)
/// s is a normal number above 0 for every finite range. An asymmetric range without 0 (and without include_zero) clamps
/// z, and codes saturate at the far end.
struct RangeRule {
  bool symmetric = true;  ///< needs a signed type
  Divisor divisor = Divisor::kHalfRange;
  double min_range = 0;        ///< max(-min, max) or max - min is raised to this before the division
  double min_scale = 0x1p-23;  ///< s is raised to this
  double scale_of_zeros = 0;   ///< s where the range is 0, in the place of both floors; 0: they decide
  bool include_zero = false;   ///< asymmetric: the range is widened to have 0 in it
  /// Throws ValueError for numbers that are negative or not finite.
  void validate() const;
};

/// Where the division, the zero point and the rounding come in. All agree but for values within rounding error of a
/// half.
enum class AffineOrder : uint8_t {
  kFused,       ///< round(x / s + z): ties depend on the parity of z
  kSplit,       ///< round(x / s) + z
  kReciprocal,  ///< round(x (1 / s)) + z, as torch.fake_quantize_per_tensor_affine and _per_channel_affine compute
};

/// Settings of a quantizer whose scales come from ranges.
struct AffineOptions {
  BitType type = {};
  Granularity granularity = {};
  RangeRule rule = {};
  AffineOrder order = AffineOrder::kFused;
};

/// A quantizer: what is known once scales and zero points are. quantize(), dequantize() and fake_quantize() throw for
/// one with ValueError for scales that are not finite and above 0 and zero points outside [lo, hi], ShapeError for
/// either in another shape than scale_shape(), DTypeError for scales that are not f32 or f64 or zero points that are
/// not i32.
struct Affine {
  BitType type = {};
  Granularity granularity = {};
  AffineOrder order = AffineOrder::kFused;
  Tensor scale = {};       ///< f32 or f64
  Tensor zero_point = {};  ///< i32 of scale's shape; undefined: zeros
};

/// The extremes of the elements of each scale.
struct Ranges {
  Tensor min, max;  ///< f32 or f64, of scale_shape()
};

/// The ranges of x, f32 or f64 (DTypeError), with at least one element (ShapeError). Throws NonFiniteError for NaN or
/// infinity, and as scale_shape().
[[nodiscard]] Ranges ranges_of(const Tensor& x, const Granularity& granularity);

/// The quantizer for these ranges, which may have any shape that the granularity will have. Throws ValueError for
/// settings out of range, for a symmetric rule with an unsigned type and for min above max, NonFiniteError for ranges
/// that are not finite, ShapeError and DTypeError for min and max of different shapes or dtypes.
[[nodiscard]] Affine affine_of(const Ranges& ranges, const AffineOptions& options);
/// The same for the ranges of x.
[[nodiscard]] Affine affine_of(const Tensor& x, const AffineOptions& options);

/// q: x of scale's dtype (DTypeError), any shape; the result has type.dtype() and x's shape. Infinities saturate;
/// throws NonFiniteError for NaN.
[[nodiscard]] Tensor quantize(const Tensor& x, const Affine& affine);
/// x^ of codes of type.dtype() (DTypeError), in scale's dtype. Codes outside [lo, hi] are decoded as they are.
[[nodiscard]] Tensor dequantize(const Tensor& codes, const Affine& affine);
/// dequantize(quantize(x)) in one pass. Differentiable in x, straight through: dx = g where round(x / s) + z lies in
/// [lo, hi] before it is clamped, else 0, as torch.fake_quantize_per_tensor_affine has it. Throws as quantize().
[[nodiscard]] Tensor fake_quantize(const Tensor& x, const Affine& affine);

}  // namespace tern::quant
