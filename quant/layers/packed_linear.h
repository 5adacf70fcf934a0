// A linear layer with packed weights, for inference in exact integers.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <tern/core/tensor_stamp.h>
#include <tern/nn/child.h>
#include <tern/nn/layers/norms.h>
#include <tern/nn/module.h>
#include <tern/quant/packed/product.h>
#include <tern/quant/packed/ternary.h>

namespace tern::quant {

/// packed::packed_linear as a module, to stand where a Linear stood. Its state: weight_packed (u8), weight_scale (f32)
/// and, in a format that has them, weight_zero_point (i32), bias (f32 [out_features], if it has one) and subln.weight
/// ([in_features], if it has one), all fixed: it has no parameters but the norm's. A new one has weights of zero and
/// scale 1.
class PackedLinear : public nn::Module {
 public:
  struct Options {
    int64_t in_features = 0;   ///< required, in [1, packed::kMaxInFeatures]; ValueError here and below
    int64_t out_features = 0;  ///< required, at least 1
    bool bias = false;
    bool subln = false;                     ///< an RMS norm with weight in front, as child "subln"
    double subln_eps = 1e-6;                ///< finite, at least 0
    std::string format = "pack2_block128";  ///< one with a product
    int64_t group_size = 0;                 ///< of a format with scales of groups
  };
  explicit PackedLinear(const Options& options);
  const Options& options() const { return options_; }

  /// Throws as packed_linear, and FormatError, as packed::check() does, if what was loaded into the state is no packed
  /// weight.
  Tensor forward(const Tensor& x) override;
  std::string extra_text() const override;
  int64_t macs(const Shape& input, const Shape& output) const override;

  /// The weight as it is held, in the format of the options; the bytes are the module's own.
  packed::PackedWeight weight() const;
  /// Takes a weight of any format that its own can hold. Throws as packed::repack(), ShapeError for other sizes than
  /// the module's.
  void set_weight(const packed::PackedWeight& weight);
  /// Copies the bias' values. Throws StateError if the module has none, ShapeError or DTypeError unless it is f32
  /// [out_features], NonFiniteError for NaN and infinities.
  void set_bias(const Tensor& bias);

 private:
  PackedLinear(const Options& options, const packed::PackedWeight& weight);
  void check_state();

  Options options_;
  TensorStamp checked_bytes_, checked_scale_, checked_zero_point_;  // the state that check() has seen

 public:
  nn::Buffer weight_packed;
  nn::Buffer weight_scale;
  nn::Buffer weight_zero_point;
  nn::Buffer bias;
  std::optional<nn::Child<nn::RMSNorm>> subln;
};

}  // namespace tern::quant
