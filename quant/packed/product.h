// Linear maps with packed weights and int8 activations, for inference: exact integer sums instead of products of
// floats. With a ternary weight W = scale T (codes T) and, for each token (row of x), codes C and gamma of
// quant/packed/tokens.h:
//
//   y = (sum over i of C[i] T[o, i]) (gamma / 127) scale + bias[o]
//
// which is what BitNet b1.58 trains with quantization at full strength (Ma et al., 2024, arXiv 2402.17764), up to the
// rounding of f32 sums. The sums are exact: the same bits on every processor.
#pragma once

#include <optional>

#include <tern/core/tensor.h>
#include <tern/quant/packed/format.h>
#include <tern/quant/packed/tokens.h>

namespace tern::packed {

/// The exact sums, i32 [..., out_features], of tokens [..., in_features] as quantize_tokens() leaves them. The weight
/// must be in pack2_block128 (ValueError) and as wide as the tokens, at most kMaxInFeatures, its bytes of the right
/// shape (ShapeError) and u8 (DTypeError); what the bytes hold is not looked at (check() does).
[[nodiscard]] Tensor ternary_sums(const TokenCodes& tokens, const PackedWeight& weight);

/// y as above for tokens of f32 that are quantized already and a weight that is there as codes, i8 [out_features,
/// in_features], of -1, 0 and 1 (which is not looked at). `op` begins the error texts. Throws as packed_linear.
[[nodiscard]] Tensor ternary_linear(const TokenCodes& tokens, const Tensor& codes, float scale, const Tensor& bias = {},
                                    const char* op = "ternary_linear");

/// y as above, for a weight of any format that has a product: x f32 [..., in_features]; bias f32 [out_features], or
/// none; the result f32 [..., out_features]. Throws as quantize_tokens and the product, ValueError for a format without
/// one (repack() to its execution()), ShapeError and DTypeError for another bias, and StateError if x or bias needs a
/// gradient while gradients are recorded: there is none through integers.
[[nodiscard]] Tensor packed_linear(const Tensor& x, const PackedWeight& weight, const Tensor& bias = {},
                                   const std::optional<TokenNorm>& norm = {});

/// The product of pack2_block128: y as above for tokens of f32 that are quantized already. Throws as ternary_sums,
/// FormatError for a scale that is not f32 [], finite and above 0, and for another bias as packed_linear.
[[nodiscard]] Tensor ternary_product_of(const TokenCodes& tokens, const PackedWeight& weight, const Tensor& bias = {});

}  // namespace tern::packed
