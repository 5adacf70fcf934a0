// Attaching, toggling, grouping and reporting.
#include <cmath>
#include <filesystem>
#include <fstream>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/matmul.h>
#include <tern/core/ops/operators.h>
#include <tern/core/ops/quantile.h>
#include <tern/core/ops/reduce.h>
#include <tern/core/ops/shape.h>
#include <tern/core/random.h>
#include <tern/nn/child.h>
#include <tern/nn/layers/batch_norm.h>
#include <tern/nn/layers/conv2d.h>
#include <tern/nn/layers/embedding.h>
#include <tern/nn/layers/linear.h>
#include <tern/nn/models/resnet_cifar.h>
#include <tern/nn/summary.h>
#include <tern/quant/codeq/codeq.h>
#include <tern/quant/codeq/describe.h>

#include "message_of.h"

namespace tern::quant::codeq {
namespace {

using testing::Test;

struct Block : nn::Module {
  nn::Child<nn::Conv2d> conv1{this, "conv1", {.in_channels = 4, .out_channels = 4, .kernel_size = 3, .padding = 1}};
  nn::Child<nn::BatchNorm2d> bn1{this, "bn1", {.num_features = 4}};
  Tensor forward(const Tensor& x) override { return bn1(conv1(x)); }
};

struct Net : nn::Module {
  nn::Child<nn::Conv2d> conv1{this, "conv1", {.in_channels = 3, .out_channels = 4, .kernel_size = 3, .padding = 1}};
  nn::Child<Block> block{this, "block"};
  nn::Child<nn::Linear> head{this, "head", {.in_features = 4 * 8 * 8, .out_features = 5}};
  Tensor forward(const Tensor& x) override { return head(block(conv1(x)).flatten(1)); }
};

using Names = std::vector<std::string>;

using test::message_of;

TEST(Attach, ByTypeWithGlobExclusion) {
  Net all;
  EXPECT_EQ(attach(all).attached, (Names{"conv1", "block.conv1", "head"}));
  Net but_stem;
  const AttachReport report = attach(but_stem, {.exclude = {"conv1"}});
  EXPECT_EQ(report.attached, (Names{"block.conv1", "head"})) << "an exact name spares the stem alone";
  EXPECT_EQ(report.skipped, (std::vector<LeftOut>{{"conv1", "excluded by \"conv1\""}}));
  Net glob;
  EXPECT_EQ(attach(glob, {.exclude = {"*conv?"}}).attached, (Names{"head"}));
  EXPECT_EQ(attached_layers(glob), (Names{"head"}));
}

TEST(Attach, PublishedSubstringRule) {
  Net net;
  const AttachReport report = attach(net, {.exclude = {"conv1"}, .rule = MatchRule::kSubstring});
  EXPECT_EQ(report.attached, (Names{"block.bn1", "head"}))
      << "norm scales are wrapped and every conv1 is spared, as published";
}

TEST(Attach, NamesAndInitialLogits) {
  Net net;
  attach(net, {.bits = Learnable{.max_bits = 6}, .init_logit_dz = 2.5, .init_logit_bit = 1.5});
  EXPECT_EQ(net.get_parameter("block.conv1.weight.codeq.logit_dz").latent().item(), 2.5);
  EXPECT_EQ(net.get_parameter("head.weight.codeq.logit_bit").latent().item(), 1.5);
}

TEST(Attach, StartUniformMakesTheDeadZoneOneStep) {
  Net net;
  attach(net, {.bits = Fixed{4}, .start_uniform = true});
  for (const LayerState& layer : layer_states(net)) {
    const double step = layer.figure("step").value();
    EXPECT_NEAR(layer.figure("dead_zone").value(), step, 1e-4 * step) << layer.name;
  }
}

TEST(Attach, LayersComputeWithQuantizedWeightsAndGradientsReachLatentsAndLogits) {
  Net net;
  attach(net, {.bits = Learnable{}});
  const Tensor x = empty({2, 3, 8, 8}).fill_(0.5);
  const Tensor on = net(x).detach();
  set_enabled(net, false);
  const Tensor off = net(x).detach();
  EXPECT_NE(on.to_vector<float>(), off.to_vector<float>());
  set_enabled(net, true);
  const auto levels = net.head->weight().to_vector<float>();
  const DeadZone z = net.head->weight.parametrization_as<Quantizer>()->dead_zone(net.head->weight.latent());
  for (const float v : levels) {
    const double k = v == 0 ? 0 : (std::abs(v) - z.shift) / z.step;
    EXPECT_NEAR(k, std::round(k), 1e-3);
  }
  net(x).sum().backward();
  EXPECT_TRUE(net.conv1->weight.latent().grad().defined());
  for (const Tensor& logit : dead_zone_logits(net)) EXPECT_TRUE(logit.grad().defined());
  for (const Tensor& logit : bit_width_logits(net)) EXPECT_TRUE(logit.grad().defined());
}

TEST(Attach, ThreeGroupsCoverEveryTrainableParameterOnce) {
  Net net;
  const size_t before = net.parameters().size();
  attach(net, {.bits = Learnable{}});
  EXPECT_EQ(base_parameters(net).size(), before);
  EXPECT_EQ(dead_zone_logits(net).size(), 3u);
  EXPECT_EQ(bit_width_logits(net).size(), 3u);
  EXPECT_EQ(net.parameters().size(), before + 6);

  Net fixed;
  attach(fixed, {.bits = Fixed{3}});
  EXPECT_TRUE(bit_width_logits(fixed).empty());
}

TEST(Attach, DetachRestoresOrBakes) {
  Net net;
  const auto latent = net.head->weight().to_vector<float>();
  attach(net);
  const auto quantized = net.head->weight().to_vector<float>();
  detach(net);
  EXPECT_EQ(net.head->weight().to_vector<float>(), latent);
  attach(net);
  detach(net, /*bake=*/true);
  EXPECT_EQ(net.head->weight().to_vector<float>(), quantized);
  EXPECT_TRUE(attached_layers(net).empty());
}

TEST(Attach, Errors) {
  Net net;
  EXPECT_EQ(
      message_of<ValueError>([&] { attach(net, {.exclude = {"hed"}}); }),
      "[codeq] expected exclude patterns that match a convolution or linear layer, got \"hed\", which matches none");
  EXPECT_EQ(message_of<ValueError>([&] { attach(net, {.bits = Fixed{1}}); }),
            "[codeq] expected fixed_bits in [2, 16], got 1");
  EXPECT_EQ(message_of<ValueError>([&] { attach(net, {.bits = Learnable{.max_bits = 3, .min_bits = 4}}); }),
            "[codeq] expected max_bits in [4, 16], got 3");
  EXPECT_EQ(message_of<ValueError>([&] { attach(net, {.exclude = {"*"}}); }),
            "[codeq] found no layer to quantize in Net");
  EXPECT_TRUE(attached_layers(net).empty()) << "a failed attach changes nothing";
  attach(net);
  EXPECT_EQ(message_of<StateError>([&] { attach(net); }),
            "[codeq] the weight of conv1 already has the parametrization \"codeq\"; detach it first");

  Net zeros;
  {
    const NoGradGuard no_grad;
    Tensor weight = zeros.head->weight.latent();
    weight.zero_();
  }
  EXPECT_EQ(attach(zeros).skipped.at(0).path, "head");
}

TEST(Attach, NonFiniteWeightNamesTheLayer) {
  Net net;
  attach(net);
  Tensor weight = net.block->conv1->weight.latent();
  weight.data<float>()[3] = NAN;
  weight.storage()->bump_version();
  EXPECT_EQ(message_of<NonFiniteError>([&] {
              net(empty({1, 3, 8, 8}).fill_(1));
            }),
            "[dead_zone_quantize] expected finite weights, got NaN or infinity in a weight of f32 [4, 4, 3, 3] (in "
            "block.conv1.weight)");
}

TEST(Attach, DescriptionRestoresTheAttachment) {
  Net net;
  attach(net, {.exclude = {"conv1"}, .bits = Learnable{.max_bits = 7}, .quantizer = {.mask_clamped = true}});
  Net other;
  restore_attachment(other, describe_attachment(net));
  EXPECT_EQ(attached_layers(other), attached_layers(net));
  const auto& options = other.head->weight.parametrization_as<Quantizer>()->options().dead_zone;
  EXPECT_EQ(options.max_bits, 7);
  EXPECT_TRUE(options.mask_clamped);
  other.load_state_dict(net.state_dict());
  const Tensor x = empty({1, 3, 8, 8}).fill_(0.3);
  net.eval();
  other.eval();
  EXPECT_EQ(other(x).to_vector<float>(), net(x).to_vector<float>());
  EXPECT_THROW(restore_attachment(other, "{"), FormatError);
  EXPECT_THROW(restore_attachment(other, R"({"format": "codeq-1", "layers": [{"parameter": "nope.weight"}]})"),
               FormatError);
}

TEST(Attach, ADescriptionThatDoesNotFitLeavesNothingAttached) {
  Net net;
  attach(net);
  const std::string description = describe_attachment(net);
  Net tied;
  nn::Parameter other{&tied, "other", empty({5, 256}).fill_(1)};
  other.tie(tied.head->weight);
  EXPECT_THROW(restore_attachment(tied, description), StateError);
  EXPECT_TRUE(attached_layers(tied).empty());
  Net partly;
  attach(partly, {.exclude = {"conv1", "block.conv1"}});
  const auto* before = partly.head->weight.parametrization();
  EXPECT_THROW(restore_attachment(partly, description), StateError);
  EXPECT_EQ(attached_layers(partly), (Names{"head"}));
  EXPECT_EQ(partly.head->weight.parametrization(), before);
  nlohmann::json twice = nlohmann::json::parse(description);
  twice["layers"].push_back(twice["layers"][0]);
  Net fresh;
  EXPECT_THROW(restore_attachment(fresh, twice.dump()), StateError);
  EXPECT_TRUE(attached_layers(fresh).empty());
}

TEST(Attach, DescriptionHoldsEverySetting) {
  const DeadZoneOptions changed{.learnable_bits = true,
                                .learnable_dead_zone = false,
                                .fixed_bits = 5,
                                .min_bits = 3,
                                .max_bits = 7,
                                .quantile = 0.9,
                                .eps = 1e-6,
                                .range = Range::kMaximum,
                                .relative_eps = true,
                                .mask_clamped = true,
                                .mask_weight_gradient = true,
                                .max_logit_gradient = 0.5,
                                .min_abs_logit = 0.25,
                                .check_finite = false};
  for (const DeadZoneOptions& given : {DeadZoneOptions{}, changed}) {
    Net net;
    net.head->weight.parametrize(std::make_shared<Quantizer>(Quantizer::Options{.dead_zone = given}));
    const auto described = described_quantizers(describe_attachment(net));
    ASSERT_EQ(described.size(), 1u);
    EXPECT_EQ(described[0].first, "head.weight");
    const DeadZoneOptions& o = described[0].second;
    EXPECT_EQ(o.learnable_bits, given.learnable_bits);
    EXPECT_EQ(o.learnable_dead_zone, given.learnable_dead_zone);
    EXPECT_EQ(o.fixed_bits, given.fixed_bits);
    EXPECT_EQ(o.min_bits, given.min_bits);
    EXPECT_EQ(o.max_bits, given.max_bits);
    EXPECT_EQ(o.quantile, given.quantile);
    EXPECT_EQ(o.eps, given.eps);
    EXPECT_EQ(o.range, given.range);
    EXPECT_EQ(o.relative_eps, given.relative_eps);
    EXPECT_EQ(o.mask_clamped, given.mask_clamped);
    EXPECT_EQ(o.mask_weight_gradient, given.mask_weight_gradient);
    EXPECT_EQ(o.max_logit_gradient, given.max_logit_gradient);
    EXPECT_EQ(o.min_abs_logit, given.min_abs_logit);
    EXPECT_EQ(o.check_finite, given.check_finite);
  }
}

// A layer that this method does not know, with two weights, and one that it does.
struct Custom : nn::Module {
  nn::Parameter weight{this, "weight", randn({4, 4})};
  nn::Parameter mix{this, "mix", randn({2, 4})};
  nn::Parameter gain{this, "gain", ones({4})};
  Tensor forward(const Tensor& x) override {
    return matmul(x, weight()) * gain() + mean(matmul(x, mix().transpose(0, 1)));
  }
  int64_t macs(const Shape& input, const Shape&) const override { return input[0] * 24; }
};
struct Mixed : nn::Module {
  nn::Child<Custom> custom{this, "custom"};
  nn::Child<nn::Linear> head{this, "head", {.in_features = 4, .out_features = 4}};
  Tensor forward(const Tensor& x) override { return head(custom(x)); }
};

TEST(LeftOut, ParametersOfUnknownLayersAreNamedAndCount32Bits) {
  Mixed net;
  const AttachReport report = attach(net);
  EXPECT_EQ(report.attached, Names{"head"});
  const std::string reason =
      "a parameter of Custom, which is neither a convolution nor a linear layer; include it by its path";
  EXPECT_EQ(report.left, (std::vector<LeftOut>{{"custom.weight", reason}, {"custom.mix", reason}}));
  const LayerTable whole = codeq::report(net, {1, 4});
  Names names;
  for (const LayerState& layer : whole.layers) names.push_back(layer.name);
  EXPECT_EQ(names, (Names{"custom", "custom.mix", "head"}));
  EXPECT_EQ(whole.weights(), 16 + 8 + 16);
  EXPECT_DOUBLE_EQ(whole.mean_bits(), (24 * 32 + 16 * 4) / 40.0);
  EXPECT_EQ(whole.layers[0].macs, 16);
  EXPECT_EQ(whole.layers[1].macs, 8);
  EXPECT_EQ(whole.layers[0].bits, 32);
  EXPECT_EQ(layer_table(net).layers.size(), 3u);
  Mixed excluded;
  EXPECT_EQ(attach(excluded, {.exclude = {"head"}, .include = {"custom.mix"}}).left.back(),
            (LeftOut{"head.weight", "excluded by \"head\""}));
}

TEST(LeftOut, AnyParameterIsIncludedByItsPath) {
  Mixed net;
  const AttachReport report = attach(net, {.include = {"custom.*"}});
  const Names names{"custom", "custom.mix", "custom.gain", "head"};
  EXPECT_EQ(report.attached, names);
  EXPECT_TRUE(report.left.empty());
  EXPECT_EQ(attached_layers(net), names);
  const LayerTable states = layer_table(net);
  ASSERT_EQ(states.layers.size(), names.size());
  for (size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ(states.layers[i].name, names[i]);
    EXPECT_TRUE(states.layers[i].quantized());
    EXPECT_EQ(states.layers[i].method, kMethodKey);
  }
  EXPECT_EQ(dead_zone_logits(net).size(), 4u);
  EXPECT_DOUBLE_EQ(nn::summary(net, Shape{1, 4}).bits, (44 * 4 + 4 * 32) / 48.0);
  Mixed other;
  restore_attachment(other, describe_attachment(net));
  EXPECT_EQ(attached_layers(other), names);
  detach(net, true);
  EXPECT_FALSE(net.custom->mix.is_parametrized());
  EXPECT_EQ(message_of([] {
              Mixed wrong;
              attach(wrong, {.include = {"custom.bias"}});
            }),
            "[codeq] expected include patterns that match the path of an f32 or f64 parameter, got \"custom.bias\", "
            "which matches none");
}

TEST(LeftOut, AQuantizerAttachedByHandCounts) {
  Mixed net;
  net.custom->weight.parametrize(std::make_shared<Quantizer>(Quantizer::Options{}));
  const AttachReport report = attach(net);
  EXPECT_EQ(report.left.size(), 1u) << "custom.mix";
  EXPECT_EQ(attached_layers(net), (Names{"custom", "head"}));
  EXPECT_EQ(layer_table(net).layers.size(), 3u);
  EXPECT_TRUE(layer_table(net).layers[0].quantized());
  EXPECT_EQ(message_of([] {
              Custom alone;
              attach(alone);
            }),
            "[codeq] found no layer to quantize in Custom, but parameters that can be included by their paths: weight, "
            "mix");
}

TEST(Report, ChangesNothingInTheModel) {
  Net net;
  attach(net);
  net.block->eval();
  const auto mean = net.block->bn1->running_mean().to_vector<float>();
  const LayerTable r = report(net, {2, 3, 8, 8});
  EXPECT_EQ(r.layers[0].macs, 3 * 4 * 9 * 64) << "counted for one example";
  EXPECT_EQ(r.layers[2].macs, 256 * 5);
  EXPECT_TRUE(net.is_training());
  EXPECT_FALSE(net.block->is_training());
  EXPECT_TRUE(net.head->is_training());
  EXPECT_FALSE(net.conv1->has_hooks());
  EXPECT_EQ(net.block->bn1->running_mean().to_vector<float>(), mean);
}

TEST(Report, UnquantizedLayersCountAs32Bits) {
  Net net;
  attach(net, {.exclude = {"conv1"}, .bits = Fixed{4}});
  const LayerTable r = report(net, {1, 3, 8, 8});
  EXPECT_FALSE(r.layers[0].quantized());
  EXPECT_EQ(r.layers[0].bits, 32);
  const double quantized = 4 * 4 * 9 + 256 * 5, stem = 3 * 4 * 9;
  EXPECT_NEAR(r.mean_bits(), (32 * stem + 4 * quantized) / (stem + quantized), 1e-12);
  set_enabled(net, false);
  EXPECT_EQ(report(net, {1, 3, 8, 8}).rel_bops(), 1.0);
}

// The spec's table: MACs of ResNet-20 layer by layer, and the BOPs of a compressed example.
TEST(Report, BopsOfResNet20MatchTheGoldenTable) {
  std::ifstream file(std::filesystem::path(TERN_GOLDEN_DIR) / "codeq/b01_bops_resnet20.json");
  const auto golden = nlohmann::json::parse(file);
  nn::models::ResNetCifar net({.depth = 20});
  LayerTable r = report(net, {1, 3, 32, 32});
  ASSERT_EQ(r.layers.size(), golden["layers"].size());
  EXPECT_EQ(r.macs(), golden["total_dense_macs"].get<int64_t>());
  EXPECT_EQ(r.weights(), 268336);
  EXPECT_EQ(r.rel_bops(), 1.0);
  for (size_t i = 0; i < r.layers.size(); ++i) {
    const auto& want = golden["layers"][i];
    LayerState& layer = r.layers[i];
    EXPECT_EQ(layer.name, want["name"].get<std::string>());
    EXPECT_EQ(layer.macs, want["dense_macs"].get<int64_t>()) << layer.name;
    layer.zeros = layer.weights - want["nonzero"].get<int64_t>();
    layer.bits = want["bits"];
    EXPECT_NEAR(layer.bops(), want["bops"].get<double>(), 1e-9 * layer.bops()) << layer.name;
  }
  EXPECT_NEAR(r.bops(), golden["compressed_bops"].get<double>(), 1e-9 * r.bops());
  EXPECT_NEAR(100 * r.rel_bops(), golden["relative_percent"].get<double>(), 1e-8);
  EXPECT_NE(to_string(r).find("layer3.2.conv2"), std::string::npos);
}

struct Tokens : nn::Module {
  nn::Child<nn::Embedding> embed{this, "embed", {.num_embeddings = 11, .embedding_dim = 6}};
  nn::Child<nn::Linear> head{this, "head", {.in_features = 6, .out_features = 11}};
  Tensor forward(const Tensor& tokens) override { return head(embed(tokens)); }
};

TEST(Report, OfAModelOfTokensIsCountedInAForwardOfTheCallers) {
  Tokens net;
  attach(net);
  const Tensor tokens = zeros({1, 5}, DType::kI64);
  const LayerTable r = report(net, [&] { static_cast<void>(net(tokens)); });
  EXPECT_EQ(r.macs(), 5 * 6 * 11);
  EXPECT_EQ(r.weights(), 2 * 6 * 11);
  EXPECT_NE(to_string(r).find("BOPs"), std::string::npos);
  EXPECT_EQ(to_string(layer_table(net)).find("BOPs"), std::string::npos) << "nothing was counted";
  EXPECT_EQ(to_string(layer_table(net)).find("MACs"), std::string::npos);
}

}  // namespace
}  // namespace tern::quant::codeq
