#include <cmath>

#include <tern/core/error.h>
#include <tern/core/io/json.h>
#include <tern/quant/packed/file.h>

namespace tern::packed {
namespace {

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

// Whatever is wrong with a weight of a file is a FormatError that names it.
template <class F>
auto naming(const std::string& name, const F& read) {
  try {
    return read();
  } catch (const FormatError& error) {
    throw FormatError(concat(error.message(), " (in ", name, ")"));
  } catch (const ValueError& error) {
    throw FormatError(concat(error.message(), " (in ", name, ")"));
  }
}

const WeightInfo& info_at(const WeightInfos& infos, const std::string& name) {
  const auto it = infos.find(name);
  TERN_CHECK(it != infos.end(), ValueError, "[packed] expected the name of a packed weight, got ", name,
             ", which the file does not have");
  return it->second;
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

WeightInfo info_of(const PackedWeight& weight, const std::map<std::string, double>& settings) {
  WeightInfo info{.format = std::string(weight.format->name),
                  .version = weight.format->version,
                  .out_features = weight.out_features,
                  .in_features = weight.in_features,
                  .settings = settings};
  if (weight.group_size > 0) info.settings[kGroupSize] = static_cast<double>(weight.group_size);
  return info;
}

void store(Content& content, const std::string& name, const PackedWeight& weight,
           const std::map<std::string, double>& settings) {
  check(weight);
  WeightInfos infos = read_infos(content.metadata);
  TERN_CHECK(!infos.contains(name), ValueError, "[packed] expected a new name, got ", name, ", which is there already");
  infos[name] = info_of(weight, settings);
  content.tensors.insert(name + kBytesSuffix, weight.bytes);
  content.tensors.insert(name + kScaleSuffix, weight.scales);
  if (weight.zero_points.defined()) content.tensors.insert(name + kZeroPointSuffix, weight.zero_points);
  content.metadata[kMetadataKey] = describe(infos);
}

PackedWeight load(const Content& content, const std::string& name) {
  const WeightInfos infos = read_infos(content.metadata);
  return load(content, name, info_at(infos, name));
}

PackedWeight load(const Content& content, const std::string& name, const WeightInfo& info) {
  return naming(name, [&] {
    const auto tensor_at = [&](const char* suffix) -> const Tensor& {
      const Tensor* found = content.tensors.find(name + suffix);
      TERN_CHECK(found != nullptr, FormatError, "[packed] expected a tensor ", name, suffix, " in ", info.format,
                 ", got none");
      return *found;
    };
    PackedWeight weight{
        .format = &format_of(info.format), .out_features = info.out_features, .in_features = info.in_features};
    TERN_CHECK(info.version <= weight.format->version, FormatError, "[packed] expected ", info.format, " of version ",
               weight.format->version, " or lower, got version ", info.version);
    if (const auto size = info.settings.find(kGroupSize);
        size != info.settings.end() && weight.format->scales == ScaleOf::kGroup) {
      TERN_CHECK(size->second >= 1 && size->second == std::floor(size->second) &&
                     size->second <= static_cast<double>(kMaxInFeatures),
                 FormatError, "[packed] expected a group_size from 1 to ", kMaxInFeatures, ", got ", size->second);
      weight.group_size = static_cast<int64_t>(size->second);
    }
    weight.scales = tensor_at(kScaleSuffix);
    weight.bytes = tensor_at(kBytesSuffix);
    if (weight.format->has_zero_points) weight.zero_points = tensor_at(kZeroPointSuffix);
    check(weight);
    return weight;
  });
}

}  // namespace tern::packed
