#include <tern/core/error.h>
#include <tern/quant/bitnet/convert.h>
#include <tern/quant/bitnet/lrc.h>
#include <tern/quant/bitnet/method.h>
#include <tern/train/methods/bitnet_method.h>

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

template <class... Text>
void need_setting(bool condition, const Text&... text) {
  if (!condition) throw UsageError(concat("[config] ", text...));
}

// Converts a model as the settings say: layers, then low-rank corrections, then what is to train. Of a model that
// started from a BitNet's weights the layers stay as they are. Returns a line for people.
std::string convert_model(nn::Module& model, const BitnetConfig& config,
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

}  // namespace

void BitnetMethod::declare(Schema& schema) {
  BitnetConfig& c = config;
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
}

void BitnetMethod::check() const {
  const BitnetConfig& c = config;
  const BitnetConfig::Lrc lrc;
  const bool corrects = c.lrc.rank_percentage > 0;
  need_setting(c.enabled || (c.warmup_steps == 0 && !corrects && c.exclude.empty() && c.subln == "none"),
               "expected bitnet.enabled with other settings of bitnet, got false");
  need_setting(c.warmup_steps > 0 || c.warmup_schedule == "linear",
               "expected bitnet.warmup_steps above 0 with bitnet.warmup_schedule ", c.warmup_schedule, ", got 0");
  need_setting(corrects || (c.lrc.init == lrc.init && c.lrc.freeze == lrc.freeze),
               "expected bitnet.lrc.rank_percentage above 0 with other settings of bitnet.lrc, got 0");
  need_setting(!corrects || c.warmup_steps == 0,
               "expected no bitnet.warmup_steps with bitnet.lrc, whose layers are quantized wholly, got ",
               c.warmup_steps);
}

std::string BitnetMethod::apply(nn::Module& model, const MethodContext& context) {
  if (!is_enabled()) {
    if (quant::bitnet::is_bitnet(model))
      throw UsageError(concat("[", context.program, "] expected bitnet.enabled=true, as ", context.weights,
                              " holds a BitNet, got false"));
    return {};
  }
  std::string text = convert_model(model, config, context.calibrate);
  model_ = &model;
  if (config.warmup_steps > 0)
    warmup_.emplace(model,
                    quant::bitnet::LambdaSchedule::Options{.steps = config.warmup_steps,
                                                           .schedule = config.warmup_schedule == "linear"
                                                                           ? quant::bitnet::WarmupSchedule::kLinear
                                                                           : quant::bitnet::WarmupSchedule::kCosine});
  return text;
}

void BitnetMethod::before_step(int64_t step) {
  if (warmup_.has_value()) warmup_->set_step_count(step + 1);
}

bool BitnetMethod::has_set_in() const {
  return !warmup_.has_value() || warmup_->lambda() == 1;
}

MetricRow BitnetMethod::metrics() const {
  if (model_ == nullptr) return {};
  int64_t zeros = 0, weights = 0;
  for (const quant::LayerState& layer : quant::bitnet::layer_states(*model_))
    zeros += layer.zeros, weights += layer.weights;
  MetricRow row{{"sparsity", weights == 0 ? 0.0 : static_cast<double>(zeros) / static_cast<double>(weights)}};
  if (warmup_.has_value()) row.push_back({"lambda", warmup_->lambda()});
  return row;
}

io::Json BitnetMethod::layers() const {
  if (model_ == nullptr) return {};
  io::Json layers = io::Json::array();
  for (const quant::LayerState& layer : quant::bitnet::layer_states(*model_))
    layers.push_back(
        io::Json::object({{"name", layer.name},
                          {"sparsity", static_cast<double>(layer.zeros) / static_cast<double>(layer.weights)},
                          {"scale", *layer.figure("scale")}}));
  return layers;
}

}  // namespace tern::train
