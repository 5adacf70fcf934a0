#include <algorithm>
#include <cmath>
#include <map>
#include <memory>
#include <utility>
#include <vector>

#include <tern/core/error.h>
#include <tern/nn/layers/linear.h>
#include <tern/nn/structure.h>
#include <tern/quant/layers/packed_linear.h>
#include <tern/quant/layers/packed_state.h>

namespace tern::quant {
namespace {

constexpr std::string_view kWeight = "weight";

// "a.b" of "a.b.weight".
std::string layer_of(const std::string& name) {
  if (name == kWeight) return {};
  const size_t stem = name.size() > kWeight.size() + 1 ? name.size() - kWeight.size() - 1 : 0;
  TERN_CHECK(stem > 0 && name.compare(stem, std::string::npos, concat(".", kWeight)) == 0, ValueError,
             "[packed] expected a packed weight of a layer, LAYER.weight, got ", name);
  return name.substr(0, stem);
}

std::map<std::string, double> settings_of(const PackedLinear& layer) {
  std::map<std::string, double> settings;
  if (layer.subln) settings[kSublnEps] = layer.options().subln_eps;
  if (layer.options().group_size > 0) settings[packed::kGroupSize] = static_cast<double>(layer.options().group_size);
  return settings;
}

}  // namespace

bool is_packed(const nn::Module& model) {
  const nn::NamedModules modules = model.named_modules();
  return std::any_of(modules.begin(), modules.end(), [](const auto& entry) {
    return dynamic_cast<const PackedLinear*>(entry.second.get()) != nullptr;
  });
}

packed::Content state_of(const nn::Module& model, const packed::Format& format) {
  packed::Content content;
  packed::WeightInfos infos;
  std::map<std::string, Tensor> bytes;
  for (const auto& [path, module] : model.named_modules()) {
    const auto* layer = dynamic_cast<const PackedLinear*>(module.get());
    if (layer == nullptr) continue;
    const std::string name = nn::join_path(path, kWeight);
    packed::PackedWeight weight = layer->weight();
    packed::check(weight);
    if (&format.execution() == &weight.format->execution()) weight = packed::repack(weight, format);
    infos[name] = packed::info_of(weight, settings_of(*layer));
    bytes[name + packed::kBytesSuffix] = weight.bytes;
  }
  for (const auto& [name, tensor] : model.state_dict()) {
    const auto it = bytes.find(name);
    content.tensors.insert(name, it == bytes.end() ? tensor : it->second);
  }
  content.metadata[packed::kMetadataKey] = packed::describe(infos);
  return content;
}

namespace {

// The layer that stands in the place of `old`, which the file has packed.
std::shared_ptr<PackedLinear> layer_for(const nn::Linear& old, const packed::WeightInfo& info,
                                        const packed::PackedWeight& weight) {
  PackedLinear::Options options{
      .in_features = info.in_features, .out_features = info.out_features, .bias = old.options().bias};
  options.format = weight.format->execution().name;
  options.group_size = weight.group_size;
  if (const auto eps = info.settings.find(kSublnEps); eps != info.settings.end()) {
    options.subln = true;
    options.subln_eps = eps->second;
  }
  return nn::make<PackedLinear>(options);
}

void check_sizes(const std::string& path, int64_t in, int64_t out, const packed::WeightInfo& info) {
  TERN_CHECK(in == info.in_features && out == info.out_features, ValueError, "[packed] expected a weight of ", out,
             " x ", in, " for ", path, ", got ", info.out_features, " x ", info.in_features, " from the file");
}

}  // namespace

void load_into(nn::Module& model, const packed::Content& content) {
  const packed::WeightInfos infos = packed::read_infos(content.metadata);
  std::map<std::string, Tensor> bytes;  // as they are computed with, by the name of the tensor
  std::vector<std::pair<std::string, std::shared_ptr<PackedLinear>>> fresh;
  for (const auto& [name, info] : infos) {
    const packed::PackedWeight weight = packed::load(content, name, info);
    bytes[name + packed::kBytesSuffix] = packed::repack(weight, weight.format->execution()).bytes;
    for (const auto& [key, value] : info.settings)
      TERN_CHECK((key == kSublnEps && value >= 0) || (key == packed::kGroupSize && weight.group_size > 0), FormatError,
                 "[packed] expected no settings of ", name, " but ", kSublnEps, " of at least 0, got ", key, " = ",
                 value);
    const std::string path = layer_of(name);
    const std::shared_ptr<nn::Module> module = path.empty() ? nullptr : model.get_module(path);
    const nn::Module& place = path.empty() ? model : *module;
    if (const auto* linear = dynamic_cast<const nn::Linear*>(&place); linear != nullptr && !path.empty()) {
      check_sizes(path, linear->options().in_features, linear->options().out_features, info);
      fresh.emplace_back(path, layer_for(*linear, info, weight));
    } else if (const auto* layer = dynamic_cast<const PackedLinear*>(&place)) {
      check_sizes(path.empty() ? std::string("the model") : path, layer->options().in_features,
                  layer->options().out_features, info);
      TERN_CHECK(settings_of(*layer) == info.settings, ValueError, "[packed] expected for ", path,
                 " the SubLN and eps that its layer has, got others from the file");
    } else {
      throw ValueError(concat("[packed] expected a Linear to replace for ", name, ", got ",
                              path.empty() ? "the model itself" : concat(place.type_name(), " at ", path)));
    }
  }
  for (const auto& [name, info] : infos) {
    const Tensor* const bias = content.tensors.find(nn::join_path(layer_of(name), "bias"));
    if (bias == nullptr || bias->dtype() != DType::kF32) continue;
    for (const float v : bias->to_vector<float>())
      TERN_CHECK(std::isfinite(v), FormatError, "[packed] expected a finite bias, got ", v, " (in ", layer_of(name),
                 ")");
  }
  io::TensorMap state;
  for (const auto& [name, tensor] : content.tensors) {
    const auto it = bytes.find(name);
    state.insert(name, it == bytes.end() ? tensor : it->second);
  }
  nn::StructureGuard structure(model);
  for (const auto& [path, layer] : fresh) model.replace_everywhere(path, layer);
  model.load_state_dict(state);
  structure.keep();
}

}  // namespace tern::quant
