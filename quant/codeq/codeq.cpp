#include <algorithm>
#include <cmath>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/text.h>
#include <tern/nn/conv2d.h>
#include <tern/nn/linear.h>
#include <tern/quant/codeq/codeq.h>

namespace tern::quant::codeq {
namespace {

bool is_weight_layer(const nn::Module& module) {
  return dynamic_cast<const nn::Conv2d*>(&module) != nullptr || dynamic_cast<const nn::Linear*>(&module) != nullptr;
}

// Layers in the order of the module tree.
std::vector<std::pair<std::string, std::shared_ptr<nn::Module>>> weight_layers(const nn::Module& model) {
  auto modules = model.named_modules();
  std::erase_if(modules, [](const auto& entry) { return !is_weight_layer(*entry.second); });
  return modules;
}

struct Attached {
  std::string layer;  // path of the module that owns the weight
  nn::Parameter* weight = nullptr;
  Quantizer* quantizer = nullptr;
};

std::vector<Attached> attached(const nn::Module& model) {
  std::vector<Attached> found;
  for (const auto& [path, module] : model.named_modules())
    for (nn::Parameter* parameter : module->own_parameters())
      if (auto* quantizer = parameter->parametrization_as<Quantizer>()) found.push_back({path, parameter, quantizer});
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

LayerReport report_layer(const std::string& path, const nn::Module& module) {
  LayerReport layer;
  layer.name = path;
  const nn::Parameter& weight = *module.find_parameter("weight");
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
  std::vector<nn::Parameter*> weights;
  std::vector<bool> used(options.exclude.size(), false);
  for (const auto& [path, module] : model.named_modules()) {
    nn::Parameter* weight = module->find_parameter("weight");
    if (weight == nullptr || !weight->defined()) continue;
    const bool candidate = options.rule == ExcludeRule::kSubstring || is_weight_layer(*module);
    if (!candidate) continue;
    std::string reason;
    for (size_t i = 0; i < options.exclude.size(); ++i) {
      const std::string& pattern = options.exclude[i];
      const bool hit = options.rule == ExcludeRule::kSubstring ? path.find(pattern) != std::string::npos
                                                               : glob_matches(pattern, path);
      if (!hit) continue;
      used[i] = true;
      if (reason.empty()) reason = concat("excluded by \"", pattern, "\"");
    }
    if (reason.empty() && all_zero(weight->latent()))
      reason = "all weights are zero, which the quantizer could never leave";
    if (!reason.empty()) {
      report.skipped.emplace_back(path, reason);
      continue;
    }
    TERN_CHECK(weight->parametrization() == nullptr, StateError, "[codeq] the weight of ", path,
               " already has the parametrization \"", weight->parametrization()->name(), "\"; detach it first");
    TERN_CHECK(!weight->is_tied(), StateError, "[codeq] the weight of ", path,
               " is tied to another; untie it or exclude it");
    report.attached.push_back(path);
    weights.push_back(weight);
  }
  if (options.rule == ExcludeRule::kGlob) {
    for (size_t i = 0; i < used.size(); ++i)
      TERN_CHECK(used[i], ValueError,
                 "[codeq] expected exclude patterns that match a convolution or linear layer, got \"",
                 options.exclude[i], "\", which matches none");
  }
  TERN_CHECK(!weights.empty(), ValueError, "[codeq] found no layer to quantize in ", model.type_name());
  for (nn::Parameter* weight : weights) attach_one(*weight, quantizer);
  return report;
}

void detach(nn::Module& model, bool bake) {
  for (const Attached& a : attached(model)) a.weight->remove_parametrization(bake);
}

void set_enabled(nn::Module& model, bool enabled) {
  for (const Attached& a : attached(model)) a.weight->set_parametrized(enabled);
}

std::vector<std::string> attached_layers(const nn::Module& model) {
  std::vector<std::string> paths;
  for (const Attached& a : attached(model)) paths.push_back(a.layer);
  return paths;
}

std::vector<Tensor> base_parameters(const nn::Module& model) {
  std::vector<Tensor> logits;
  for (const Attached& a : attached(model)) {
    logits.push_back(a.quantizer->logit_dz.latent());
    logits.push_back(a.quantizer->logit_bit.latent());
  }
  std::vector<Tensor> base;
  for (const Tensor& p : model.parameters()) {
    const bool is_logit =
        std::any_of(logits.begin(), logits.end(), [&](const Tensor& logit) { return logit.is_same(p); });
    if (!is_logit && p.requires_grad()) base.push_back(p);
  }
  return base;
}

std::vector<Tensor> dead_zone_logits(const nn::Module& model) {
  std::vector<Tensor> logits;
  for (const Attached& a : attached(model))
    if (a.quantizer->options().dead_zone.learnable_dead_zone) logits.push_back(a.quantizer->logit_dz.latent());
  return logits;
}

std::vector<Tensor> bit_width_logits(const nn::Module& model) {
  std::vector<Tensor> logits;
  for (const Attached& a : attached(model))
    if (a.quantizer->options().dead_zone.learnable_bits) logits.push_back(a.quantizer->logit_bit.latent());
  return logits;
}

Report layer_states(const nn::Module& model) {
  const NoGradGuard no_grad;
  Report out;
  for (const auto& [path, module] : weight_layers(model)) out.layers.push_back(report_layer(path, *module));
  return out;
}

Report report(nn::Module& model, const Shape& input_shape) {
  const NoGradGuard no_grad;
  TERN_CHECK(input_shape.size() > 0 && input_shape[0] > 0, ShapeError,
             "[codeq] expected an input shape that starts with a batch size of at least 1, got ", input_shape);
  Report out = layer_states(model);

  // One forward in eval mode, counting output positions a layer by hooks.
  std::vector<std::pair<nn::Module*, bool>> modes;
  for (const auto& [path, module] : model.named_modules()) modes.emplace_back(module.get(), module->is_training());
  std::vector<nn::HookHandle> hooks;
  const auto layers = weight_layers(model);
  for (size_t i = 0; i < layers.size(); ++i) {
    const Tensor weight = layers[i].second->find_parameter("weight")->latent();
    hooks.push_back(layers[i].second->register_forward_hook(
        [&out, i, weight, batch = input_shape[0]](nn::Module&, std::span<const Tensor>, const Tensor& output) {
          const int64_t positions = output.numel() / (weight.shape()[0] * batch);
          out.layers[i].macs += weight.numel() * positions;
        }));
  }
  const auto undo = [&] {
    for (auto& hook : hooks) hook.remove();
    for (const auto& [module, training] : modes)
      if (module->is_training() != training) module->train(training);
    // train() reaches down the tree; a second pass restores children that differ from their parents
    for (const auto& [module, training] : modes)
      if (module->is_training() != training) module->train(training);
  };
  const auto parameters = model.parameters();
  const DType dtype = parameters.empty() ? DType::kF32 : parameters.front().dtype();
  try {
    model.eval();
    (void)model(empty(input_shape, dtype).fill_(0));
  } catch (...) {
    undo();
    throw;
  }
  undo();
  return out;
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

}  // namespace tern::quant::codeq
