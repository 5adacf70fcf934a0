// Distillation in the training programs: a teacher's outputs, and relations within its features, beside the labels.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <tern/quant/distill.h>
#include <tern/train/loop/method.h>

namespace tern::train {

/// Settings under "distill."; "bitnet.distill." is another spelling of them. declare() has the ranges.
struct DistillConfig {
  std::string teacher;         ///< weights of the model to learn from; empty: none
  std::string teacher_config;  ///< train_lm: config.json of weights that do not carry their own
  double temperature = 5;
  double logits_weight = 1;
  double relation_weight = 0;
  int64_t splits = 0;                    ///< vectors that a token's features are cut into
  std::vector<std::string> layers = {};  ///< whose outputs are related, in both models
};

/// quant::Distillation of a model under training, in full precision or compressed by whatever method.
class DistillMethod : public Method {
 public:
  DistillConfig config;

  void declare(Schema& schema) override;
  void check() const override;
  bool is_enabled() const override { return !config.teacher.empty(); }
  /// Opens the teacher by the context. The model must outlive this. Throws as quant::Distillation.
  std::string apply(nn::Module& model, const MethodContext& context) override;
  /// "teacher": what file it is.
  io::Json environment() const override;
  Tensor loss(const Tensor& output, const TaskBatch& batch, const Tensor& task_loss) override;

 private:
  std::optional<quant::Distillation> distillation_;
};

}  // namespace tern::train
