#include <cmath>
#include <memory>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/io/json.h>
#include <tern/nn/layers/linear.h>
#include <tern/quant/packed/file.h>
#include <tern/quant/packed/linear.h>

namespace tern::quant::packed {
namespace {

constexpr std::string_view kWeight = "weight";

void check_keys(const io::Json& object, const std::string& where, std::initializer_list<std::string_view> keys) {
  TERN_CHECK(object.is_object(), FormatError, "[packed] expected an object as ", where, " of ", kMetadataKey, ", got ",
             name_of(object.kind()));
  for (const auto& [key, value] : object.members()) {
    bool known = false;
    for (const std::string_view k : keys) known = known || key == k;
    TERN_CHECK(known, FormatError, "[packed] expected no further members in ", where, " of ", kMetadataKey, ", got \"",
               key, "\"");
  }
  for (const std::string_view k : keys)
    TERN_CHECK(object.contains(k), FormatError, "[packed] expected a member \"", k, "\" in ", where, " of ",
               kMetadataKey, ", got none");
}

WeightInfo info_of(const std::string& name, const io::Json& entry) {
  const std::string where = concat("the entry of ", name);
  check_keys(entry, where, {"format", "version", "out_features", "in_features", "settings"});
  WeightInfo info{.format = entry.at("format").as_string(),
                  .version = entry.at("version").as_int(),
                  .out_features = entry.at("out_features").as_int(),
                  .in_features = entry.at("in_features").as_int()};
  TERN_CHECK(info.out_features >= 1 && info.in_features >= 1 && info.version >= 1, FormatError,
             "[packed] expected sizes and a version of at least 1 for ", name, ", got ", info.out_features, " x ",
             info.in_features, " and version ", info.version);
  for (const auto& [key, value] : entry.at("settings").members()) {
    info.settings[key] = value.as_number();
    TERN_CHECK(std::isfinite(info.settings[key]), FormatError, "[packed] expected finite settings for ", name, ", got ",
               key, " = ", info.settings[key]);
  }
  return info;
}

WeightInfo info_of(const PackedTernary& weight, const std::map<std::string, double>& settings) {
  return {.format = std::string(name_of(weight.format)),
          .version = kTernaryVersion,
          .out_features = weight.out_features,
          .in_features = weight.in_features,
          .settings = settings};
}

Tensor scalar(float value) {
  return empty({}).fill_(value);
}

PackedTernary load_as(const Content& content, const std::string& name, const WeightInfo& info) {
  const auto tensor_at = [&](const char* suffix) -> const Tensor& {
    const Tensor* found = content.tensors.find(name + suffix);
    TERN_CHECK(found != nullptr, FormatError, "[packed] expected a tensor ", name, suffix, " in ", info.format,
               ", got none");
    return *found;
  };
  try {
    PackedTernary weight;
    try {
      weight.format = ternary_format(info.format);
    } catch (const ValueError& unknown) {
      throw FormatError(unknown.message());
    }
    TERN_CHECK(info.version <= kTernaryVersion, FormatError, "[packed] expected ", info.format, " of version ",
               kTernaryVersion, " or lower, got version ", info.version);
    const Tensor& scale = tensor_at(kScaleSuffix);
    TERN_CHECK(scale.dtype() == DType::kF32 && scale.dim() == 0, FormatError, "[packed] expected a scale f32 [], got ",
               tern::describe(scale));
    weight.out_features = info.out_features;
    weight.in_features = info.in_features;
    weight.bytes = tensor_at(kBytesSuffix);
    weight.scale = scale.item<float>();
    check(weight);
    return weight;
  } catch (const FormatError& error) {
    throw FormatError(concat(error.message(), " (in ", name, ")"));
  }
}

const WeightInfo& info_at(const WeightInfos& infos, const std::string& name) {
  const auto it = infos.find(name);
  TERN_CHECK(it != infos.end(), ValueError, "[packed] expected the name of a packed weight, got ", name,
             ", which the file does not have");
  return it->second;
}

// "a.b" of "a.b.weight".
std::string layer_of(const std::string& name) {
  if (name == kWeight) return {};
  const size_t stem = name.size() > kWeight.size() + 1 ? name.size() - kWeight.size() - 1 : 0;
  TERN_CHECK(stem > 0 && name.compare(stem, std::string::npos, concat(".", kWeight)) == 0, ValueError,
             "[packed] expected a packed weight of a layer, LAYER.weight, got ", name);
  return name.substr(0, stem);
}

std::map<std::string, double> settings_of(const PackedTernaryLinear& layer) {
  if (!layer.subln) return {};
  return {{kSublnEps, layer.options().subln_eps}};
}

}  // namespace

std::string describe(const WeightInfos& infos) {
  io::Json::Object weights;
  for (const auto& [name, info] : infos) {
    io::Json::Object settings;
    for (const auto& [key, value] : info.settings) settings.emplace_back(key, value);
    weights.emplace_back(name, io::Json::object({{"format", info.format},
                                                 {"version", info.version},
                                                 {"out_features", info.out_features},
                                                 {"in_features", info.in_features},
                                                 {"settings", io::Json::object(std::move(settings))}}));
  }
  return io::Json::object({{"weights", io::Json::object(std::move(weights))}}).dump();
}

WeightInfos read_infos(const io::Metadata& metadata) {
  WeightInfos infos;
  const auto it = metadata.find(kMetadataKey);
  if (it == metadata.end()) return infos;
  const io::Json root = io::Json::parse("packed", kMetadataKey, it->second);
  check_keys(root, "the value", {"weights"});
  for (const auto& [name, entry] : root.at("weights").members()) infos[name] = info_of(name, entry);
  return infos;
}

void store(Content& content, const std::string& name, const PackedTernary& weight,
           const std::map<std::string, double>& settings) {
  check(weight);
  WeightInfos infos = read_infos(content.metadata);
  TERN_CHECK(!infos.contains(name), ValueError, "[packed] expected a new name, got ", name, ", which is there already");
  infos[name] = info_of(weight, settings);
  content.tensors.insert(name + kBytesSuffix, weight.bytes);
  content.tensors.insert(name + kScaleSuffix, scalar(weight.scale));
  content.metadata[kMetadataKey] = describe(infos);
}

PackedTernary load(const Content& content, const std::string& name) {
  const WeightInfos infos = read_infos(content.metadata);
  return load_as(content, name, info_at(infos, name));
}

Content state_of(const nn::Module& model, TernaryFormat format) {
  Content content;
  WeightInfos infos;
  std::map<std::string, Tensor> bytes;
  for (const auto& [path, module] : model.named_modules()) {
    const auto* layer = dynamic_cast<const PackedTernaryLinear*>(module.get());
    if (layer == nullptr) continue;
    const std::string name = nn::join_path(path, kWeight);
    const PackedTernary weight = repack(layer->weight(), format);
    infos[name] = info_of(weight, settings_of(*layer));
    bytes[name + kBytesSuffix] = weight.bytes;
  }
  for (const auto& [name, tensor] : model.state_dict()) {
    const auto it = bytes.find(name);
    content.tensors.insert(name, it == bytes.end() ? tensor : it->second);
  }
  content.metadata[kMetadataKey] = describe(infos);
  return content;
}

namespace {

// The layer that stands in the place of `old`, which the file has packed.
std::shared_ptr<PackedTernaryLinear> layer_for(const nn::Linear& old, const WeightInfo& info) {
  PackedTernaryLinear::Options options{
      .in_features = info.in_features, .out_features = info.out_features, .bias = old.options().bias};
  if (const auto eps = info.settings.find(kSublnEps); eps != info.settings.end()) {
    options.subln = true;
    options.subln_eps = eps->second;
  }
  return nn::make<PackedTernaryLinear>(options);
}

void check_sizes(const std::string& path, int64_t in, int64_t out, const WeightInfo& info) {
  TERN_CHECK(in == info.in_features && out == info.out_features, ValueError, "[packed] expected a weight of ", out,
             " x ", in, " for ", path, ", got ", info.out_features, " x ", info.in_features, " from the file");
}

}  // namespace

void load_into(nn::Module& model, const Content& content) {
  const WeightInfos infos = read_infos(content.metadata);
  std::map<std::string, Tensor> bytes;  // in kExecutionFormat, by the name of the tensor
  std::vector<std::pair<std::string, std::shared_ptr<PackedTernaryLinear>>> fresh;
  for (const auto& [name, info] : infos) {
    bytes[name + kBytesSuffix] = repack(load_as(content, name, info), kExecutionFormat).bytes;
    for (const auto& [key, value] : info.settings)
      TERN_CHECK(key == kSublnEps && value >= 0, FormatError, "[packed] expected no settings of ", name, " but ",
                 kSublnEps, " of at least 0, got ", key, " = ", value);
    const std::string path = layer_of(name);
    const std::shared_ptr<nn::Module> module = path.empty() ? nullptr : model.get_module(path);
    const nn::Module& place = path.empty() ? model : *module;
    if (const auto* linear = dynamic_cast<const nn::Linear*>(&place); linear != nullptr && !path.empty()) {
      check_sizes(path, linear->options().in_features, linear->options().out_features, info);
      fresh.emplace_back(path, layer_for(*linear, info));
    } else if (const auto* packed = dynamic_cast<const PackedTernaryLinear*>(&place)) {
      check_sizes(path.empty() ? std::string("the model") : path, packed->options().in_features,
                  packed->options().out_features, info);
      TERN_CHECK(settings_of(*packed) == info.settings, ValueError, "[packed] expected for ", path,
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
  std::vector<std::pair<std::string, std::shared_ptr<nn::Module>>> replaced;
  try {
    for (const auto& [path, layer] : fresh) {
      replaced.emplace_back(path, model.get_module(path));
      model.replace_everywhere(path, layer);
    }
    model.load_state_dict(state);
  } catch (...) {
    for (auto it = replaced.rbegin(); it != replaced.rend(); ++it) model.replace_everywhere(it->first, it->second);
    throw;
  }
}

}  // namespace tern::quant::packed
