#include <algorithm>
#include <memory>
#include <ostream>
#include <typeinfo>

#include <tern/core/error.h>
#include <tern/core/io/json.h>
#include <tern/core/text.h>
#include <tern/nn/linear.h>
#include <tern/nn/parametrization.h>
#include <tern/quant/bitnet/convert.h>
#include <tern/quant/bitnet/lrc.h>

namespace tern::quant::bitnet {
namespace {

std::string_view last_part(std::string_view path) {
  return path.substr(path.rfind('.') + 1);  // npos + 1 is 0
}

bool is_head(std::string_view path) {
  const std::string_view name = last_part(path);
  return name == "lm_head" || name == "head" || name == "classifier";
}

bool is_converted(const nn::Module& module) {
  return dynamic_cast<const BitLinear*>(&module) != nullptr || dynamic_cast<const BitLinearLrc*>(&module) != nullptr;
}

BitLinear::Options options_for(const nn::Linear& linear, bool subln, const ConvertOptions& o) {
  return {.in_features = linear.options().in_features,
          .out_features = linear.options().out_features,
          .bias = linear.options().bias,
          .quantize_weight = o.quantize_weight,
          .quantize_activation = o.quantize_activation,
          .subln = subln,
          .subln_affine = o.subln_affine,
          .subln_eps = o.subln_eps};
}

// With the linear layer's own tensors.
std::shared_ptr<BitLinear> converted(const nn::Linear& linear, const BitLinear::Options& options) {
  const auto layer = nn::make<BitLinear>(options);
  layer->weight.set(linear.weight.latent());
  if (linear.bias.defined()) layer->bias.set(linear.bias.latent());
  if (layer->subln.has_value()) (*layer->subln)->to(linear.weight.latent().dtype());
  layer->train(linear.is_training());
  return layer;
}

io::Json describe(const BitLinear::Options& o) {
  return io::Json::object({{"in_features", o.in_features},
                           {"out_features", o.out_features},
                           {"bias", o.bias},
                           {"quantize_weight", o.quantize_weight},
                           {"quantize_activation", o.quantize_activation},
                           {"subln", o.subln},
                           {"subln_affine", o.subln_affine},
                           {"subln_eps", o.subln_eps}});
}

BitLinear::Options described(const io::Json& json) {
  return {.in_features = json.at("in_features").as_int(),
          .out_features = json.at("out_features").as_int(),
          .bias = json.at("bias").as_bool(),
          .quantize_weight = json.at("quantize_weight").as_bool(),
          .quantize_activation = json.at("quantize_activation").as_bool(),
          .subln = json.at("subln").as_bool(),
          .subln_affine = json.at("subln_affine").as_bool(),
          .subln_eps = json.at("subln_eps").as_number()};
}

// What a linear layer, converted or not, maps between; false for another module.
bool sizes_of(const nn::Module& module, int64_t& in, int64_t& out) {
  const auto take = [&](const auto& options) {
    in = options.in_features, out = options.out_features;
    return true;
  };
  if (const auto* linear = dynamic_cast<const nn::Linear*>(&module)) return take(linear->options());
  if (const auto* layer = dynamic_cast<const BitLinear*>(&module)) return take(layer->options());
  if (const auto* layer = dynamic_cast<const BitLinearLrc*>(&module)) return take(layer->options().layer);
  return false;
}

}  // namespace

std::string detail::Exclusions::match(std::string_view path, std::string_view type) {
  std::string first;
  for (size_t i = 0; i < patterns_.size(); ++i) {
    const std::string& pattern = patterns_[i];
    if (pattern != last_part(path) && pattern != type && !glob_matches(pattern, path)) continue;
    used_[i] = true;
    if (first.empty()) first = pattern;
  }
  return first;
}

void detail::Exclusions::check_all_used(const char* op, const char* what) const {
  for (size_t i = 0; i < patterns_.size(); ++i)
    TERN_CHECK(used_[i], ValueError, "[", op, "] expected exclusions that match a ", what, ", got \"", patterns_[i],
               "\", which matches none");
}

std::string to_string(const ConvertReport& report) {
  const auto with_norm =
      std::count_if(report.converted.begin(), report.converted.end(), [](const auto& l) { return l.subln; });
  std::string text =
      concat("converted ", report.converted.size(), " layers (", with_norm, " with SubLN), left ", report.left.size());
  for (size_t i = 0; i < report.left.size(); ++i)
    text += concat(i == 0 ? ": " : ", ", report.left[i].first, " (", report.left[i].second, ")");
  return text;
}

std::ostream& operator<<(std::ostream& out, const ConvertReport& report) {
  return out << to_string(report);
}

ConvertReport convert(nn::Module& model, const ConvertOptions& options) {
  constexpr const char* kName = "convert";
  ConvertReport report;
  detail::Exclusions exclusions(options.exclude);
  std::vector<std::pair<std::string, std::shared_ptr<BitLinear>>> layers;
  bool any_before = false;
  for (const auto& [path, module] : model.named_modules()) {
    if (path.empty()) continue;
    if (is_converted(*module)) {
      any_before = true;
      exclusions.match(path, "Linear");
      continue;
    }
    const auto* const linear = dynamic_cast<const nn::Linear*>(module.get());
    if (linear == nullptr) continue;
    std::string reason;
    if (const std::string pattern = exclusions.match(path, linear->type_name()); !pattern.empty())
      reason = concat("excluded by \"", pattern, "\"");
    else if (options.exclude_heads && is_head(path))
      reason = "a head";
    else if (typeid(*linear) != typeid(nn::Linear))
      reason = concat("a ", linear->type_name(), ", not a plain Linear");
    else if (linear->weight.is_tied())
      reason = "its weight is tied to another";
    if (!reason.empty()) {
      report.left.emplace_back(path, reason);
      continue;
    }
    TERN_CHECK(linear->weight.parametrization() == nullptr, StateError, "[", kName, "] the weight of ", path,
               " has the parametrization \"", linear->weight.parametrization()->name(), "\"; detach it first");
    const auto& projections = options.output_projections;
    const bool subln = options.subln == SubLn::kAll ||
                       (options.subln == SubLn::kOutputProjections &&
                        std::find(projections.begin(), projections.end(), last_part(path)) != projections.end());
    layers.emplace_back(path, converted(*linear, options_for(*linear, subln, options)));
    report.converted.push_back({path, subln});
  }
  exclusions.check_all_used(kName, "linear layer");
  TERN_CHECK(!layers.empty() || any_before, ValueError, "[", kName, "] found no linear layer to convert in ",
             model.type_name());
  for (const auto& [path, layer] : layers) model.replace(path, layer);
  return report;
}

bool is_bitnet(const nn::Module& model) {
  const nn::NamedModules modules = model.named_modules();
  return std::any_of(modules.begin(), modules.end(), [](const auto& entry) { return is_converted(*entry.second); });
}

ConvertReport auto_convert(nn::Module& model, const ConvertOptions& options) {
  return is_bitnet(model) ? ConvertReport{} : convert(model, options);
}

std::string describe_conversion(const nn::Module& model) {
  io::Json layers = io::Json::array();
  for (const auto& [path, module] : model.named_modules()) {
    if (const auto* layer = dynamic_cast<const BitLinear*>(module.get())) {
      layers.push_back(io::Json::object({{"path", path}, {"bit_linear", describe(layer->options())}}));
    } else if (const auto* corrected = dynamic_cast<const BitLinearLrc*>(module.get())) {
      const BitLinearLrc::Options& o = corrected->options();
      layers.push_back(io::Json::object({{"path", path},
                                         {"bit_linear", describe(o.layer)},
                                         {"rank", o.rank},
                                         {"trainable_weight", o.trainable_weight},
                                         {"keep_weight", o.keep_weight}}));
    }
  }
  return layers.dump();
}

void restore_conversion(nn::Module& model, const std::string& description) {
  constexpr const char* kName = "restore_conversion";
  const io::Json layers = io::Json::parse(kName, "the description of a conversion", description);
  std::vector<std::pair<std::string, std::shared_ptr<nn::Module>>> made;
  for (const io::Json& entry : layers.items()) {
    const std::string& path = entry.at("path").as_string();
    const BitLinear::Options options = described(entry.at("bit_linear"));
    const auto before = model.get_module(path);
    int64_t in = 0, out = 0;
    TERN_CHECK(sizes_of(*before, in, out) && in == options.in_features && out == options.out_features, ValueError, "[",
               kName, "] expected a linear layer from ", options.in_features, " to ", options.out_features, " at ",
               path, ", got ", before->type_name(), "(", before->extra_text(), ")");
    if (entry.contains("rank"))
      made.emplace_back(path, nn::make<BitLinearLrc>({.layer = options,
                                                      .rank = entry.at("rank").as_int(),
                                                      .trainable_weight = entry.at("trainable_weight").as_bool(),
                                                      .keep_weight = entry.at("keep_weight").as_bool()}));
    else
      made.emplace_back(path, nn::make<BitLinear>(options));
  }
  for (const auto& [path, layer] : made) model.replace(path, layer);
}

}  // namespace tern::quant::bitnet
