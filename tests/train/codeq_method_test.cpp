// CoDeQ's settings in a training program: every one reaches the quantizers.
#include <cmath>
#include <set>
#include <string>
#include <tuple>
#include <vector>

#include <gtest/gtest.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/random.h>
#include <tern/nn/child.h>
#include <tern/nn/layers/linear.h>
#include <tern/quant/codeq/codeq.h>
#include <tern/train/methods/codeq_method.h>
#include <tern/train/vision/classifier.h>

#include "message_of.h"

namespace tern::train {
namespace {

namespace codeq = quant::codeq;
using Names = std::vector<std::string>;

std::string attach(nn::Module& model, const CodeqConfig& config) {
  CodeqMethod method;
  method.config = config;
  return method.apply(model, {.program = "test"});
}

struct TwoLayers : nn::Module {
  nn::Child<nn::Linear> first{this, "first", {.in_features = 4, .out_features = 4}};
  nn::Child<nn::Linear> second{this, "second", {.in_features = 4, .out_features = 2}};
  Tensor forward(const Tensor& x) override { return second(first(x)); }
};

// A model whose first layer came with a quantizer, moved from where it started.
void attach_first(TwoLayers& model) {
  codeq::attach(model, {.exclude = {"second"}, .bits = codeq::Learnable{}});
  const NoGradGuard no_grad;
  Tensor logit = model.get_parameter("first.weight.codeq.logit_dz").latent();
  logit.fill_(1.25);
}

TEST(CodeqMethod, TakesTheLogitsOfFormerQuantizersOn) {
  TwoLayers model;
  attach_first(model);
  EXPECT_EQ(attach(model, {.mode = "fixed", .bits = 3, .exclude = {}}), "CoDeQ on 2 layers: first second");
  EXPECT_EQ(codeq::attached_layers(model), (Names{"first", "second"}));
  EXPECT_EQ(model.get_parameter("first.weight.codeq.logit_dz").latent().item(), 1.25);
  EXPECT_EQ(model.first->weight.parametrization_as<codeq::Quantizer>()->options().dead_zone.fixed_bits, 3);
}

TEST(CodeqMethod, LeavesTheModelAsItWasWhereItThrows) {
  TwoLayers model;
  attach_first(model);
  const nn::Parametrization* before = model.first->weight.parametrization();
  for (const bool enabled : {true, false}) {
    codeq::set_enabled(model, enabled);
    EXPECT_EQ(test::message_of<ValueError>([&] { (void)attach(model, {.mode = "fixed", .exclude = {"thrid"}}); }),
              "[codeq] expected exclude patterns that match a convolution or linear layer, got \"thrid\", which "
              "matches none");
    EXPECT_EQ(codeq::attached_layers(model), Names{"first"});
    EXPECT_EQ(model.first->weight.parametrization(), before);
    EXPECT_EQ(model.first->weight.is_parametrized(), enabled);
  }
}

std::shared_ptr<nn::models::Model> small_resnet() {
  manual_seed(3);
  return make_image_model({.name = "resnet20", .classes = 10});
}

TEST(CodeqMethod, EverySettingReachesTheQuantizers) {
  const auto options_of = [](const CodeqConfig& c) {
    const auto model = small_resnet();
    attach(*model, c);
    const auto* quantizer = model->get_parameter("layer1.0.conv1.weight").parametrization_as<codeq::Quantizer>();
    return std::tuple(quantizer->options().dead_zone, quantizer->logit_dz.latent().item(),
                      quantizer->logit_bit.latent().item());
  };
  {
    const auto [o, dz, bit] = options_of({.mode = "fixed", .bits = 6, .init_logit_dz = 2, .init_logit_bit = 1.5});
    EXPECT_FALSE(o.learnable_bits);
    EXPECT_EQ(o.fixed_bits, 6);
    EXPECT_EQ(dz, 2);
    EXPECT_EQ(bit, 1.5);
    EXPECT_EQ(o.range, codeq::Range::kQuantile);
    EXPECT_FALSE(o.relative_eps || o.mask_clamped || o.mask_weight_gradient);
    EXPECT_EQ(o.max_logit_gradient, 0);
    EXPECT_EQ(o.min_abs_logit, 0);
  }
  CodeqConfig c{.mode = "mixed", .min_bits = 3, .max_bits = 7};
  {
    const auto [o, dz, bit] = options_of(c);
    EXPECT_TRUE(o.learnable_bits);
    EXPECT_EQ(o.min_bits, 3);
    EXPECT_EQ(o.max_bits, 7);
    EXPECT_EQ(dz, 3);
  }
  c.start_uniform = true;
  EXPECT_NEAR(std::get<1>(options_of(c)), std::atanh(1 - 1 / (2.0 * 63)), 1e-6);
  c.true_maximum = true;
  EXPECT_EQ(std::get<0>(options_of(c)).range, codeq::Range::kMaximum);
  c.relative_eps = true;
  EXPECT_TRUE(std::get<0>(options_of(c)).relative_eps);
  EXPECT_FALSE(std::get<0>(options_of(c)).mask_clamped);
  c.mask_clamped = true;
  EXPECT_TRUE(std::get<0>(options_of(c)).mask_clamped);
  EXPECT_FALSE(std::get<0>(options_of(c)).mask_weight_gradient);
  c.mask_weight_gradient = true;
  EXPECT_TRUE(std::get<0>(options_of(c)).mask_weight_gradient);
  c.max_logit_gradient = 0.5;
  EXPECT_EQ(std::get<0>(options_of(c)).max_logit_gradient, 0.5);
  c.min_abs_logit = 0.25;
  EXPECT_EQ(std::get<0>(options_of(c)).min_abs_logit, 0.25);
}

TEST(CodeqMethod, SparesWhatItIsToldTo) {
  const auto layers = [](const CodeqConfig& c) {
    const auto model = small_resnet();
    attach(*model, c);
    const std::vector<std::string> attached = codeq::attached_layers(*model);
    return std::set<std::string>(attached.begin(), attached.end());
  };
  EXPECT_TRUE(layers({}).empty()) << "mode none";
  EXPECT_EQ(layers({.mode = "fixed"}).size(), 20u);
  const auto glob = layers({.mode = "fixed", .exclude = {"conv1", "linear"}});
  EXPECT_EQ(glob.size(), 18u);
  EXPECT_TRUE(glob.contains("layer1.0.conv1"));
  const auto substring = layers({.mode = "fixed", .exclude = {"conv1", "linear"}, .exclude_rule = "substring"});
  EXPECT_FALSE(substring.contains("layer1.0.conv1"));
  EXPECT_TRUE(substring.contains("layer1.0.conv2"));
}

TEST(CodeqMethod, TellsWhatTheLayersAre) {
  const auto model = small_resnet();
  CodeqMethod method;
  EXPECT_TRUE(method.metrics().empty());
  method.config = {.mode = "mixed", .exclude = {"conv1"}, .init_logit_dz = 1};
  method.apply(*model, {.program = "test"});
  const quant::LayerTable states = quant::layer_table(*model);
  const MetricRow row = method.metrics();
  EXPECT_EQ(number_of(row, "mean_bits", -1), states.mean_bits());
  EXPECT_EQ(number_of(row, "sparsity", -1), states.sparsity());
  EXPECT_NEAR(number_of(row, "dead_zone", -1), 1 - std::tanh(1.0), 1e-6) << "of quantized layers alone";
  const io::Json json = layers_row(3, 40, method.layers());
  EXPECT_EQ(json.at("epoch").as_int(), 3);
  EXPECT_EQ(json.at("step").as_int(), 40);
  ASSERT_EQ(json.at("layers").size(), states.layers.size());
  for (size_t i = 0; i < states.layers.size(); ++i) {
    const io::Json& layer = json.at("layers")[i];
    const quant::LayerState& state = states.layers[i];
    const auto weights = static_cast<double>(state.weights);
    EXPECT_EQ(layer.at("name").as_string(), state.name);
    EXPECT_EQ(layer.at("bits").as_int(), state.bits);
    EXPECT_EQ(layer.at("sparsity").as_number(), static_cast<double>(state.zeros) / weights);
    EXPECT_EQ(layer.at("clamped").as_number(), state.figure("clamped").value_or(0) / weights);
    EXPECT_EQ(layer.at("range").as_number(), state.range);
    EXPECT_EQ(layer.at("logit_dz").as_number(), state.figure("logit_dz").value_or(0));
    EXPECT_EQ(layer.at("logit_bit").as_number(), state.figure("logit_bit").value_or(0));
    EXPECT_NEAR(layer.at("dead_zone").as_number(), state.quantized() ? 1 - std::tanh(1.0) : 0, 1e-6);
  }
}

}  // namespace
}  // namespace tern::train
