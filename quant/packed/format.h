// The formats of packed weights: matrices of small integer codes as bytes, with the scales that make weights of them.
//
//   const PackedWeight small = pack(codes, 0.02F, pack3_fixed);     // for a file
//   const PackedWeight fast = repack(small, pack3_fixed.execution());  // for packed_linear
//
// Packing is lossless both ways. Rows start on a byte of their own, so that a row can be read without the others.
// Another format is a Format with its functions for one row, and its line in the table of format.cpp: files, layers,
// programs and the fuzz target take it from there.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include <tern/core/tensor.h>
#include <tern/quant/packed/tokens.h>

namespace tern::packed {

struct Format;

/// A packed matrix: weight [o, i] is its scale times (its code - its zero point).
struct PackedWeight {
  const Format* format = nullptr;
  int64_t out_features = 0;
  int64_t in_features = 0;
  Tensor bytes = {};        ///< u8 [out_features, row_bytes(*format, in_features)]
  Tensor scales = {};       ///< f32, finite and above 0, of the shape that scale_shape() gives
  Tensor zero_points = {};  ///< i32, likewise; none for a format without
  int64_t group_size = 0;   ///< weights of a row that share a scale, for ScaleOf::kGroup

  /// The scale of a format with one for the matrix.
  float scale() const { return scales.item<float>(); }
};

/// What has a scale of its own.
enum class ScaleOf : uint8_t {
  kTensor,  ///< the matrix: scales are []
  kRow,     ///< an output: [out_features]
  kGroup,   ///< group_size weights of a row that follow one another: [out_features, ceil(in_features / group_size)]
};

/// The activations that a format's product takes.
enum class Activations : uint8_t {
  kNone,    ///< there is no product: the format is for files
  kTokens,  ///< int8 with a scale per token (tokens.h)
};

/// A format. Its functions treat one row of n weights; they are called for sizes that check() lets pass.
struct Format {
  std::string_view name;   ///< as in files
  int64_t version = 1;     ///< of what the name means; a higher one in a file is refused
  std::string_view codes;  ///< what a code is, for messages: "ternary codes"
  int min_code = 0, max_code = 0;
  double bits = 0;  ///< of a weight in a long row
  ScaleOf scales = ScaleOf::kTensor;
  bool has_zero_points = false;

  int64_t (*row_bytes)(int64_t n);
  void (*pack_row)(const int8_t* codes, int64_t n, uint8_t* bytes);
  void (*unpack_row)(const uint8_t* bytes, int64_t n, int8_t* codes);
  /// The first byte that stands for no codes, or that fills the row up in another way than the format has it (then
  /// `filler` becomes true); -1 if there is none.
  int64_t (*first_wrong_byte)(const uint8_t* bytes, int64_t n, bool& filler);

  /// The format that products take this one as, which may be itself.
  const Format* computed_as = nullptr;
  Activations activations = Activations::kNone;
  /// y [..., out_features], f32, of tokens and a weight of this format, whose form it checks; null without a product.
  /// bias: f32 [out_features], or none.
  Tensor (*product)(const TokenCodes& tokens, const PackedWeight& weight, const Tensor& bias) = nullptr;

  const Format& execution() const { return computed_as == nullptr ? *this : *computed_as; }
};

/// Longest row: sums of int8 activations stay far inside 32 bits.
inline constexpr int64_t kMaxInFeatures = int64_t{1} << 22;

/// All formats.
std::span<const Format* const> formats();
/// The format of that name. Throws ValueError, with the names there are, for another one.
const Format& format_of(std::string_view name);
/// The shape that the scales of a matrix must have.
Shape scale_shape(const Format& format, int64_t out_features, int64_t in_features, int64_t group_size = 0);

/// Packs codes, i8 [out_features, in_features], both at least 1 and in_features at most kMaxInFeatures (ShapeError),
/// each within the format's range (ValueError, with the place of the first that is not), with a scale for the matrix.
/// Throws DTypeError for codes that are not i8, ValueError for a scale that is not finite or not above 0, and for a
/// format that has not one scale.
[[nodiscard]] PackedWeight pack(const Tensor& codes, float scale, const Format& format);
/// The same with scales and, for formats that have them, zero points, as PackedWeight says (ValueError).
[[nodiscard]] PackedWeight pack(const Tensor& codes, const Tensor& scales, const Format& format,
                                const Tensor& zero_points = {}, int64_t group_size = 0);

/// The codes, i8 [out_features, in_features]. Throws as check().
[[nodiscard]] Tensor unpack(const PackedWeight& weight);

/// The weights, f32 [out_features, in_features]. Throws as check().
[[nodiscard]] Tensor dequantize(const PackedWeight& weight);

/// The same matrix in another format. Throws as check(), and as pack() where the other format cannot hold it.
[[nodiscard]] PackedWeight repack(const PackedWeight& weight, const Format& format);

/// Throws FormatError, saying where, unless the sizes are as pack() takes them, the bytes are u8, row-major and as many
/// as the sizes need, each stands for codes, what fills the rows up is as the format has it, and the scales and zero
/// points have their shapes and are finite, the scales above 0.
void check(const PackedWeight& weight);
/// The same without looking at the bytes.
void check_form(const PackedWeight& weight);

}  // namespace tern::packed
