// Linear layers with ternary weights and int8 activations, for inference: exact integer sums instead of products of
// floats. With weight W = scale T (codes T) and, for each token (row of x), codes C and gamma of quant/packed/tokens.h:
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
#include <tern/nn/layers/norms.h>
#include <tern/nn/module.h>
#include <tern/quant/packed/ternary.h>
#include <tern/quant/packed/tokens.h>

namespace tern::quant::packed {

/// The exact sums, i32 [..., out_features], of tokens [..., in_features] as quantize_tokens() leaves them. The weight
/// must be in kExecutionFormat (ValueError) and as wide as the tokens, at most kMaxInFeatures, its bytes of the right
/// shape (ShapeError) and u8 (DTypeError); what the bytes hold is not looked at (check() does).
[[nodiscard]] Tensor ternary_sums(const TokenCodes& tokens, const PackedTernary& weight);

/// y as above for tokens of f32 that are quantized already and a weight that is there as codes, i8 [out_features,
/// in_features], of -1, 0 and 1 (which is not looked at). `op` begins the error texts. Throws as packed_linear.
[[nodiscard]] Tensor ternary_linear(const TokenCodes& tokens, const Tensor& codes, float scale, const Tensor& bias = {},
                                    const char* op = "ternary_linear");

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
