#include <algorithm>
#include <utility>

#include <tern/core/error.h>
#include <tern/core/io/json.h>
#include <tern/core/text.h>
#include <tern/quant/bitnet/convert.h>
#include <tern/quant/bitnet/lrc.h>
#include <tern/quant/bitnet/method.h>
#include <tern/quant/bitnet/pack.h>

namespace tern::quant::bitnet {
namespace {

constexpr const char* kKey = "bitnet";

LayerState state_of(const std::string& path, const Ternary& ternary, bool quantize_activation) {
  LayerState state{.name = path,
                   .method = kKey,
                   .weights = ternary.codes.numel(),
                   .bits = 2,
                   .activation_bits = quantize_activation ? 8 : 32,
                   .range = ternary.scale};
  const int8_t* codes = ternary.codes.data<int8_t>();
  state.zeros = std::count(codes, codes + state.weights, int8_t{0});
  state.bytes = bytes_at(state.weights, state.bits) + int64_t{sizeof(float)};
  state.figures.push_back({.name = "scale", .value = ternary.scale});
  return state;
}

std::vector<DescribedLayer> described_layers(const std::string& description, const ReadTensor& read) {
  std::vector<DescribedLayer> layers;
  for (const DescribedConversion& layer : described_conversion(description)) {
    const std::string parameter = layer.path + ".weight";
    if (!layer.options.quantize_weight || !read(parameter).has_value()) continue;  // of codes alone nothing is latent
    layers.push_back({parameter,
                      [path = layer.path, parameter,
                       a = layer.options.quantize_activation](const Tensor& latent) -> std::optional<LayerState> {
                        LayerState state = state_of(path, ternarize(latent), a);
                        state.parameter = parameter;
                        return state;
                      }});
  }
  return layers;
}

}  // namespace

std::vector<LayerState> layer_states(const nn::Module& model) {
  std::vector<LayerState> states;
  for (const auto& [path, module] : model.named_modules()) {
    if (auto* layer = dynamic_cast<BitLinear*>(module.get())) {
      if (!layer->options().quantize_weight) continue;
      states.push_back(state_of(path, layer->ternary(), layer->options().quantize_activation));
      states.back().parameter = nn::join_path(path, layer->weight.name());
    } else if (auto* corrected = dynamic_cast<BitLinearLrc*>(module.get())) {
      states.push_back(state_of(path, corrected->ternary(), corrected->options().layer.quantize_activation));
      if (corrected->weight.defined()) states.back().parameter = nn::join_path(path, corrected->weight.name());
      states.back().figures.push_back(
          {.name = "rank", .value = static_cast<double>(corrected->rank()), .kind = LayerFigure::Kind::kCount});
    }
  }
  return states;
}

Method method() {
  return {.key = kKey,
          .metadata_key = "tern.bitnet",
          .title = "BitNet",
          .is_in = is_bitnet,
          .describe = describe_conversion,
          .restore = restore_conversion,
          .layer_states = layer_states,
          .described = described_layers,
          .pack = [](nn::Module& model) { static_cast<void>(pack(model)); }};
}

}  // namespace tern::quant::bitnet
