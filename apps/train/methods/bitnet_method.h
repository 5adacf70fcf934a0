// BitNet in the training programs: settings, conversion of the model, and what goes on while it trains.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include <tern/nn/module.h>
#include <tern/quant/bitnet/distill.h>
#include <tern/quant/bitnet/lambda_warmup.h>
#include <tern/train/loop/method.h>
#include <tern/train/settings/schema.h>

namespace tern::train {

/// Settings under "bitnet." in a program's configuration. declare() has the ranges.
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

  struct Distill {
    std::string teacher;         ///< weights of the float model to learn from; empty: none
    std::string teacher_config;  ///< train_lm: config.json of weights that do not carry their own
    double temperature = 5;
    double logits_weight = 1;
    double relation_weight = 0;
    int64_t splits = 0;                    ///< vectors that a token's features are cut into
    std::vector<std::string> layers = {};  ///< whose outputs are related, in both models
  } distill;
};

void declare(Schema& schema, BitnetConfig& config);
/// Refuses settings that contradict each other or go nowhere, with a UsageError that names them.
void check(const BitnetConfig& config);

/// Converts a model as the settings say: layers, then low-rank corrections, then what is to train. Returns a line for
/// people. `calibrate` runs the model over data, for lrc.init activations. Of a model that started from a BitNet's
/// weights the layers stay as they are. Throws UsageError where the settings would have made other ones, and as
/// quant::bitnet::convert and convert_to_lrc.
std::string convert_to_bitnet(nn::Module& model, const BitnetConfig& config,
                              const std::function<void(nn::Module&)>& calibrate = {});

/// Lambda warmup and distillation of a converted model under way; columns "lambda" and "sparsity" (share of zeros among
/// all ternary weights), and each layer's.
class BitnetMethod : public Method {
 public:
  /// teacher: null unless the settings name one; teacher_outputs: as in DistillationOptions. The model must outlive
  /// this. Throws as LambdaWarmup and Distillation.
  BitnetMethod(nn::Module& model, const BitnetConfig& config, std::shared_ptr<nn::Module> teacher = nullptr,
               const std::vector<int64_t>& teacher_outputs = {});

  void before_step(int64_t step) override;
  bool has_set_in() const override;  ///< lambda is 1
  Tensor loss(const Tensor& output, const Batch& batch, const Tensor& task_loss) override;
  MetricRow metrics() const override;
  io::Json layers() const override;

 private:
  nn::Module& model_;
  std::optional<quant::bitnet::LambdaWarmup> warmup_;
  std::optional<quant::bitnet::Distillation> distillation_;
};

}  // namespace tern::train
