#include <algorithm>
#include <cmath>
#include <cstdio>
#include <functional>
#include <ostream>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/name_list.h>
#include <tern/core/text.h>
#include <tern/nn/eval_mode.h>
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

// What a report lists.
std::vector<Weight> reported(const nn::Module& model) {
  std::vector<Weight> found = weights_of(model);
  const bool any = std::any_of(found.begin(), found.end(), [](const Weight& w) { return w.quantizer() != nullptr; });
  std::erase_if(found, [&](const Weight& w) {
    return !w.of_known_layer && !(any && (w.quantizer() != nullptr || w.parameter->latent().dim() >= 2));
  });
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

// The reason to leave out a layer that stands at these paths; empty if no pattern matches one. Marks those that do in
// `used`.
std::string excluded_by(const AttachOptions& options, const std::vector<std::string>& paths, std::vector<bool>& used) {
  std::string reason;
  for (size_t i = 0; i < options.exclude.size(); ++i) {
    const std::string& pattern = options.exclude[i];
    const auto hits = [&](const std::string& path) {
      return options.rule == ExcludeRule::kSubstring ? path.find(pattern) != std::string::npos
                                                     : glob_matches(pattern, path);
    };
    if (std::none_of(paths.begin(), paths.end(), hits)) continue;
    used[i] = true;
    if (reason.empty()) reason = concat("excluded by \"", pattern, "\"");
  }
  return reason;
}

LayerReport report_layer(const Weight& of) {
  LayerReport layer;
  layer.name = of.name;
  layer.parameter = of.path;
  const nn::Parameter& weight = *of.parameter;
  layer.weights = weight.latent().numel();
  const auto* quantizer = weight.parametrization_as<Quantizer>();
  if (quantizer != nullptr && weight.is_parametrized()) {
    layer.quantized = true;
    layer.dead_zone = quantizer->dead_zone(weight.latent());
    layer.bits = layer.dead_zone.bits;
    layer.logit_dz = quantizer->logit_dz.latent().item();
    layer.logit_bit = quantizer->logit_bit.latent().item();
    const CodeCounts counts = count_codes(weight.latent(), layer.dead_zone);
    layer.zeros = counts.zeros;
    layer.clamped = counts.clamped;
  } else {
    const auto values = weight().detach().to_vector<double>();
    layer.zeros = std::count(values.begin(), values.end(), 0.0);
  }
  return layer;
}

template <class... Args>
std::string format(const char* text, Args... args) {
  char line[256];
  std::snprintf(line, sizeof line, text, args...);
  return line;
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
  std::vector<bool> used(options.exclude.size(), false), included(options.include.size(), false);
  std::unordered_map<const nn::Module*, std::vector<std::string>> paths;
  for (nn::ModulePlaces& place : nn::module_places(model)) paths[place.module.get()] = std::move(place.paths);
  for (const Weight& weight : weights_of(model)) {
    const nn::Parameter& parameter = *weight.parameter;
    const bool is_float = parameter.latent().dtype() == DType::kF32 || parameter.latent().dtype() == DType::kF64;
    bool wanted = false;
    for (const std::string& path : paths.at(weight.module.get()))
      for (size_t i = 0; i < options.include.size(); ++i)
        if (is_float && glob_matches(options.include[i], nn::join_path(path, parameter.name())))
          wanted = included[i] = true;
    const bool candidate =
        weight.of_known_layer || (options.rule == ExcludeRule::kSubstring && parameter.name() == kWeight);
    std::string reason;
    if (candidate)
      if (std::string excluded = excluded_by(options, paths.at(weight.module.get()), used); !wanted)
        reason = std::move(excluded);
    if (!candidate && !wanted && parameter.latent().dim() >= 2) unknown.push_back(weight.path);
    if (!candidate && !wanted)
      reason = concat("a parameter of ", weight.module->type_name(),
                      ", which is neither a convolution nor a linear layer; include it by its path");
    else if (reason.empty() && all_zero(parameter.latent()))
      reason = "all weights are zero, which the quantizer could never leave";
    if (!reason.empty()) {
      if (candidate || wanted) report.skipped.emplace_back(weight.name, reason);
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
  if (options.rule == ExcludeRule::kGlob) {
    for (size_t i = 0; i < used.size(); ++i)
      TERN_CHECK(used[i], ValueError,
                 "[codeq] expected exclude patterns that match a convolution or linear layer, got \"",
                 options.exclude[i], "\", which matches none");
  }
  for (size_t i = 0; i < included.size(); ++i)
    TERN_CHECK(included[i], ValueError,
               "[codeq] expected include patterns that match the path of an f32 or f64 parameter, got \"",
               options.include[i], "\", which matches none");
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

Report layer_states(const nn::Module& model) {
  const NoGradGuard no_grad;
  Report out;
  for (const Weight& weight : reported(model)) out.layers.push_back(report_layer(weight));
  return out;
}

namespace {

Report counted(nn::Module& model, int64_t batch, const std::function<void()>& run) {
  const NoGradGuard no_grad;
  Report out = layer_states(model);

  // One forward in eval mode, counted by hooks.
  std::vector<nn::HookHandle> hooks;
  const std::vector<Weight> weights = reported(model);
  for (size_t i = 0; i < weights.size();) {
    size_t end = i;
    double all = 0;  // values of the module's reported parameters
    for (; end < weights.size() && weights[end].module == weights[i].module; ++end)
      all += static_cast<double>(out.layers[end].weights);
    hooks.push_back(weights[i].module->register_forward_hook(
        [&out, &weights, i, end, all, batch](nn::Module& module, std::span<const Tensor> inputs, const Tensor& output) {
          if (is_weight_layer(module)) {  // multiply-adds are the weight's elements at every position of the output
            const Tensor& weight = module.find_parameter(kWeight)->latent();
            const int64_t positions = output.numel() / (weight.shape()[0] * batch);
            for (size_t k = i; k < end; ++k)
              if (weights[k].of_known_layer) out.layers[k].macs += weight.numel() * positions;
          } else if (!inputs.empty() && output.defined()) {
            const auto macs = static_cast<double>(module.macs(inputs[0].shape(), output.shape()) / batch);
            for (size_t k = i; k < end; ++k)
              out.layers[k].macs +=
                  std::llround(macs * static_cast<double>(out.layers[k].weights) / std::max(all, 1.0));
          }
        }));
    i = end;
  }
  const nn::EvalModeGuard evaluation(model);
  try {
    run();
  } catch (...) {
    for (auto& hook : hooks) hook.remove();
    throw;
  }
  for (auto& hook : hooks) hook.remove();
  return out;
}

}  // namespace

Report report(nn::Module& model, const Shape& input_shape) {
  TERN_CHECK(input_shape.size() > 0 && input_shape[0] > 0, ShapeError,
             "[codeq] expected an input shape that starts with a batch size of at least 1, got ", input_shape);
  const auto parameters = model.parameters();
  const Tensor input = empty(input_shape, parameters.empty() ? DType::kF32 : parameters.front().dtype()).fill_(0);
  return counted(model, input_shape[0], [&] { static_cast<void>(model(input)); });
}

Report report(nn::Module& model, const std::function<void()>& run) {
  return counted(model, 1, run);
}

int64_t Report::weights() const {
  int64_t n = 0;
  for (const LayerReport& layer : layers) n += layer.weights;
  return n;
}

double Report::sparsity() const {
  int64_t zeros = 0;
  for (const LayerReport& layer : layers) zeros += layer.zeros;
  return weights() == 0 ? 0.0 : static_cast<double>(zeros) / static_cast<double>(weights());
}

double Report::mean_bits() const {
  double bits = 0;
  for (const LayerReport& layer : layers) bits += static_cast<double>(layer.weights) * layer.bits;
  return weights() == 0 ? 32.0 : bits / static_cast<double>(weights());
}

int64_t Report::macs() const {
  int64_t n = 0;
  for (const LayerReport& layer : layers) n += layer.macs;
  return n;
}

double Report::bops() const {
  double n = 0;
  for (const LayerReport& layer : layers) n += layer.bops();
  return n;
}

double Report::rel_bops() const {
  return macs() == 0 ? 1.0 : bops() / (static_cast<double>(macs()) * 32.0 * 32.0);
}

std::string to_string(const Report& report) {
  size_t width = 5;
  for (const LayerReport& layer : report.layers) width = std::max(width, layer.name.size());
  const int w = static_cast<int>(std::min<size_t>(width, 60));
  const double all_bops = report.bops();
  const bool with_macs = report.macs() > 0;
  const auto line = [&](const std::string& start, const std::string& macs) {
    return start + (with_macs ? macs : std::string()) + "\n";
  };
  std::string out = line(format("%-*s %10s %7s %5s %8s %9s", w, "layer", "weights", "zeros", "bits", "d/2A", "range"),
                         format(" %12s %12s", "MACs", "BOPs share"));
  for (const LayerReport& layer : report.layers) {
    const double ratio = layer.dead_zone.range > 0 ? layer.dead_zone.dead_zone / (2 * layer.dead_zone.range) : 0.0;
    out += line(
        format("%-*.60s %10lld %6.2f%% %5d %8.4f %9.4f", w, layer.name.c_str(), static_cast<long long>(layer.weights),
               100 * (1 - layer.density()), layer.bits, ratio, layer.dead_zone.range),
        format(" %12lld %11.2f%%", static_cast<long long>(layer.macs),
               all_bops > 0 ? 100 * layer.bops() / all_bops : 0.0));
  }
  out += line(format("%-*s %10lld %6.2f%% %5.2f %8s %9s", w, "total", static_cast<long long>(report.weights()),
                     100 * report.sparsity(), report.mean_bits(), "", ""),
              format(" %12lld %11.2f%%", static_cast<long long>(report.macs()), all_bops > 0 ? 100.0 : 0.0));
  if (with_macs) return out + format("BOPs %.4g, %.3f %% of dense fp32", all_bops, 100 * report.rel_bops());
  out.pop_back();
  return out;
}

std::ostream& operator<<(std::ostream& out, const Report& report) {
  return out << to_string(report);
}

}  // namespace tern::quant::codeq
