#include <tern/nn/init.h>
#include <tern/nn/models/config_reader.h>
#include <tern/nn/models/llama.h>
#include <tern/nn/models/mlp.h>
#include <tern/nn/models/registry.h>
#include <tern/nn/models/resnet.h>
#include <tern/nn/models/resnet_cifar.h>
#include <tern/nn/models/vit.h>

namespace tern::nn::models {
namespace {

using Create = std::shared_ptr<Model> (*)(const io::Json& config);

// The given members over the preset's.
io::Json merged(io::Json preset, const io::Json& config) {
  if (config.is_null()) return preset;
  if (!config.is_object()) return config;  // the reader of the options says what is wrong
  for (const auto& [key, value] : config.members()) preset[key] = value;
  return preset;
}

template <class M>
std::shared_ptr<Model> of_type(const io::Json& config) {
  return make<M>(M::options_from(config));
}

// A network whose name says its depth; the configuration may repeat that depth and nothing else.
template <class M, int64_t kDepth>
std::shared_ptr<Model> of_depth(const io::Json& config) {
  const auto options = M::options_from(merged(io::Json::object({{"depth", kDepth}}), config));
  TERN_CHECK(options.depth == kDepth, ValueError, "[create] expected depth ", kDepth, ", as the name says, got ",
             options.depth);
  return make<M>(options);
}

template <int kPreset>
std::shared_ptr<Model> vit_of(const io::Json& config) {
  constexpr const char* kNames[] = {"tiny", "small", "base"};
  const VitOptions preset = Vit::preset(kNames[kPreset]);
  return make<Vit>(
      Vit::options_from(merged(io::Json::object({{"width", preset.width}, {"num_heads", preset.num_heads}}), config)));
}

struct Entry {
  const char* name;
  Create create;
};

constexpr Entry kEntries[] = {
    {"resnet20", &of_depth<ResNetCifar, 20>},
    {"resnet32", &of_depth<ResNetCifar, 32>},
    {"resnet44", &of_depth<ResNetCifar, 44>},
    {"resnet56", &of_depth<ResNetCifar, 56>},
    {"resnet110", &of_depth<ResNetCifar, 110>},
    {"resnet1202", &of_depth<ResNetCifar, 1202>},
    {"resnet18", &of_depth<ResNet, 18>},
    {"resnet34", &of_depth<ResNet, 34>},
    {"resnet50", &of_depth<ResNet, 50>},
    {"vit", &of_type<Vit>},
    {"vit_tiny", &vit_of<0>},
    {"vit_small", &vit_of<1>},
    {"vit_base", &vit_of<2>},
    {"llama", &of_type<Llama>},
    {"mlp", &of_type<Mlp>},
};

}  // namespace

std::vector<std::string> names() {
  std::vector<std::string> out;
  for (const Entry& entry : kEntries) out.emplace_back(entry.name);
  return out;
}

std::shared_ptr<Model> create(std::string_view name, const io::Json& config) {
  for (const Entry& entry : kEntries)
    if (name == entry.name) return entry.create(config);
  throw ValueError(
      concat("[create] expected the name of a model, got '", name, "' (nearest: ", nearest_name(name, names()), ")"));
}

std::shared_ptr<Model> load(const std::string& path) {
  const WeightFile file = open_weights("load", path, "");
  TERN_CHECK(!file.model.empty(), ValueError, "[load] expected the model's name in the metadata of '", path,
             "', got none");
  const init::SkipRandomFills skip;
  auto model = create(file.model, file.config);
  model->load_state_dict(file.tensors);
  return model;
}

}  // namespace tern::nn::models
