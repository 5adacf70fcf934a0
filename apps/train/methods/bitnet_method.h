// BitNet in the training programs.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <tern/quant/bitnet/lambda_warmup.h>
#include <tern/train/loop/method.h>

namespace tern::train {

/// Settings under "bitnet.". declare() has the ranges.
struct BitnetConfig {
  bool enabled = false;
  std::string subln = "none";              ///< none, output (projections) or all
  std::vector<std::string> exclude;        ///< as quant::bitnet::ConvertOptions::exclude
  int64_t warmup_steps = 0;                ///< of lambda from 0 to 1; 0: 1 from the first step on
  std::string warmup_schedule = "linear";  ///< linear or cosine

  struct Lrc {
    double rank_percentage = 0;    ///< 0: no low-rank correction
    std::string init = "kaiming";  ///< kaiming, svd, activations or zeros
    bool freeze = true;            ///< only the two factors train
  } lrc;
};

/// Ternary layers in the place of a model's linear ones, with lambda warmup and low-rank correction. Of a model that
/// started from a BitNet's weights the layers stay as they are.
class BitnetMethod : public Method {
 public:
  BitnetConfig config;

  void declare(Schema& schema) override;
  void check() const override;
  bool is_enabled() const override { return config.enabled; }
  /// Throws UsageError where the settings would have made other layers than the weights hold, and as
  /// quant::bitnet::convert and convert_to_lrc.
  std::string apply(nn::Module& model, const MethodContext& context) override;

  void before_step(int64_t step) override;
  bool has_set_in() const override;  ///< lambda is 1
  /// "sparsity", the share of zeros among all ternary weights, and with a warmup "lambda".
  MetricRow metrics() const override;
  /// Of each ternary layer {"name", "sparsity", "scale"}.
  io::Json layers() const override;
  MetricRow summary() const override { return metrics(); }

 private:
  const nn::Module* model_ = nullptr;
  std::optional<quant::bitnet::LambdaWarmup> warmup_;
};

}  // namespace tern::train
