#include <tern/core/error.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/operators.h>
#include <tern/quant/bitnet/convert.h>
#include <tern/quant/bitnet/lrc.h>
#include <tern/train/methods/bitnet_method.h>
#include <tern/train/settings/cli.h>

namespace tern::train {
namespace {

using quant::bitnet::LrcInit;
using quant::bitnet::SubLn;

SubLn subln_of(const std::string& name) {
  return name == "none" ? SubLn::kNone : name == "output" ? SubLn::kOutputProjections : SubLn::kAll;
}

LrcInit init_of(const std::string& name) {
  if (name == "svd") return LrcInit::kSvdResidual;
  if (name == "activations") return LrcInit::kActivationSvd;
  return name == "zeros" ? LrcInit::kZeros : LrcInit::kKaiming;
}

// Calls fn(path, ternary) for every layer with ternary weights.
template <class F>
void for_each_ternary(const nn::Module& model, const F& fn) {
  for (const auto& [path, module] : model.named_modules()) {
    if (auto* layer = dynamic_cast<quant::bitnet::BitLinear*>(module.get())) {
      if (layer->options().quantize_weight) fn(path, layer->ternary());
    } else if (auto* corrected = dynamic_cast<quant::bitnet::BitLinearLrc*>(module.get())) {
      fn(path, corrected->ternary());
    }
  }
}

int64_t zeros_of(const quant::bitnet::Ternary& ternary) {
  int64_t zeros = 0;
  const int8_t* codes = ternary.codes.data<int8_t>();
  for (int64_t i = 0; i < ternary.codes.numel(); ++i) zeros += codes[i] == 0;
  return zeros;
}

template <class... Text>
void need_setting(bool condition, const Text&... text) {
  if (!condition) throw UsageError(concat("[config] ", text...));
}

}  // namespace

void declare(Schema& schema, BitnetConfig& c) {
  schema.add("bitnet.enabled", c.enabled, "ternary weights and int8 activations in the linear layers");
  schema.add("bitnet.subln", c.subln, {"none", "output", "all"},
             "norms in front of no converted layer, of output projections, or of all");
  schema.add("bitnet.exclude", c.exclude,
             "layers left in full precision besides the head: paths with * and ?, last parts of paths, or types");
  schema.add("bitnet.warmup_steps", c.warmup_steps, {.min = 0, .max = 1e9},
             "steps in which quantization sets in; 0: whole from the first step on");
  schema.add("bitnet.warmup_schedule", c.warmup_schedule, {"linear", "cosine"}, "how it sets in");
  schema.add("bitnet.lrc.rank_percentage", c.lrc.rank_percentage, {.min = 0, .max = 1},
             "rank of a low-rank correction, as a share of a layer's smaller side; 0: none");
  schema.add("bitnet.lrc.init", c.lrc.init, {"kaiming", "svd", "activations", "zeros"}, "how its factors start");
  schema.add("bitnet.lrc.freeze", c.lrc.freeze, "whether its factors alone train");
  schema.add("bitnet.distill.teacher", c.distill.teacher, {}, "weights of a float model to learn from; empty: none");
  schema.add("bitnet.distill.teacher_config", c.distill.teacher_config, {},
             "train_lm: config.json of a teacher whose weights do not carry their own");
  schema.add("bitnet.distill.temperature", c.distill.temperature, {.min = 0, .above = true},
             "of the teacher's and the student's logits");
  schema.add("bitnet.distill.logits_weight", c.distill.logits_weight, kNotNegative, "weight of the logits' divergence");
  schema.add("bitnet.distill.relation_weight", c.distill.relation_weight, kNotNegative,
             "weight of the relations between tokens; 0: none");
  schema.add("bitnet.distill.splits", c.distill.splits, {.min = 0, .max = 65536},
             "vectors that a token's features are cut into for the relations");
  schema.add("bitnet.distill.layers", c.distill.layers,
             "paths of the layers whose outputs are related: queries, keys and values of a late layer");
}

void check(const BitnetConfig& c) {
  const BitnetConfig::Lrc lrc;
  const BitnetConfig::Distill distill;
  const bool corrects = c.lrc.rank_percentage > 0, learns = !c.distill.teacher.empty();
  need_setting(c.enabled || (c.warmup_steps == 0 && !corrects && !learns && c.exclude.empty() && c.subln == "none"),
               "expected bitnet.enabled with other settings of bitnet, got false");
  need_setting(c.warmup_steps > 0 || c.warmup_schedule == "linear",
               "expected bitnet.warmup_steps above 0 with bitnet.warmup_schedule ", c.warmup_schedule, ", got 0");
  need_setting(corrects || (c.lrc.init == lrc.init && c.lrc.freeze == lrc.freeze),
               "expected bitnet.lrc.rank_percentage above 0 with other settings of bitnet.lrc, got 0");
  need_setting(!corrects || c.warmup_steps == 0,
               "expected no bitnet.warmup_steps with bitnet.lrc, whose layers are quantized wholly, got ",
               c.warmup_steps);
  need_setting(learns || (c.distill.teacher_config.empty() && c.distill.temperature == distill.temperature &&
                          c.distill.logits_weight == distill.logits_weight && c.distill.relation_weight == 0 &&
                          c.distill.splits == 0 && c.distill.layers.empty()),
               "expected bitnet.distill.teacher with other settings of bitnet.distill, got none");
  need_setting(!learns || c.distill.logits_weight > 0 || c.distill.relation_weight > 0,
               "expected a bitnet.distill.logits_weight or relation_weight above 0 with a teacher, got 0 for both");
  need_setting((c.distill.relation_weight > 0) == (c.distill.splits > 0) &&
                   (c.distill.relation_weight > 0) != c.distill.layers.empty(),
               "expected bitnet.distill.splits and layers with a relation_weight and not without, got ",
               c.distill.splits, " splits and ", c.distill.layers.size(), " layers with a weight of ",
               c.distill.relation_weight);
}

std::string convert_to_bitnet(nn::Module& model, const BitnetConfig& config,
                              const std::function<void(nn::Module&)>& calibrate) {
  const quant::bitnet::ConvertOptions options{.exclude = config.exclude, .subln = subln_of(config.subln)};
  const quant::bitnet::ConvertReport layers = quant::bitnet::convert(model, options);
  for (const auto& layer : layers.before)
    need_setting(layer.subln == quant::bitnet::wants_subln(layer.path, options),
                 "expected bitnet.subln as the weights that are started from have it, got ", config.subln, ", but ",
                 layer.path, layer.subln ? " has a norm" : " has none");
  std::string text = to_string(layers);
  const quant::bitnet::LrcStats there = quant::bitnet::lrc_stats(model);
  if (config.lrc.rank_percentage == 0) {
    need_setting(there.layers == 0,
                 "expected bitnet.lrc.rank_percentage above 0, as the weights that are started from have ",
                 there.layers, " low-rank corrections, got 0");
    return "bitnet: " + text;
  }
  const quant::bitnet::LrcOptions lrc{.rank_percentage = config.lrc.rank_percentage,
                                      .init = init_of(config.lrc.init),
                                      .trainable_weight = !config.lrc.freeze,
                                      .calibrate = calibrate};
  const quant::bitnet::LrcReport report = quant::bitnet::convert_to_lrc(model, lrc);
  for (const auto& [path, module] : model.named_modules())
    if (const auto* layer = dynamic_cast<const quant::bitnet::BitLinearLrc*>(module.get())) {
      const int64_t rank = quant::bitnet::rank_of(layer->options().layer, lrc);
      need_setting(layer->rank() == rank,
                   "expected bitnet.lrc.rank_percentage as the weights that are started from have it, got ",
                   config.lrc.rank_percentage, ", rank ", rank, " for ", path, ", which has rank ", layer->rank());
      need_setting(layer->options().trainable_weight != config.lrc.freeze,
                   "expected bitnet.lrc.freeze as the weights that are started from have it, got ", config.lrc.freeze);
    }
  text += concat("; low-rank corrections for ", report.converted.size());
  if (!report.before.empty()) text += concat(" (", report.before.size(), " had theirs)");
  if (config.lrc.freeze) {
    const auto parts = quant::bitnet::freeze_except_lrc(model);
    text += concat(", ", parts.trainable, " parameters of theirs train, ", parts.frozen, " do not");
  }
  return "bitnet: " + text;
}

BitnetMethod::BitnetMethod(nn::Module& model, const BitnetConfig& config, std::shared_ptr<nn::Module> teacher,
                           const std::vector<int64_t>& teacher_outputs)
    : model_(model) {
  if (config.warmup_steps > 0)
    warmup_.emplace(model,
                    quant::bitnet::LambdaSchedule::Options{.steps = config.warmup_steps,
                                                           .schedule = config.warmup_schedule == "linear"
                                                                           ? quant::bitnet::WarmupSchedule::kLinear
                                                                           : quant::bitnet::WarmupSchedule::kCosine});
  if (teacher != nullptr)
    distillation_.emplace(model, std::move(teacher),
                          quant::bitnet::DistillationOptions{.temperature = config.distill.temperature,
                                                             .logits_weight = config.distill.logits_weight,
                                                             .relation_weight = config.distill.relation_weight,
                                                             .splits = config.distill.splits,
                                                             .relation_layers = config.distill.layers,
                                                             .teacher_outputs = teacher_outputs});
}

void BitnetMethod::before_step(int64_t step) {
  if (warmup_.has_value()) warmup_->set_step_count(step + 1);
}

bool BitnetMethod::has_set_in() const {
  return !warmup_.has_value() || warmup_->lambda() == 1;
}

Tensor BitnetMethod::loss(const Tensor& output, const Batch& batch, const Tensor& task_loss) {
  return distillation_.has_value() ? add(task_loss, distillation_->loss(output, batch.inputs)) : task_loss;
}

MetricRow BitnetMethod::metrics() const {
  int64_t zeros = 0, weights = 0;
  for_each_ternary(model_, [&](const std::string&, const quant::bitnet::Ternary& ternary) {
    zeros += zeros_of(ternary), weights += ternary.codes.numel();
  });
  MetricRow row{{"sparsity", weights == 0 ? 0.0 : static_cast<double>(zeros) / static_cast<double>(weights)}};
  if (warmup_.has_value()) row.push_back({"lambda", warmup_->lambda()});
  return row;
}

io::Json BitnetMethod::layers() const {
  io::Json layers = io::Json::array();
  for_each_ternary(model_, [&](const std::string& path, const quant::bitnet::Ternary& ternary) {
    layers.push_back(io::Json::object(
        {{"name", path},
         {"sparsity", static_cast<double>(zeros_of(ternary)) / static_cast<double>(ternary.codes.numel())},
         {"scale", ternary.scale}}));
  });
  return layers;
}

}  // namespace tern::train
