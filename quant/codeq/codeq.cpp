#include <algorithm>
#include <cmath>
#include <functional>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/name_list.h>
#include <tern/core/text.h>
#include <tern/nn/layers/conv2d.h>
#include <tern/nn/layers/linear.h>
#include <tern/nn/places.h>
#include <tern/quant/codeq/codeq.h>

namespace tern::quant::codeq {
namespace {

bool is_weight_layer(const nn::Module& module) {
  return dynamic_cast<const nn::Conv2d*>(&module) != nullptr || dynamic_cast<const nn::Linear*>(&module) != nullptr;
}

// A parameter as this method names it.
struct Weight {
  std::string name;  // the layer's path for its "weight", else `path`
  std::string path;
  std::string layer;
  std::shared_ptr<nn::Module> module;
  nn::Parameter* parameter = nullptr;
  bool of_known_layer = false;  // the weight of a convolution or linear layer
  Quantizer* quantizer() const { return parameter->parametrization_as<Quantizer>(); }
};

constexpr const char* kWeight = "weight";

// All parameters of the modules, those of parametrizations not among them, in the order of the tree. Of tied ones the
// weights of known layers are listed, each, or else the first.
std::vector<Weight> weights_of(const nn::Module& model) {
  std::vector<Weight> found;
  const nn::NamedModules modules = model.named_modules();
  std::unordered_set<const void*> seen;
  for (const auto& [path, module] : modules)
    if (const nn::Parameter* weight = module->find_parameter(kWeight); weight != nullptr && is_weight_layer(*module))
      seen.insert(weight->state_id());
  for (const auto& [path, module] : modules)
    for (nn::Parameter* parameter : module->own_parameters()) {
      if (!parameter->defined()) continue;
      const bool is_weight = parameter->name() == kWeight, known = is_weight && is_weight_layer(*module);
      if (!known && !seen.insert(parameter->state_id()).second) continue;
      const std::string own = nn::join_path(path, parameter->name());
      found.push_back({is_weight ? path : own, own, path, module, parameter, known});
    }
  return found;
}

std::vector<Weight> attached(const nn::Module& model) {
  std::vector<Weight> found = weights_of(model);
  std::erase_if(found, [](const Weight& w) { return w.quantizer() == nullptr; });
  return found;
}

bool all_zero(const Tensor& x) {
  const auto values = x.to_vector<double>();
  return std::all_of(values.begin(), values.end(), [](double v) { return v == 0; });
}

void attach_one(nn::Parameter& weight, Quantizer::Options options) {
  options.dtype = weight.latent().dtype();
  weight.parametrize(std::make_shared<Quantizer>(options));
}

}  // namespace

Quantizer::Quantizer(const Options& options)
    : Parametrization("codeq"),
      logit_dz(this, "logit_dz", empty({}, options.dtype).fill_(options.init_logit_dz),
               options.dead_zone.learnable_dead_zone),
      logit_bit(this, "logit_bit", empty({}, options.dtype).fill_(options.init_logit_bit),
                options.dead_zone.learnable_bits),
      options_(options) {
  options_.dead_zone.validate();
  TERN_CHECK(std::isfinite(options.init_logit_dz) && std::isfinite(options.init_logit_bit), ValueError,
             "[codeq] expected finite initial logits, got ", options.init_logit_dz, " and ", options.init_logit_bit);
}

Tensor Quantizer::effective(const Tensor& latent) {
  return dead_zone_quantize(latent, logit_dz(), logit_bit(), options_.dead_zone);
}

std::optional<double> Quantizer::weight_bits() const {
  return bits_of(logit_bit.latent().item(), options_.dead_zone);
}

DeadZone Quantizer::dead_zone(const Tensor& latent) const {
  return dead_zone_of(latent, logit_dz.latent().item(), logit_bit.latent().item(), options_.dead_zone);
}

AttachReport attach(nn::Module& model, const AttachOptions& options) {
  Quantizer::Options quantizer{
      .dead_zone = options.quantizer, .init_logit_dz = options.init_logit_dz, .init_logit_bit = options.init_logit_bit};
  int top_bits = 0;
  if (const auto* fixed = std::get_if<Fixed>(&options.bits)) {
    quantizer.dead_zone.learnable_bits = false;
    quantizer.dead_zone.fixed_bits = top_bits = fixed->bits;
  } else {
    const auto& learnable = std::get<Learnable>(options.bits);
    quantizer.dead_zone.learnable_bits = true;
    quantizer.dead_zone.min_bits = learnable.min_bits;
    quantizer.dead_zone.max_bits = top_bits = learnable.max_bits;
  }
  quantizer.dead_zone.validate();
  if (options.start_uniform) {
    const double top_code = std::exp2(top_bits - 1) - 1;
    quantizer.init_logit_dz = std::atanh(1 - 1 / (2 * top_code));
  }

  AttachReport report;
  std::vector<nn::Parameter*> chosen;
  std::vector<std::string> unknown;  // paths of parameters of other layers
  Patterns exclude(options.exclude, options.rule), include(options.include);
  std::unordered_map<const nn::Module*, std::vector<std::string>> paths;
  for (nn::ModulePlaces& place : nn::module_places(model)) paths[place.module.get()] = std::move(place.paths);
  for (const Weight& weight : weights_of(model)) {
    const nn::Parameter& parameter = *weight.parameter;
    const bool is_float = parameter.latent().dtype() == DType::kF32 || parameter.latent().dtype() == DType::kF64;
    const std::vector<std::string>& places = paths.at(weight.module.get());
    bool wanted = false;
    if (is_float)
      for (const std::string& path : places) wanted |= !include.match(nn::join_path(path, parameter.name())).empty();
    const bool candidate =
        weight.of_known_layer || (options.rule == MatchRule::kSubstring && parameter.name() == kWeight);
    std::string reason;
    if (candidate)
      if (const std::string pattern = exclude.match(places); !pattern.empty() && !wanted)
        reason = concat("excluded by \"", pattern, "\"");
    if (!candidate && !wanted && parameter.latent().dim() >= 2) unknown.push_back(weight.path);
    if (!candidate && !wanted)
      reason = concat("a parameter of ", weight.module->type_name(),
                      ", which is neither a convolution nor a linear layer; include it by its path");
    else if (reason.empty() && all_zero(parameter.latent()))
      reason = "all weights are zero, which the quantizer could never leave";
    if (!reason.empty()) {
      if (candidate || wanted) report.skipped.push_back({weight.name, reason});
      // One that has a quantizer already, attached by hand, is not left out.
      if (parameter.latent().dim() >= 2 && weight.quantizer() == nullptr) report.left.push_back({weight.path, reason});
      continue;
    }
    TERN_CHECK(parameter.parametrization() == nullptr, StateError, "[codeq] the ", parameter.name(), " of ",
               weight.layer, " already has the parametrization \"", parameter.parametrization()->name(),
               "\"; detach it first");
    TERN_CHECK(!parameter.is_tied(), StateError, "[codeq] the ", parameter.name(), " of ", weight.layer,
               " is tied to another; untie it or exclude it");
    report.attached.push_back(weight.name);
    chosen.push_back(weight.parameter);
  }
  if (options.rule != MatchRule::kSubstring)
    exclude.check_all_used("codeq", "exclude patterns that match a convolution or linear layer");
  include.check_all_used("codeq", "include patterns that match the path of an f32 or f64 parameter");
  TERN_CHECK(!chosen.empty(), ValueError, "[codeq] found no layer to quantize in ", model.type_name(),
             unknown.empty() ? "" : ", but parameters that can be included by their paths: ", name_list(unknown));
  for (nn::Parameter* weight : chosen) attach_one(*weight, quantizer);
  return report;
}

void detach(nn::Module& model, bool bake) {
  for (const Weight& w : attached(model)) w.parameter->remove_parametrization(bake);
}

void set_enabled(nn::Module& model, bool enabled) {
  for (const Weight& w : attached(model)) w.parameter->set_parametrized(enabled);
}

std::vector<std::string> attached_layers(const nn::Module& model) {
  std::vector<std::string> paths;
  for (const Weight& w : attached(model)) paths.push_back(w.name);
  return paths;
}

std::vector<Tensor> base_parameters(const nn::Module& model) {
  std::unordered_set<const void*> logits;
  for (const Weight& w : attached(model)) {
    logits.insert(w.quantizer()->logit_dz.state_id());
    logits.insert(w.quantizer()->logit_bit.state_id());
  }
  std::vector<Tensor> base;
  for (const auto& [name, parameter] : model.named_parameter_objects())
    if (!logits.contains(parameter->state_id()) && parameter->latent().requires_grad())
      base.push_back(parameter->latent());
  return base;
}

std::vector<Tensor> dead_zone_logits(const nn::Module& model) {
  std::vector<Tensor> logits;
  for (const Weight& w : attached(model))
    if (w.quantizer()->options().dead_zone.learnable_dead_zone) logits.push_back(w.quantizer()->logit_dz.latent());
  return logits;
}

std::vector<Tensor> bit_width_logits(const nn::Module& model) {
  std::vector<Tensor> logits;
  for (const Weight& w : attached(model))
    if (w.quantizer()->options().dead_zone.learnable_bits) logits.push_back(w.quantizer()->logit_bit.latent());
  return logits;
}

LayerState state_of(const Tensor& latent, double logit_dz, double logit_bit, const DeadZoneOptions& options) {
  const DeadZone zone = dead_zone_of(latent, logit_dz, logit_bit, options);
  const CodeCounts counts = count_codes(latent, zone);
  LayerState state{.name = {},
                   .method = kMethodKey,
                   .weights = latent.numel(),
                   .zeros = counts.zeros,
                   .bits = zone.bits,
                   .range = zone.range,
                   .bytes = bytes_at(latent.numel(), zone.bits)};
  using Kind = LayerFigure::Kind;
  state.figures = {
      {"dead_zone_share", zone.range > 0 ? zone.dead_zone / (2 * zone.range) : 0, Kind::kShare, "dead zone"},
      {"dead_zone", zone.dead_zone},
      {"step", zone.step},
      {"shift", zone.shift},
      {"top_code", zone.top_code},
      {"logit_dz", logit_dz},
      {"logit_bit", logit_bit},
      {"clamped", static_cast<double>(counts.clamped), Kind::kCount}};
  return state;
}

std::vector<LayerState> layer_states(const nn::Module& model) {
  const NoGradGuard no_grad;
  std::vector<LayerState> states;
  for (const Weight& w : attached(model)) {
    if (!w.parameter->is_parametrized()) continue;
    const Quantizer& quantizer = *w.quantizer();
    states.push_back(state_of(w.parameter->latent(), quantizer.logit_dz.latent().item(),
                              quantizer.logit_bit.latent().item(), quantizer.options().dead_zone));
    states.back().name = w.name;
    states.back().parameter = w.path;
  }
  return states;
}

LayerTable report(nn::Module& model, const Shape& input_shape) {
  return layer_table(model, input_shape);
}

LayerTable report(nn::Module& model, const std::function<void()>& run) {
  return layer_table(model, run);
}

}  // namespace tern::quant::codeq
