// Activations as int8 codes, with one scale for each token (BitNet b1.58, arXiv 2402.17764): what training quantizes
// with and what packed weights are multiplied by.
//
//   gamma = max(largest |x_j|, 1e-5)       C = clip(round(x (127 / gamma)), -128, 127)       xq = C (gamma / 127)
//
// It is the symmetric affine quantizer of quant/affine.h, int8 with the divisor 127, whose factor 127 / gamma is
// rounded once. Rounding is half to even and comes before the clip.
#pragma once

#include <optional>

#include <tern/core/tensor.h>

namespace tern::packed {

/// gamma, and the scale of a ternary weight, are never below this: zeros have codes of zero.
inline constexpr double kMinScale = 1e-5;

/// An RMS norm in front of the quantizer (SubLN), taken in the same pass.
struct TokenNorm {
  Tensor weight = {};  ///< [features], of the tokens' dtype, or none
  double eps = 1e-6;   ///< added to the mean square; finite, at least 0
};

/// Tokens in int8 codes.
struct TokenCodes {
  Tensor codes;  ///< i8, of the tokens' shape; rows lie apart by a multiple of 128, zeros between them
  Tensor gamma;  ///< the tokens' dtype and shape without the last axis
  Tensor sums;   ///< i32, of gamma's shape: of a token's codes

  int64_t features() const { return codes.size(-1); }
  /// Whether the three lie as quantize_tokens() leaves them, which products of integers need.
  bool is_padded() const;
};

/// The codes of x [..., features], f32 or f64, a token for each row of the last axis; with `norm`, of rms_norm(x).
/// Throws NonFiniteError, naming the token, for NaN and infinities (also those that the norm makes); ShapeError without
/// an axis or features and for a norm's weight of another size; DTypeError for other dtypes; ValueError for an eps out
/// of range.
[[nodiscard]] TokenCodes quantize_tokens(const Tensor& x, const std::optional<TokenNorm>& norm = {});

/// xq, of gamma's dtype. The codes may lie anywhere.
[[nodiscard]] Tensor dequantize(const TokenCodes& tokens);

/// x + lambda (xq - x). x: of gamma's dtype, of the codes' shape.
[[nodiscard]] Tensor blend(const Tensor& x, const TokenCodes& tokens, double lambda);

}  // namespace tern::packed
