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
#include <iosfwd>
#include <optional>
#include <string>
#include <utility>
#include <variant>
#include <vector>

#include <tern/core/tensor.h>
#include <tern/nn/module.h>
#include <tern/nn/parametrization.h>
#include <tern/quant/codeq/dead_zone.h>
#include <tern/quant/left_out.h>

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

/// How AttachOptions::exclude is read.
enum class ExcludeRule {
  kGlob,       ///< a layer's whole path, where * stands for any characters and ? for one: "conv1" spares the stem alone
  kSubstring,  ///< the published rule: any module with a weight (norms and embeddings too) whose path does not contain
               ///< a text: "conv1" spares the first convolution of every block as well. For comparisons with published
               ///< code.
};

/// Settings of attach().
struct AttachOptions {
  std::vector<std::string> exclude = {};  ///< layers to leave in full precision, read by `rule`
  /// Parameters to quantize besides the weights of convolution and linear layers, excluded ones among them: paths, as
  /// "lstm.weight_ih_l0", where * and ? stand for any characters and for one.
  std::vector<std::string> include = {};
  std::variant<Fixed, Learnable> bits = Fixed{};
  ExcludeRule rule = ExcludeRule::kGlob;
  double init_logit_dz = 3.0;   ///< theta_z at the start: 3 makes the dead-zone 0.5 % of the range
  double init_logit_bit = 3.0;  ///< theta_b at the start: 3 gives max_bits
  bool start_uniform = false;   ///< theta_z such that d = s, plain uniform quantization, in place of init_logit_dz; the
                                ///< published start moves weights near zero out to (d + s)/2 where bits are few
  DeadZoneOptions quantizer = {};  ///< constants and safeguards; its bit settings come from `bits`
};

/// What attach() did. Here, in attached_layers() and in reports a quantized parameter has the path of its layer as its
/// name if it is the layer's "weight", else its own path ("lstm.weight_ih_l0").
struct AttachReport {
  std::vector<std::string> attached;
  std::vector<std::pair<std::string, std::string>> skipped;  ///< layers and included parameters left, with the reason
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

/// One weight as a report sees it.
struct LayerReport {
  std::string name;                    ///< path of the layer, or of a parameter that is not a layer's "weight"
  std::string parameter = {};          ///< path of the parameter
  bool quantized = false;              ///< has a quantizer that is switched on
  int64_t weights = 0;                 ///< elements of the weight
  int64_t zeros = 0;                   ///< of these, zero in the effective weight
  int bits = 32;                       ///< of a weight; 32 where not quantized
  int64_t macs = 0;                    ///< dense multiply-adds for one example; 0 in layer_states(). Those of a module
                                       ///< that is neither convolution nor linear layer are its macs(), shared among
                                       ///< its reported parameters by their sizes
  DeadZone dead_zone;                  ///< scalars of the quantizer; zero where not quantized
  double logit_dz = 0, logit_bit = 0;  ///< theta_z and theta_b, likewise
  int64_t clamped = 0;                 ///< weights beyond the largest level

  /// Share of weights that are not zero; 1 without weights.
  double density() const {
    return weights == 0 ? 1.0 : 1.0 - static_cast<double>(zeros) / static_cast<double>(weights);
  }
  /// Bit operations: density * MACs * bits of the weights * 32 bits of the activations (section 6 of the paper).
  double bops() const { return density() * static_cast<double>(macs) * bits * 32.0; }
};

/// All convolution and linear layers of a model, in order, with their totals. Once a quantizer is attached, also what
/// else has one and all other parameters of two or more axes, which count 32 bits a value.
struct Report {
  std::vector<LayerReport> layers;

  int64_t weights() const;   ///< this and what follows: of all layers together
  double sparsity() const;   ///< zeros over all weights, a fraction; 0 without weights
  double mean_bits() const;  ///< weighted by weights; 32 for a layer without quantizer
  int64_t macs() const;
  double bops() const;
  double rel_bops() const;  ///< bops() over those of the same model in dense fp32, a fraction; 1 without MACs
};

/// A table, a layer a line and a line of totals; without MACs in the report, none in the table.
std::string to_string(const Report& report);
std::ostream& operator<<(std::ostream& out, const Report& report);

/// Bits, zeros and logits of every layer of the report, without MACs: cheap enough for every log line.
Report layer_states(const nn::Module& model);

/// The whole report; MACs are counted in one forward of an all-zero input of that shape ([1, 3, 32, 32]; the batch is
/// divided out) and of the first parameter's dtype, in eval mode without gradients, which changes nothing in the model.
/// Throws ShapeError for a shape without a batch, and what the forward throws.
Report report(nn::Module& model, const Shape& input_shape);

/// The same with a forward of one's own, for a model that is called in another way; MACs are those of the whole run:
///
///   const auto report = codeq::report(model, [&] { static_cast<void>(model(tokens)); });
Report report(nn::Module& model, const std::function<void()>& run);

}  // namespace tern::quant::codeq
