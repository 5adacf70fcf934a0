#include <algorithm>
#include <utility>

#include <tern/core/autograd/autograd.h>
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

Tensor effective(const nn::Module& model, const LayerState& layer) {
  const NoGradGuard no_grad;
  const auto module = model.get_module(layer.name);
  if (auto* linear = dynamic_cast<BitLinear*>(module.get())) return dequantize(linear->ternary());
  if (auto* corrected = dynamic_cast<BitLinearLrc*>(module.get())) return dequantize(corrected->ternary());
  return {};
}

std::vector<DescribedLayer> described_layers(const std::string& description, const ReadTensor&) {
  std::vector<DescribedLayer> layers;
  for (const DescribedConversion& layer : described_conversion(description)) {
    const bool has_latent = !layer.correction.has_value() || layer.correction->keep_weight;
    if (!layer.options.quantize_weight || !has_latent) continue;
    const std::string parameter = nn::join_path(layer.path, "weight");
    layers.push_back({parameter,
                      [path = layer.path, parameter,
                       a = layer.options.quantize_activation](const Tensor& latent) -> std::optional<LayerState> {
                        const Ternary ternary = ternarize(latent);
                        LayerState state = state_of(path, ternary, a);
                        state.parameter = parameter;
                        const int8_t* codes = ternary.codes.data<int8_t>();
                        int64_t levels = 0;
                        for (const int8_t code : {int8_t{-1}, int8_t{0}, int8_t{1}})
                          levels += std::find(codes, codes + state.weights, code) != codes + state.weights;
                        state.figures.push_back({.name = "levels",
                                                 .value = static_cast<double>(levels),
                                                 .kind = LayerFigure::Kind::kCount});
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
          .effective = effective,
          .described = described_layers,
          .pack = [](nn::Module& model) { static_cast<void>(pack(model)); }};
}

}  // namespace tern::quant::bitnet
