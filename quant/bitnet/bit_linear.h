// BitNet b1.58 (arXiv 2402.17764): linear maps whose weights are -1, 0 or 1 times one scale for the tensor, and whose
// inputs are int8 with one scale for each token.
//
//   Delta = max(mean |W|, 1e-5)            T = clip(round(W / Delta), -1, 1)              Wq = Delta T
//   xq: x in the codes of quant/packed/tokens.h
//   W' = W + lambda (Wq - W)               x' = x + lambda (xq - x)                       y = x' W'^T + bias
//
// Rounding is half to even and comes before the clip. Backward, straight through both quantizers: dx = g W', dW = g^T
// x', dbias = the sum of g. There is no mask and no gradient through Delta or gamma.
#pragma once

#include <optional>

#include <tern/core/tensor.h>
#include <tern/core/tensor_stamp.h>
#include <tern/nn/child.h>
#include <tern/nn/layers/norms.h>
#include <tern/nn/module.h>
#include <tern/quant/packed/tokens.h>

namespace tern::quant::bitnet {

/// A weight in ternary codes.
struct Ternary {
  Tensor codes;      ///< i8, of the weight's shape: -1, 0 or 1
  double scale = 0;  ///< Delta
};
/// Wq of a weight, f32 or f64, of any shape but an empty one (ShapeError). Throws NonFiniteError for a weight with NaN
/// or infinity, DTypeError for other dtypes.
[[nodiscard]] Ternary ternarize(const Tensor& weight);
/// scale * codes, as f32 or f64.
[[nodiscard]] Tensor dequantize(const Ternary& weight, DType dtype = DType::kF32);

using packed::dequantize;
using packed::quantize_tokens;
using packed::TokenCodes;

/// What bit_linear quantizes, and how far.
struct BitLinearOptions {
  bool quantize_weight = true;
  bool quantize_activation = true;
  double lambda = 1;  ///< 0 (a plain linear map) to 1 (fully quantized)
};

/// The map above as one op: x [..., in], weight [out, in], bias [out] or none, all f32 or all f64, to [..., out].
/// `codes` are the weight's, where the caller has them already. In f32, fully quantized, the forward takes exact sums
/// of integers; the backward keeps x's codes in place of x where lambda is 1. Throws ShapeError and DTypeError as
/// tern::linear and for codes that are not i8 of the weight's shape, ValueError for lambda outside [0, 1] and a scale
/// that is not above 0 and finite, NonFiniteError as the quantizers. That codes are -1, 0 or 1 is not looked at.
[[nodiscard]] Tensor bit_linear(const Tensor& x, const Tensor& weight, const Tensor& bias = {},
                                const BitLinearOptions& options = {}, const Ternary* codes = nullptr);
/// The same for a weight that is there as codes alone, at lambda 1: only x and bias get gradients.
[[nodiscard]] Tensor bit_linear(const Tensor& x, const Ternary& weight, const Tensor& bias = {},
                                bool quantize_activation = true);

namespace detail {
/// The codes of a weight, kept until it changes.
class CachedTernary {
 public:
  const Ternary& of(const Tensor& weight);
  /// The same for a weight that was stored: rows of `in_features` in packed::pack2_block128, u8, and their scale.
  /// Throws FormatError for bytes that are no codes or a scale that is not above 0 and finite.
  const Ternary& of(const Tensor& packed, const Tensor& scale, int64_t in_features);

 private:
  Ternary codes_;
  TensorStamp source_;  // that codes_ are of
};
}  // namespace detail

/// What stands in the place of an nn::Linear in a BitNet: bit_linear of an optional SubLN, an RMS norm of the input
/// (arXiv 2310.11453), with the names of what it replaces: weight [out_features, in_features], bias [out_features],
/// subln.weight [in_features]. The weight is the latent one, in full precision; its codes are kept until it changes.
/// x: [..., in_features], f32 or f64; the result is [..., out_features]. Making one throws ValueError for sizes below 1
/// or lambda outside [0, 1]; calling it throws as bit_linear.
class BitLinear : public nn::Module {
 public:
  struct Options {
    int64_t in_features = 0;   ///< required, at least 1
    int64_t out_features = 0;  ///< required, at least 1
    bool bias = false;
    bool quantize_weight = true;
    bool quantize_activation = true;
    double lambda = 1;         ///< what LambdaWarmup moves
    bool subln = false;        ///< with a norm in front
    bool subln_affine = true;  ///< that has a weight
    double subln_eps = 1e-6;   ///< added to the mean square; at least 0
  };
  explicit BitLinear(const Options& options);
  const Options& options() const { return options_; }

  Tensor forward(const Tensor& x) override;
  std::string extra_text() const override;
  /// Elements of the output times in_features.
  int64_t macs(const Shape& input, const Shape& output) const override;

  double lambda() const { return options_.lambda; }
  void set_lambda(double lambda);  ///< throws ValueError outside [0, 1]
  /// The weight's codes as they are now.
  const Ternary& ternary();

 private:
  Options options_;

 public:
  nn::Parameter weight;
  nn::Parameter bias;
  std::optional<nn::Child<nn::RMSNorm>> subln;

 private:
  detail::CachedTernary codes_;
};

}  // namespace tern::quant::bitnet
