// CoDeQ (arXiv 2512.12981): training in which every layer learns how many of its weights are zero and how many bits the
// others have. Formulas: dead_zone.h.
//
//   quant::codeq::attach(net, {.exclude = {"head"}, .bits = quant::codeq::Learnable{.max_bits = 8}});
//   optim::Sgd opt({.momentum = 0.9}, {{.params = quant::codeq::base_parameters(net), ...},
//                                      {.params = quant::codeq::dead_zone_logits(net), ...},
//                                      {.params = quant::codeq::bit_width_logits(net), ...}});
//
// attach() puts a quantizer between the latent weight of every convolution and linear layer, and of whatever else it is
// told to include, and the layer itself.
// Weight decay on the two logits is what drives dead-zones wider and bit-widths lower; the task's gradient pushes back.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <variant>
#include <vector>

#include <tern/core/tensor.h>
#include <tern/nn/module.h>
#include <tern/nn/parametrization.h>
#include <tern/quant/codeq/dead_zone.h>
#include <tern/quant/layer_state.h>
#include <tern/quant/selection.h>

namespace tern::quant::codeq {

/// Every layer has this many bits; only the dead-zone is learned.
struct Fixed {
  int bits = 4;  ///< 2..16
};
/// Every layer learns its bits as well ("mixed precision").
struct Learnable {
  int max_bits = 8;  ///< min_bits..16
  int min_bits = 2;  ///< 2..max_bits
};

/// Settings of attach().
struct AttachOptions {
  std::vector<std::string> exclude = {};  ///< layers to leave in full precision, whose paths are matched by `rule`
  /// Parameters to quantize besides the weights of convolution and linear layers, excluded ones among them: paths, as
  /// "lstm.weight_ih_l0", where * and ? stand for any characters and for one.
  std::vector<std::string> include = {};
  std::variant<Fixed, Learnable> bits = Fixed{};
  /// kGlob, or kSubstring: the published rule, by which any module with a weight (norms and embeddings too) is
  /// quantized whose path does not contain a text. For comparisons with published code.
  MatchRule rule = MatchRule::kGlob;
  double init_logit_dz = 3.0;   ///< theta_z at the start: 3 makes the dead-zone 0.5 % of the range
  double init_logit_bit = 3.0;  ///< theta_b at the start: 3 gives max_bits
  bool start_uniform = false;   ///< theta_z such that d = s, plain uniform quantization, in place of init_logit_dz; the
                                ///< published start moves weights near zero out to (d + s)/2 where bits are few
  DeadZoneOptions quantizer = {};  ///< constants and safeguards; its bit settings come from `bits`
};

/// What attach() did. Here, in attached_layers() and in layer states a quantized parameter has the path of its layer as
/// its name if it is the layer's "weight", else its own path ("lstm.weight_ih_l0").
struct AttachReport {
  std::vector<std::string> attached;
  std::vector<LeftOut> skipped;  ///< layers and included parameters left, named likewise
  std::vector<LeftOut> left;  ///< every parameter of two or more axes without a quantizer, those of `skipped` included
};

/// Attaches a quantizer to the weight of every nn::Conv2d and nn::Linear that is not excluded, and to every parameter
/// that is included. Those that are all zeros are skipped, as they could never leave zero. A layer that stands in
/// several places has one weight, and is excluded by any of its paths. Throws ValueError if an exclusion by glob
/// matches no layer or an inclusion no floating-point parameter, if no layer is left, or for a setting out of range
/// (initial logits must be finite); StateError if a weight has a parametrization already or is tied. Nothing is
/// attached when it throws.
AttachReport attach(nn::Module& model, const AttachOptions& options = {});

/// Takes every quantizer off again; with `bake`, the weights become their quantized values.
void detach(nn::Module& model, bool bake = false);

/// Switches all quantizers on or off; off, the layers compute with their latent weights.
void set_enabled(nn::Module& model, bool enabled);

/// What has a quantizer, named as AttachReport says.
std::vector<std::string> attached_layers(const nn::Module& model);

/// The three parameter groups. base_parameters: everything trainable but the logits; bit_width_logits is empty where
/// bits are fixed.
std::vector<Tensor> base_parameters(const nn::Module& model);
std::vector<Tensor> dead_zone_logits(const nn::Module& model);
std::vector<Tensor> bit_width_logits(const nn::Module& model);

/// The parametrization behind attach(): dead_zone_quantize, with parameters `<weight>.codeq.logit_dz` and
/// `<weight>.codeq.logit_bit`, one element [] each.
class Quantizer final : public nn::Parametrization {
 public:
  struct Options {
    DeadZoneOptions dead_zone = {};
    double init_logit_dz = 3.0;   ///< finite
    double init_logit_bit = 3.0;  ///< finite
    DType dtype = DType::kF32;    ///< that of the weight
  };
  /// Throws ValueError for settings out of range.
  explicit Quantizer(const Options& options);

  /// Throws as dead_zone_quantize.
  Tensor effective(const Tensor& latent) override;
  const Options& options() const { return options_; }
  std::optional<double> weight_bits() const override;  ///< B
  /// The scalars for a latent weight at this moment.
  DeadZone dead_zone(const Tensor& latent) const;

  nn::Parameter logit_dz;
  nn::Parameter logit_bit;

 private:
  Options options_;
};

/// The state of every weight whose quantizer is switched on. Figures: "dead_zone_share" (d / 2A, the share of the range
/// that becomes zero), "dead_zone" (d), "step", "shift", "top_code", "logit_dz", "logit_bit" and "clamped" (weights
/// beyond the largest level).
std::vector<LayerState> layer_states(const nn::Module& model);
/// The same for a weight that is at hand with its logits and settings; f32 or f64. Name and path are left empty.
LayerState state_of(const Tensor& latent, double logit_dz, double logit_bit, const DeadZoneOptions& options);

/// quant::layer_table of the model, with MACs for that input or run of one's own:
///
///   std::cout << codeq::report(model, {1, 3, 32, 32});
LayerTable report(nn::Module& model, const Shape& input_shape);
LayerTable report(nn::Module& model, const std::function<void()>& run);

/// CoDeQ's key in the registry of methods (quant/method.h).
inline constexpr const char* kMethodKey = "codeq";

}  // namespace tern::quant::codeq
