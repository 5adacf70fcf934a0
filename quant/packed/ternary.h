// Packed ternary weights: matrices of codes -1, 0, +1 with one scale, at two bits or at 1.6 bits a weight.
//
//   PackedTernary small = pack(codes, scale, TernaryFormat::kPack3Fixed);        // for the file
//   PackedTernary fast = repack(small, kExecutionFormat);                        // for packed_linear
//
// Packing is lossless both ways. Rows start on a byte of their own, so that a row can be read without the others.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include <tern/core/tensor.h>

namespace tern::quant::packed {

/// How codes become bytes. The digit of a code is the code plus one: 0, 1 or 2. A row of n weights is, in
/// - pack2_linear, 2 bits each, for files: weight i in bits 2 (i % 4) and up of byte i / 4; unused bits are 0;
/// - pack2_block128, 2 bits each, for files and for computing: 32 bytes for 128 weights, of which byte p holds weights
/// p,
///   p + 32, p + 64 and p + 96, from the top two bits down; the last block is filled up with digit 1, weights of zero;
/// - pack3_digits, 1.6 bits each, for files: five weights a byte, the number whose digits in base 3 they are, the first
///   one the most significant; unused digits are 0;
/// - pack3_fixed, the same, with ceil(256 v / 243) in the place of that number v: digit n is (b 3^n mod 256) 3 >> 8,
///   without division.
///
/// kPack2Block128 is the I2_S layout of bitnet.cpp on x86 (Wang et al., 2025, arXiv 2502.11880), where rows are
/// multiples of 128; a file's rows may have any length here.
enum class TernaryFormat : uint8_t { kPack2Linear, kPack2Block128, kPack3Digits, kPack3Fixed };

/// What packed_linear computes with.
inline constexpr TernaryFormat kExecutionFormat = TernaryFormat::kPack2Block128;

/// Longest row: sums of int8 activations stay far inside 32 bits.
inline constexpr int64_t kMaxInFeatures = int64_t{1} << 22;

/// "pack2_linear", "pack2_block128", "pack3_digits", "pack3_fixed".
std::string_view name_of(TernaryFormat format);
inline std::string to_string(TernaryFormat format) {
  return std::string(name_of(format));
}
/// The format of that name. Throws ValueError, with the names there are, for another one.
TernaryFormat ternary_format(std::string_view name);
/// Bytes of a row of in_features weights.
int64_t bytes_per_row(TernaryFormat format, int64_t in_features);

/// A packed matrix: weight [o, i] is scale times a code of -1, 0 or +1.
struct PackedTernary {
  TernaryFormat format = kExecutionFormat;
  int64_t out_features = 0;
  int64_t in_features = 0;
  Tensor bytes;     ///< u8 [out_features, bytes_per_row(format, in_features)]
  float scale = 0;  ///< finite, above 0
};

/// Packs codes, i8 [out_features, in_features], both at least 1 and in_features at most kMaxInFeatures (ShapeError),
/// each -1, 0 or 1 (ValueError, with the place of the first that is not). Throws DTypeError for codes that are not i8,
/// ValueError for a scale that is not finite or not above 0.
[[nodiscard]] PackedTernary pack(const Tensor& codes, float scale, TernaryFormat format);

/// The codes, i8 [out_features, in_features]. Throws as check().
[[nodiscard]] Tensor unpack(const PackedTernary& weight);

/// The weights, scale times codes, f32 [out_features, in_features]. Throws as check().
[[nodiscard]] Tensor dequantize(const PackedTernary& weight);

/// The same matrix in another format. Throws as check().
[[nodiscard]] PackedTernary repack(const PackedTernary& weight, TernaryFormat format);

/// Throws FormatError, saying where, unless the sizes are as pack() takes them, the bytes are u8, row-major and as many
/// as the sizes need, each stands for codes, what fills the rows up is as the format has it, and the scale is finite
/// and above 0.
void check(const PackedTernary& weight);

}  // namespace tern::quant::packed
