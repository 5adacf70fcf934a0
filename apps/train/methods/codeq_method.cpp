#include <algorithm>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/nn/structure.h>
#include <tern/quant/codeq/codeq.h>
#include <tern/train/methods/codeq_method.h>

namespace tern::train {
namespace {

namespace codeq = quant::codeq;

codeq::AttachOptions attach_options(const CodeqConfig& c) {
  codeq::AttachOptions options;
  options.exclude = c.exclude;
  options.include = c.include;
  options.rule = c.exclude_rule == "substring" ? quant::MatchRule::kSubstring : quant::MatchRule::kGlob;
  if (c.mode == "fixed")
    options.bits = codeq::Fixed{.bits = static_cast<int>(c.bits)};
  else
    options.bits = codeq::Learnable{.max_bits = static_cast<int>(c.max_bits), .min_bits = static_cast<int>(c.min_bits)};
  options.init_logit_dz = c.init_logit_dz;
  options.init_logit_bit = c.init_logit_bit;
  options.start_uniform = c.start_uniform;
  options.quantizer.range = c.true_maximum ? codeq::Range::kMaximum : codeq::Range::kQuantile;
  options.quantizer.relative_eps = c.relative_eps;
  options.quantizer.mask_clamped = c.mask_clamped;
  options.quantizer.mask_weight_gradient = c.mask_weight_gradient;
  options.quantizer.max_logit_gradient = c.max_logit_gradient;
  options.quantizer.min_abs_logit = c.min_abs_logit;
  return options;
}

// Attaches quantizers in the place of those that are there, which hand their logits on; when it throws they are back.
codeq::AttachReport attach_anew(nn::Module& model, const codeq::AttachOptions& options) {
  const std::vector<quant::LayerState> before = codeq::layer_states(model);
  nn::StructureGuard guard(model);
  codeq::detach(model);
  codeq::AttachReport report = codeq::attach(model, options);
  guard.keep();
  const NoGradGuard no_grad;
  for (const quant::LayerState& layer : before) {
    if (std::find(report.attached.begin(), report.attached.end(), layer.name) == report.attached.end()) continue;
    for (const char* logit : {"logit_dz", "logit_bit"})
      Tensor(model.get_parameter(concat(layer.parameter, ".codeq.", logit)).latent()).fill_(*layer.figure(logit));
  }
  return report;
}

std::string lines_of(const codeq::AttachReport& report) {
  std::string text = concat("CoDeQ on ", report.attached.size(), " layers:");
  for (const std::string& name : report.attached) text += " " + name;
  for (const auto& [name, reason] : report.skipped) text += concat("\nleft as it is: ", name, " (", reason, ")");
  for (const auto& [path, reason] : report.left) {
    const auto named = [&path = path](const auto& s) { return path == s.path || path == s.path + ".weight"; };
    if (std::none_of(report.skipped.begin(), report.skipped.end(), named))
      text += concat("\nleft as it is: ", path, " (", reason, ")");
  }
  return text;
}

}  // namespace

void CodeqMethod::declare(Schema& schema) {
  auto& q = config;
  schema.add("codeq.mode", q.mode, {"none", "fixed", "mixed"},
             "compression while training: fixed bits or learned bits (mixed)");
  schema.add("codeq.bits", q.bits, {.min = 2, .max = 16}, "fixed: bits of every layer");
  schema.add("codeq.min_bits", q.min_bits, {.min = 2, .max = 16}, "mixed: fewest bits of a layer");
  schema.add("codeq.max_bits", q.max_bits, {.min = 2, .max = 16}, "mixed: most bits of a layer");
  schema.add("codeq.exclude", q.exclude, "layers left in full precision, as paths with * and ?");
  schema.add("codeq.include", q.include,
             "parameters of other layers (embeddings, an LSTM) that are quantized as well, as paths with * and ?");
  schema.add("codeq.exclude_rule", q.exclude_rule, {"glob", "substring"}, "substring: the rule of the published code");
  schema.add("codeq.dz_lr", q.dz_lr, kNotNegative, "learning rate of the dead-zone logits at its highest");
  schema.add("codeq.dz_decay", q.dz_decay, kNotNegative, "decay of the dead-zone logits: what makes zeros");
  schema.add("codeq.bit_lr", q.bit_lr, kNotNegative, "learning rate of the bit-width logits at its highest");
  schema.add("codeq.bit_decay", q.bit_decay, kNotNegative, "decay of the bit-width logits: what lowers bits");
  schema.add("codeq.init_logit_dz", q.init_logit_dz, {.min = -10, .max = 10}, "dead-zone logit at the start");
  schema.add("codeq.init_logit_bit", q.init_logit_bit, {.min = -10, .max = 10}, "bit-width logit at the start");
  schema.add("codeq.start_uniform", q.start_uniform, "start with the dead-zone of plain uniform quantization");
  schema.add("codeq.true_maximum", q.true_maximum, "range from the largest weight instead of the 0.99 quantile");
  schema.add("codeq.relative_eps", q.relative_eps, "safeguard: eps relative to the range");
  schema.add("codeq.mask_clamped", q.mask_clamped, "safeguard: clamped weights do not move the logits");
  schema.add("codeq.mask_weight_gradient", q.mask_weight_gradient,
             "safeguard: weights beyond the largest level get no gradient");
  schema.add("codeq.max_logit_gradient", q.max_logit_gradient, kNotNegative,
             "safeguard: largest absolute gradient of a logit; 0: no limit");
  schema.add("codeq.min_abs_logit", q.min_abs_logit, {.min = 0, .max = 1}, "safeguard: smallest absolute logit in use");
}

void CodeqMethod::check() const {
  if (config.mode == "mixed" && config.min_bits > config.max_bits)
    throw UsageError(concat("[config] expected codeq.min_bits of at most codeq.max_bits, got ", config.min_bits,
                            " and ", config.max_bits));
}

std::string CodeqMethod::apply(nn::Module& model, const MethodContext& context) {
  if (!is_enabled()) {
    if (const auto there = codeq::attached_layers(model); !there.empty())
      throw UsageError(concat("[", context.program, "] expected codeq.mode fixed or mixed, as ", context.weights,
                              " holds layers with CoDeQ (", there.front(), " is one), got none"));
    return {};
  }
  const codeq::AttachReport report = attach_anew(model, attach_options(config));
  model_ = &model;
  return lines_of(report);
}

std::vector<ParamGroup> CodeqMethod::parameter_groups(const nn::Module& model) const {
  std::vector<ParamGroup> groups{{named(model, codeq::dead_zone_logits(model)), config.dz_lr, config.dz_decay}};
  if (config.mode == "mixed")
    groups.push_back({named(model, codeq::bit_width_logits(model)), config.bit_lr, config.bit_decay});
  return groups;
}

MetricRow CodeqMethod::metrics() const {
  if (model_ == nullptr) return {};
  const quant::LayerTable table = quant::layer_table(*model_);
  double dead_zones = 0;
  int64_t layers = 0;
  for (const quant::LayerState& layer : table.layers)
    if (const auto share = layer.figure("dead_zone_share")) dead_zones += *share, ++layers;
  return {{"mean_bits", table.mean_bits()},
          {"sparsity", table.sparsity()},
          {"dead_zone", layers > 0 ? dead_zones / static_cast<double>(layers) : 0.0}};
}

io::Json CodeqMethod::layers() const {
  if (model_ == nullptr) return {};
  io::Json layers = io::Json::array();
  for (const quant::LayerState& layer : quant::layer_table(*model_).layers) {
    if (layer.quantized() && layer.method != codeq::kMethodKey) continue;
    const auto weights = static_cast<double>(std::max<int64_t>(layer.weights, 1));
    const auto figure = [&](const char* name) { return layer.figure(name).value_or(0); };
    layers.push_back(io::Json::object({{"name", layer.name},
                                       {"bits", layer.bits},
                                       {"sparsity", static_cast<double>(layer.zeros) / weights},
                                       {"clamped", figure("clamped") / weights},
                                       {"dead_zone", figure("dead_zone_share")},
                                       {"range", layer.range},
                                       {"logit_dz", figure("logit_dz")},
                                       {"logit_bit", figure("logit_bit")}}));
  }
  return layers;
}

}  // namespace tern::train
