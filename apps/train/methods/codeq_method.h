// CoDeQ in the training programs.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <tern/train/loop/method.h>

namespace tern::train {

/// Settings under "codeq.": those of quant::codeq::AttachOptions and DeadZoneOptions, and how the logits are moved.
/// declare() has the ranges.
struct CodeqConfig {
  std::string mode = "none";               ///< or fixed (bits), mixed (learned bits)
  int64_t bits = 4;                        ///< fixed
  int64_t min_bits = 2, max_bits = 8;      ///< mixed
  std::vector<std::string> exclude = {};   ///< layers left in full precision
  std::vector<std::string> include = {};   ///< parameters of other layers that are quantized as well
  std::string exclude_rule = "glob";       ///< or substring
  double dz_lr = 1e-3, dz_decay = 0.01;    ///< rate and decay of the dead-zone logits
  double bit_lr = 1e-3, bit_decay = 0.01;  ///< of the bit-width logits
  double init_logit_dz = 3, init_logit_bit = 3;
  bool start_uniform = false;
  bool true_maximum = false;  ///< Range::kMaximum; the rest are safeguards under their own names
  bool relative_eps = false;
  bool mask_clamped = false;
  bool mask_weight_gradient = false;
  double max_logit_gradient = 0;
  double min_abs_logit = 0;
};

/// Quantizers on the layers that the settings name, which a model keeps while it trains. Quantizers that the model has
/// already, from the weights it started from, give way to those of the settings and hand their logits on.
class CodeqMethod : public Method {
 public:
  CodeqConfig config;

  void declare(Schema& schema) override;
  void check() const override;
  bool is_enabled() const override { return config.mode != "none"; }
  /// Throws as quant::codeq::attach; the model is then as it was.
  std::string apply(nn::Module& model, const MethodContext& context) override;
  /// The dead-zone logits and, in mode mixed, the bit-width logits.
  std::vector<ParamGroup> parameter_groups(const nn::Module& model) const override;
  /// Mean bits and zeros over the layer table, and the mean over quantized layers of the dead-zone's share of the
  /// range, d / 2A: "mean_bits", "sparsity" and "dead_zone".
  MetricRow metrics() const override;
  /// Of each layer of the table that no other method has {"name", "bits", "sparsity", "clamped", "dead_zone", "range",
  /// "logit_dz", "logit_bit"}; "clamped" is a share of the weights, "dead_zone" as in metrics().
  io::Json layers() const override;

 private:
  const nn::Module* model_ = nullptr;
};

}  // namespace tern::train
