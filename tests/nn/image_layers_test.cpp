#include <cmath>

#include <gtest/gtest.h>

#include <tern/core/ops/conv1d.h>
#include <tern/core/ops/conv_transpose.h>
#include <tern/core/ops/dropout.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/random.h>
#include <tern/nn/child.h>
#include <tern/nn/layers/batch_norm.h>
#include <tern/nn/layers/containers.h>
#include <tern/nn/layers/conv1d.h>
#include <tern/nn/layers/conv_transpose2d.h>
#include <tern/nn/layers/dropout.h>
#include <tern/nn/layers/instance_norm.h>
#include <tern/nn/layers/parameter_list.h>
#include <tern/nn/layers/pool.h>
#include <tern/nn/layers/pool1d.h>
#include <tern/nn/layers/resample.h>
#include <tern/nn/layers/shuffle.h>
#include <tern/nn/summary.h>

#include "golden_file.h"
#include "message_of.h"
#include "nn/numeric.h"

namespace tern::nn {
namespace {

using test::message_of;

TEST(ConvTranspose2dLayer, PassesItsSettingsOn) {
  ConvTranspose2d layer({.in_channels = 4,
                         .out_channels = 6,
                         .kernel_size = {3, 2},
                         .stride = {2, 1},
                         .padding = {1, 0},
                         .output_padding = {1, 0},
                         .groups = 2,
                         .dilation = {1, 2}});
  layer.to(DType::kF64);
  EXPECT_EQ(layer.weight.latent().shape(), Shape({4, 3, 3, 2}));
  const Tensor x = random({2, 4, 5, 4}), y = layer(x);
  EXPECT_EQ(y.shape(), Shape({2, 6, 10, 6}));
  const Tensor expected = conv_transpose2d(
      x, layer.weight.latent(), layer.bias.latent(),
      {.stride = {2, 1}, .padding = {1, 0}, .output_padding = {1, 0}, .dilation = {1, 2}, .groups = 2});
  EXPECT_EQ(largest_difference(y, expected), 0);
  EXPECT_EQ(layer.macs(x.shape(), y.shape()), 2 * 4 * 5 * 4 * 3 * 3 * 2);
  EXPECT_EQ(
      layer.extra_text(),
      "4, 6, kernel_size=[3, 2], stride=[2, 1], padding=[1, 0], output_padding=[1, 0], dilation=[1, 2], groups=2");
  const double bound = 1 / std::sqrt(3.0 * 3 * 2);
  for (const Tensor& value : layer.parameters())
    for (const double v : value.to_vector<double>()) EXPECT_LE(std::abs(v), bound);
}

TEST(ConvTranspose2dLayer, RefusesImpossibleSettings) {
  EXPECT_EQ(message_of([] { ConvTranspose2d({.in_channels = 3, .out_channels = 4}); }),
            "[ConvTranspose2d] expected a kernel_size of at least 1, got [0, 0]");
  EXPECT_EQ(
      message_of([] {
        ConvTranspose2d({.in_channels = 3, .out_channels = 4, .kernel_size = 2, .stride = 2, .output_padding = 2});
      }),
      "[ConvTranspose2d] expected an output_padding of at least 0 and below the larger of stride [2, 2] and "
      "dilation [1, 1], got [2, 2]");
  EXPECT_EQ(message_of([] { ConvTranspose2d({.in_channels = 3, .out_channels = 4, .kernel_size = 1, .groups = 2}); }),
            "[ConvTranspose2d] expected a number of groups that divides in_channels 3 and out_channels 4, got 2");
}

TEST(Conv1dLayer, PassesItsSettingsOn) {
  Conv1d layer(
      {.in_channels = 4, .out_channels = 6, .kernel_size = 3, .stride = 2, .padding = 1, .dilation = 2, .groups = 2});
  layer.to(DType::kF64);
  const Tensor x = random({2, 4, 9}), y = layer(x);
  const Tensor expected =
      conv1d(x, layer.weight.latent(), layer.bias.latent(), {.stride = 2, .padding = 1, .dilation = 2, .groups = 2});
  EXPECT_EQ(largest_difference(y, expected), 0);
  EXPECT_EQ(layer.weight.latent().shape(), Shape({6, 2, 3}));
  EXPECT_EQ(layer.macs(x.shape(), y.shape()), y.numel() * 2 * 3);
  EXPECT_EQ(layer.extra_text(), "4, 6, kernel_size=3, stride=2, padding=1, dilation=2, groups=2");
  EXPECT_EQ(message_of([] { Conv1d({.in_channels = 4, .out_channels = 6}); }),
            "[Conv1d] expected a kernel_size, stride and dilation of at least 1, got 0, 1 and 1");
}

// A network of sequences hands channels-innermost memory from layer to layer: nothing is copied on the way.
TEST(SequenceLayers, KeepTheOrderInMemory) {
  Sequential net;
  net.add<Conv1d>({.in_channels = 3, .out_channels = 8, .kernel_size = 3, .padding = 1});
  net.add<BatchNorm1d>({.num_features = 8});
  net.add<MaxPool1d>({.kernel_size = 2});
  net.add<Conv1d>({.in_channels = 8, .out_channels = 4, .kernel_size = 3});
  net.add<AvgPool1d>({.kernel_size = 3, .stride = 1, .padding = 1});
  net.add<AdaptiveMaxPool1d>({.output_size = 2});
  net.add<AdaptiveAvgPool1d>({.output_size = 1});
  const Tensor y = net(random({2, 3, 16}, DType::kF32));
  EXPECT_EQ(y.shape(), Shape({2, 4, 1}));
  const Tensor inside =
      (*net.at<MaxPool1d>(2).new_like())(random({2, 8, 6}, DType::kF32).transpose(1, 2).contiguous().transpose(1, 2));
  EXPECT_EQ(inside.strides()[1], 1);
}

TEST(SequenceLayers, RefuseImpossibleSettings) {
  EXPECT_EQ(message_of([] { MaxPool1d({.kernel_size = 0}); }),
            "[MaxPool1d] expected a kernel_size of at least 1, got 0");
  EXPECT_EQ(message_of([] { MaxPool1d({.dilation = 0}); }), "[MaxPool1d] expected a dilation of at least 1, got 0");
  EXPECT_EQ(message_of([] { AvgPool1d({.kernel_size = 3, .padding = 2}); }),
            "[AvgPool1d] expected a padding from 0 to half the kernel_size 3, got 2");
  EXPECT_EQ(message_of([] { AdaptiveMaxPool1d({.output_size = 0}); }),
            "[AdaptiveMaxPool1d] expected an output_size of at least 1, got 0");
  EXPECT_EQ(message_of([] { AdaptiveMaxPool2d({.output_size = -1}); }),
            "[AdaptiveMaxPool2d] expected an output_size of at least 1, got [-1, -1]");
}

TEST(ResampleLayers, ApplyTheirSettings) {
  const Tensor x = random({1, 2, 4, 6});
  Upsample twice({.scale_factor = 2, .mode = InterpolationMode::kBilinear, .align_corners = true});
  EXPECT_EQ(largest_difference(
                twice(x),
                interpolate(x, {.size = Size2(8, 12), .mode = InterpolationMode::kBilinear, .align_corners = true})),
            0);
  EXPECT_EQ(twice.extra_text(), "scale_factor=[2, 2], mode=bilinear, align_corners=true");
  EXPECT_EQ(Upsample({.size = 7})(x).shape(), Shape({1, 2, 7, 7}));
  EXPECT_EQ(ReflectionPad2d({.padding = {1, 2, 3, 0}})(x).shape(), Shape({1, 2, 7, 9}));
  EXPECT_EQ(largest_difference(ReplicationPad2d({.padding = 2})(x), replication_pad2d(x, 2)), 0);
  EXPECT_EQ(message_of([] { Upsample({}); }), "[Upsample] expected either a size or a scale_factor, got neither");
  EXPECT_EQ(message_of([] { ReflectionPad2d({.padding = -1}); }),
            "[ReflectionPad2d] expected amounts of at least 0, got [-1, -1, -1, -1]");
}

TEST(ShuffleLayers, AreEachOthersInverses) {
  const Tensor x = random({2, 8, 3, 5});
  PixelShuffle up({.upscale_factor = 2});
  PixelUnshuffle down({.downscale_factor = 2});
  EXPECT_EQ(up(x).shape(), Shape({2, 2, 6, 10}));
  EXPECT_EQ(largest_difference(down(up(x)), x), 0);
  ChannelShuffle two({.groups = 2}), four({.groups = 4});
  EXPECT_EQ(largest_difference(four(two(x)), x), 0);
  EXPECT_EQ(message_of([] { PixelShuffle({.upscale_factor = 0}); }),
            "[PixelShuffle] expected an upscale_factor of at least 1, got 0");
}

TEST(Dropout2dLayer, DropsWholeChannelsInTraining) {
  Dropout2d layer({.p = 0.5});
  const Tensor x = empty({8, 16, 2, 3}).fill_(1);
  manual_seed(1);
  const Tensor y = layer(x);
  int64_t dropped = 0;
  for (int64_t n = 0; n < 8; ++n)
    for (int64_t c = 0; c < 16; ++c) {
      const double first = y[n][c][0][0].item();
      EXPECT_TRUE(first == 0 || first == 2);
      dropped += first == 0;
      for (const double v : y[n][c].to_vector<double>()) EXPECT_EQ(v, first);
    }
  EXPECT_NEAR(static_cast<double>(dropped), 64, 25);
  layer.eval();
  EXPECT_TRUE(layer(x).is_same(x));
  EXPECT_EQ(message_of([] { Dropout2d({.p = 1.5}); }), "[Dropout2d] expected a probability p in [0, 1], got 1.5");
}

TEST(InstanceNormLayer, MatchesPyTorch) {
  size_t compared = 0;
  for (const test::GoldenCase& c : test::load_golden(std::string(TERN_GOLDEN_DIR) + "/ops/layers.safetensors")) {
    if (c.op() != "InstanceNorm2d") continue;
    SCOPED_TRACE(c.name);
    ++compared;
    const auto& a = c.attributes;
    InstanceNorm2d layer({.num_features = a.at("num_features"),
                          .eps = a.value("eps", 1e-5),
                          .momentum = a.value("momentum", 0.1),
                          .affine = a.value("affine", false),
                          .track_running_stats = a.value("track_running_stats", false)});
    layer.to(DType::kF64);
    layer.train(a.at("training").get<bool>());
    const std::vector<std::string> names = a.at("inputs");
    io::TensorMap state;
    for (size_t i = 1; i < names.size(); ++i) state.insert(names[i], c["in" + std::to_string(i)].clone());
    layer.load_state_dict(state);
    const Tensor x = c["in0"].clone().requires_grad_();
    const Tensor y = layer(x);
    EXPECT_LT(largest_difference(y, c["out"]), 1e-12);
    y.backward(c["grad_out"]);
    EXPECT_LT(largest_difference(x.grad(), c["grad0"]), 1e-12);
    for (size_t i = 1; i < names.size(); ++i) {
      if (!c.has("grad" + std::to_string(i))) continue;
      EXPECT_LT(largest_difference(layer.get_parameter(names[i]).latent().grad(), c["grad" + std::to_string(i)]),
                1e-11);
    }
    if (!c.has("after_running_mean")) continue;
    EXPECT_LT(largest_difference(layer.running_mean(), c["after_running_mean"]), 1e-13);
    EXPECT_LT(largest_difference(layer.running_var(), c["after_running_var"]), 1e-13);
  }
  EXPECT_EQ(compared, 4u);
}

TEST(InstanceNormLayer, RefusesWhatDoesNotFit) {
  InstanceNorm2d layer({.num_features = 3});
  InstanceNorm1d line({.num_features = 3});
  EXPECT_EQ(message_of([&] {
              layer(random({2, 3, 4}));
            }),
            "[InstanceNorm2d] expected input [N, 3, H, W], got [2, 3, 4]");
  EXPECT_EQ(message_of([&] { line(random({2, 4, 4})); }), "[InstanceNorm1d] expected input [N, 3, L], got [2, 4, 4]");
  EXPECT_EQ(message_of([&] {
              layer(random({2, 3, 1, 1}));
            }),
            "[InstanceNorm2d] expected more than one value a channel, got input [2, 3, 1, 1]");
  EXPECT_EQ(line(random({2, 3, 4})).shape(), Shape({2, 3, 4}));
  EXPECT_EQ(message_of([] { InstanceNorm2d({}); }), "[InstanceNorm2d] expected num_features of at least 1, got 0");
}

struct Mixture : Module {
  Child<ParameterList> scales{this, "scales"};
  Child<ParameterDict> shifts{this, "shifts"};
  Mixture() {
    for (int64_t i = 0; i < 3; ++i) scales->append(empty({2}).fill_(static_cast<double>(i + 1)));
    shifts->insert("low", empty({2}).fill_(-1));
    shifts->insert("high", empty({2}).fill_(1), /*requires_grad=*/false);
  }
  Tensor forward(const Tensor& x) override { return add(mul(mul(x, scales[0]()), scales[-1]()), shifts["low"]()); }
};

TEST(ParameterContainers, ListNameAndCloneTheirParameters) {
  Mixture model;
  std::vector<std::string> names;
  for (const auto& [name, value] : model.named_parameters()) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"scales.0", "scales.1", "scales.2", "shifts.low", "shifts.high"}));
  const Tensor x = empty({2}).fill_(2);
  EXPECT_EQ(model(x)[0].item(), 5);
  model(x).sum().backward();
  EXPECT_EQ(model.scales[2].latent().grad()[1].item(), 2);
  EXPECT_FALSE(model.shifts["high"].latent().requires_grad());
  const auto copy = clone(model);
  EXPECT_EQ((*copy)(x)[0].item(), 5);
  EXPECT_FALSE(copy->scales[0].is_tied_with(model.scales[0]));
  const auto list = clone(*model.scales);
  EXPECT_EQ(list->size(), 3);
  EXPECT_EQ((*list)[1].latent()[0].item(), 2);
  EXPECT_TRUE(model.shifts->contains("low"));
  EXPECT_EQ(message_of([&] { model.scales[3]; }), "[ParameterList] expected a position below 3, got 3");
  EXPECT_EQ(message_of([&] { model.shifts["middle"]; }), "[ParameterDict] expected one of low, high, got 'middle'");
  EXPECT_THROW(model.shifts->insert("low", empty({1})), ValueError);
}

}  // namespace
}  // namespace tern::nn
