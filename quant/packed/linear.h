// Linear layers with ternary weights and int8 activations, for inference: exact integer sums instead of products of
// floats. With weight W = scale T (codes T) and, for each token (row of x), gamma = max(max|x|, 1e-5) and codes
// C = round(x 127 / gamma), halves to even, clipped to [-128, 127]:
//
//   y = (sum over i of C[i] T[o, i]) (gamma / 127) scale + bias[o]
//
// which is what BitNet b1.58 trains with quantization at full strength (Ma et al., 2024, arXiv 2402.17764), up to the
// rounding of f32 sums. The sums are exact: the same bits on every processor.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include <tern/core/tensor_stamp.h>
#include <tern/nn/child.h>
#include <tern/nn/module.h>
#include <tern/nn/norms.h>
#include <tern/quant/packed/ternary.h>

namespace tern::quant::packed {

/// Least gamma of a token: one of zeros has codes of zero.
inline constexpr float kMinGamma = 1e-5F;

/// An RMS norm in front of the activation quantizer (SubLN), taken in the same pass.
struct TokenNorm {
  Tensor weight = {};  ///< f32 [in_features], or none
  double eps = 1e-6;   ///< added to the mean square; finite, at least 0
};

/// Activations as integers.
struct QuantizedTokens {
  Tensor codes;             ///< i8 [tokens, in_features rounded up to 128], zeros at the end
  Tensor gamma;             ///< f32 [tokens]: codes times gamma / 127 stand for the activations
  Tensor sums;              ///< i32 [tokens]: of a token's codes
  int64_t in_features = 0;  ///< at most kMaxInFeatures
};

/// Quantizes x, f32 [..., in_features], the axes before the last counted as tokens; with `norm`, rms_norm(x) instead of
/// x. Codes are round_half_even(x * (127 / gamma)), the quotient rounded to f32 first. Throws NonFiniteError, naming
/// the token, for NaN and infinities (also those that the norm makes); DTypeError for other dtypes; ShapeError for no
/// axis, sizes out of range and a norm's weight of another size; ValueError for an eps out of range.
[[nodiscard]] QuantizedTokens quantize_tokens(const Tensor& x, const std::optional<TokenNorm>& norm = {});

/// The exact sums, i32 [tokens, out_features]. The weight must be in kExecutionFormat (ValueError) and as wide as the
/// tokens, its bytes of the right shape (ShapeError) and u8 (DTypeError); what the bytes hold is not looked at (check()
/// does).
[[nodiscard]] Tensor ternary_sums(const QuantizedTokens& tokens, const PackedTernary& weight);

/// y as above: x f32 [..., in_features]; bias f32 [out_features], or none; the result f32 [..., out_features]. Throws
/// as quantize_tokens and ternary_sums, ShapeError and DTypeError for another bias, and StateError if x or bias needs a
/// gradient while gradients are recorded: there is none through integers.
[[nodiscard]] Tensor packed_linear(const Tensor& x, const PackedTernary& weight, const Tensor& bias = {},
                                   const std::optional<TokenNorm>& norm = {});

/// packed_linear as a module, to stand where a Linear stood. Its state: weight_packed (u8, kExecutionFormat),
/// weight_scale (f32 []), bias (f32 [out_features], if it has one) and subln.weight ([in_features], if it has one), all
/// fixed: it has no parameters but the norm's. A new one has weights of zero and scale 1.
class PackedTernaryLinear : public nn::Module {
 public:
  struct Options {
    int64_t in_features = 0;   ///< required, in [1, kMaxInFeatures]; ValueError here and below
    int64_t out_features = 0;  ///< required, at least 1
    bool bias = false;
    bool subln = false;       ///< an RMS norm with weight in front, as child "subln"
    double subln_eps = 1e-6;  ///< finite, at least 0
  };
  explicit PackedTernaryLinear(const Options& options);
  const Options& options() const { return options_; }

  /// Throws as packed_linear, and FormatError, as check() does, if what was loaded into the state is no packed weight.
  Tensor forward(const Tensor& x) override;
  std::string extra_text() const override;
  int64_t macs(const Shape& input, const Shape& output) const override;

  /// The weight as it is held, in kExecutionFormat; the bytes are the module's own.
  PackedTernary weight() const;
  /// Takes a weight of any format. Throws as check(), ShapeError for other sizes than the module's.
  void set_weight(const PackedTernary& weight);
  /// Copies the bias' values. Throws StateError if the module has none, ShapeError or DTypeError unless it is f32
  /// [out_features], NonFiniteError for NaN and infinities.
  void set_bias(const Tensor& bias);

 private:
  void check_state();

  Options options_;
  TensorStamp checked_bytes_, checked_scale_;  // the state that check() has seen

 public:
  nn::Buffer weight_packed;
  nn::Buffer weight_scale;
  nn::Buffer bias;
  std::optional<nn::Child<nn::RMSNorm>> subln;
};

/// Whether at least one layer is a PackedTernaryLinear.
bool is_packed(const nn::Module& model);

}  // namespace tern::quant::packed
