#include <algorithm>
#include <memory>
#include <ostream>
#include <typeinfo>

#include <tern/core/error.h>
#include <tern/core/io/json.h>
#include <tern/core/text.h>
#include <tern/nn/layers/linear.h>
#include <tern/nn/parametrization.h>
#include <tern/nn/places.h>
#include <tern/quant/bitnet/convert.h>
#include <tern/quant/bitnet/lrc.h>

namespace tern::quant::bitnet {
namespace {

// Of a converted layer; null for another module.
const BitLinear::Options* converted_options(const nn::Module& module) {
  if (const auto* layer = dynamic_cast<const BitLinear*>(&module)) return &layer->options();
  if (const auto* corrected = dynamic_cast<const BitLinearLrc*>(&module)) return &corrected->options().layer;
  return nullptr;
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

// Puts a linear layer's own tensor into its successor; one that does not train still does not.
void hand_over(const nn::Parameter& from, nn::Parameter& to) {
  if (!from.defined()) return;
  const bool trains = from.latent().requires_grad();
  to.set(from.latent());
  Tensor(to.latent()).requires_grad_(trains);
}

std::shared_ptr<BitLinear> converted(const nn::Linear& linear, const BitLinear::Options& options) {
  const auto layer = nn::make<BitLinear>(options);
  hand_over(linear.weight, layer->weight);
  hand_over(linear.bias, layer->bias);
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

std::string to_string(const ConvertReport& report) {
  const auto with_norm =
      std::count_if(report.converted.begin(), report.converted.end(), [](const auto& l) { return l.subln; });
  return concat("converted ", report.converted.size(), " layers (", with_norm, " with SubLN), left ",
                to_string(report.left),
                report.before.empty() ? std::string() : concat("; converted before: ", report.before.size()));
}

std::ostream& operator<<(std::ostream& out, const ConvertReport& report) {
  return out << to_string(report);
}

bool wants_subln(std::string_view path, const ConvertOptions& o) {
  const auto& last = o.output_projections;
  return o.subln == SubLn::kAll ||
         (o.subln == SubLn::kOutputProjections && std::find(last.begin(), last.end(), last_part(path)) != last.end());
}

ConvertReport convert(nn::Module& model, const ConvertOptions& options) {
  constexpr const char* kName = "convert";
  ConvertReport report;
  Patterns exclusions(options.exclude, MatchRule::kName);
  const std::vector<std::string> heads = options.exclude_heads ? head_paths(model) : std::vector<std::string>{};
  std::vector<std::pair<std::string, std::shared_ptr<const nn::Linear>>> chosen;
  for (const auto& [module, paths] : nn::module_places(model)) {
    const std::string& path = paths[0];
    if (path.empty()) continue;
    if (const BitLinear::Options* before = converted_options(*module)) {
      exclusions.match(paths, "Linear");
      report.before.push_back({path, before->subln});
      continue;
    }
    const auto linear = std::dynamic_pointer_cast<const nn::Linear>(module);
    if (linear == nullptr) continue;
    std::string reason;
    const auto is_head = [&](const std::string& p) { return std::find(heads.begin(), heads.end(), p) != heads.end(); };
    if (const std::string pattern = exclusions.match(paths, linear->type_name()); !pattern.empty())
      reason = concat("excluded by \"", pattern, "\"");
    else if (std::any_of(paths.begin(), paths.end(), is_head))
      reason = "a head";
    else if (typeid(*linear) != typeid(nn::Linear))
      reason = concat("a ", linear->type_name(), ", not a plain Linear");
    else if (linear->weight.is_tied())
      reason = "its weight is tied to another";
    else if (linear->bias.is_tied())
      reason = "its bias is tied to another";
    if (!reason.empty()) {
      report.left.push_back({path, reason});
      continue;
    }
    for (const nn::Parameter* parameter : {&linear->weight, &linear->bias})
      TERN_CHECK(parameter->parametrization() == nullptr, StateError, "[", kName, "] the ", parameter->name(), " of ",
                 path, " has the parametrization \"", parameter->parametrization()->name(), "\"; detach it first");
    chosen.emplace_back(path, linear);
    report.converted.push_back(
        {path, std::any_of(paths.begin(), paths.end(), [&](const std::string& p) { return wants_subln(p, options); })});
  }
  exclusions.check_all_used(kName, "exclusions that match a linear layer");
  TERN_CHECK(!chosen.empty() || !report.before.empty(), ValueError, "[", kName,
             "] found no linear layer to convert in ", model.type_name(), ", and left ", to_string(report.left));
  for (size_t i = 0; i < chosen.size(); ++i) {
    const auto& [path, linear] = chosen[i];
    model.replace_everywhere(path, converted(*linear, options_for(*linear, report.converted[i].subln, options)));
  }
  return report;
}

bool is_bitnet(const nn::Module& model) {
  const nn::NamedModules modules = model.named_modules();
  return std::any_of(modules.begin(), modules.end(),
                     [](const auto& entry) { return converted_options(*entry.second) != nullptr; });
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

std::vector<DescribedConversion> described_conversion(const std::string& description) {
  const io::Json layers = io::Json::parse("restore_conversion", "the description of a conversion", description);
  std::vector<DescribedConversion> found;
  for (const io::Json& entry : layers.items()) {
    DescribedConversion layer{.path = entry.at("path").as_string(), .options = described(entry.at("bit_linear"))};
    if (entry.contains("rank"))
      layer.correction = BitLinearLrc::Options{.layer = layer.options,
                                               .rank = entry.at("rank").as_int(),
                                               .trainable_weight = entry.at("trainable_weight").as_bool(),
                                               .keep_weight = entry.at("keep_weight").as_bool()};
    found.push_back(std::move(layer));
  }
  return found;
}

void restore_conversion(nn::Module& model, const std::string& description) {
  std::vector<std::pair<std::string, std::shared_ptr<nn::Module>>> made;
  for (const auto& [path, options, correction] : described_conversion(description)) {
    const auto before = model.get_module(path);
    int64_t in = 0, out = 0;
    TERN_CHECK(sizes_of(*before, in, out) && in == options.in_features && out == options.out_features, ValueError,
               "[restore_conversion] expected a linear layer from ", options.in_features, " to ", options.out_features,
               " at ", path, ", got ", before->type_name(), "(", before->extra_text(), ")");
    if (correction.has_value())
      made.emplace_back(path, nn::make<BitLinearLrc>(*correction));
    else
      made.emplace_back(path, nn::make<BitLinear>(options));
  }
  for (const auto& [path, layer] : made) model.replace_everywhere(path, layer);
}

}  // namespace tern::quant::bitnet
