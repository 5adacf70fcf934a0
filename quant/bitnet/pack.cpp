#include <memory>
#include <utility>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/quant/bitnet/bit_linear.h>
#include <tern/quant/bitnet/lrc.h>
#include <tern/quant/bitnet/pack.h>
#include <tern/quant/layers/packed_linear.h>

namespace tern::quant::bitnet {
namespace {

constexpr const char* kName = "pack";

std::shared_ptr<PackedLinear> packed_layer(BitLinear& layer) {
  const BitLinear::Options& o = layer.options();
  TERN_CHECK(o.lambda == 1, StateError, "[", kName, "] expected lambda 1, got ", o.lambda);
  TERN_CHECK(o.quantize_weight && o.quantize_activation, StateError, "[", kName,
             "] expected a layer that quantizes weight and activations, got one that does not");
  TERN_CHECK(layer.weight.latent().dtype() == DType::kF32, StateError, "[", kName, "] expected an f32 weight, got ",
             layer.weight.latent().dtype());
  const auto out = nn::make<PackedLinear>({.in_features = o.in_features,
                                           .out_features = o.out_features,
                                           .bias = o.bias,
                                           .subln = o.subln,
                                           .subln_eps = o.subln_eps});
  const Ternary& ternary = layer.ternary();
  out->set_weight(packed::pack(ternary.codes, static_cast<float>(ternary.scale), packed::pack2_block128));
  if (o.bias) out->set_bias(layer.bias().detach());
  if (o.subln && o.subln_affine) Tensor((*out->subln)->weight.latent()).copy_((*layer.subln)->weight().detach());
  out->eval();
  return out;
}

}  // namespace

std::vector<std::string> pack(nn::Module& model) {
  const NoGradGuard no_grad;
  std::vector<std::pair<std::string, std::shared_ptr<PackedLinear>>> layers;
  for (const auto& [path, module] : model.named_modules()) {
    TERN_CHECK(dynamic_cast<BitLinearLrc*>(module.get()) == nullptr, StateError, "[", kName,
               "] expected layers without low-rank corrections, got one in ", path);
    if (auto* layer = dynamic_cast<BitLinear*>(module.get()); layer != nullptr && !path.empty())
      layers.emplace_back(path, in_module(path, [&] { return packed_layer(*layer); }));
  }
  TERN_CHECK(!layers.empty(), ValueError, "[", kName, "] expected a model with BitLinear layers, got a ",
             model.type_name(), " without; convert() a float model first");
  std::vector<std::string> paths;
  for (const auto& [path, layer] : layers) {
    model.replace_everywhere(path, layer);
    paths.push_back(path);
  }
  return paths;
}

}  // namespace tern::quant::bitnet
