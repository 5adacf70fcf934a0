#include <tern/core/error.h>
#include <tern/core/ops/elementwise.h>
#include <tern/train/methods/distill_method.h>
#include <tern/train/settings/environment.h>

namespace tern::train {

void DistillMethod::declare(Schema& schema) {
  DistillConfig& c = config;
  schema.add("distill.teacher", c.teacher, {}, "weights of a model to learn from besides; empty: none");
  schema.add("distill.teacher_config", c.teacher_config, {},
             "train_lm: config.json of a teacher whose weights do not carry their own");
  schema.add("distill.temperature", c.temperature, {.min = 0, .above = true},
             "of the teacher's and the student's logits");
  schema.add("distill.logits_weight", c.logits_weight, kNotNegative, "weight of the logits' divergence");
  schema.add("distill.relation_weight", c.relation_weight, kNotNegative,
             "weight of the relations between tokens; 0: none");
  schema.add("distill.splits", c.splits, {.min = 0, .max = 65536},
             "vectors that a token's features are cut into for the relations");
  schema.add("distill.layers", c.layers,
             "paths of the layers whose outputs are related: queries, keys and values of a late layer");
  for (const char* name :
       {"teacher", "teacher_config", "temperature", "logits_weight", "relation_weight", "splits", "layers"})
    schema.alias(concat("bitnet.distill.", name), concat("distill.", name));
}

void DistillMethod::check() const {
  const auto need = [](bool condition, auto&&... text) {
    if (!condition) throw UsageError(concat("[config] ", text...));
  };
  const DistillConfig& c = config;
  const DistillConfig none;
  need(is_enabled() ||
           (c.teacher_config.empty() && c.temperature == none.temperature && c.logits_weight == none.logits_weight &&
            c.relation_weight == 0 && c.splits == 0 && c.layers.empty()),
       "expected distill.teacher with other settings of distill, got none");
  need(!is_enabled() || c.logits_weight > 0 || c.relation_weight > 0,
       "expected a distill.logits_weight or relation_weight above 0 with a teacher, got 0 for both");
  need((c.relation_weight > 0) == (c.splits > 0) && (c.relation_weight > 0) != c.layers.empty(),
       "expected distill.splits and layers with a relation_weight and not without, got ", c.splits, " splits and ",
       c.layers.size(), " layers with a weight of ", c.relation_weight);
}

std::string DistillMethod::apply(nn::Module& model, const MethodContext& context) {
  if (!is_enabled()) return {};
  TERN_CHECK(context.teacher != nullptr, StateError, "[distill] expected a program that opens teachers, got none");
  Teacher teacher = context.teacher(config.teacher, config.teacher_config);
  distillation_.emplace(model, std::move(teacher.model),
                        quant::DistillationOptions{.temperature = config.temperature,
                                                   .logits_weight = config.logits_weight,
                                                   .relation_weight = config.relation_weight,
                                                   .splits = config.splits,
                                                   .relation_layers = config.layers,
                                                   .teacher_outputs = std::move(teacher.outputs),
                                                   .teacher_input = std::move(teacher.input)});
  return {};
}

io::Json DistillMethod::environment() const {
  return io::Json::object({{"teacher", file_identity(config.teacher)}});
}

Tensor DistillMethod::loss(const Tensor& output, const TaskBatch& batch, const Tensor& task_loss) {
  return distillation_.has_value() ? add(task_loss, distillation_->loss(output, batch.inputs)) : task_loss;
}

}  // namespace tern::train
