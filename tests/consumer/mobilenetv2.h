// MobileNetV2 (Sandler et al., 2018) for CIFAR: the stem and the second stage keep the resolution. Names are those of
// kuangliu/pytorch-cifar.
#pragma once

#include <algorithm>
#include <cstdint>

#include <tern/tern.h>

namespace models {

using namespace tern;

struct InvertedResidualOptions {
  int64_t in = 0, out = 0, expansion = 1, stride = 1;
};

/// A 1 x 1 convolution to more channels, a depthwise one, a linear 1 x 1 one back.
struct InvertedResidual : nn::ModuleOf<InvertedResidualOptions> {
  explicit InvertedResidual(const Options& o) : ModuleOf(o) {
    if (o.stride != 1 || o.in == o.out) return;
    shortcut->add<nn::Conv2d>({.in_channels = o.in, .out_channels = o.out, .kernel_size = 1, .bias = false});
    shortcut->add<nn::BatchNorm2d>({.num_features = o.out});
  }
  const int64_t planes = options().in * options().expansion;
  nn::Child<nn::Conv2d> conv1{
      this, "conv1", {.in_channels = options().in, .out_channels = planes, .kernel_size = 1, .bias = false}};
  nn::Child<nn::BatchNorm2d> bn1{this, "bn1", {.num_features = planes}};
  nn::Child<nn::Conv2d> conv2{this,
                              "conv2",
                              {.in_channels = planes,
                               .out_channels = planes,
                               .kernel_size = 3,
                               .stride = options().stride,
                               .padding = 1,
                               .groups = planes,
                               .bias = false}};
  nn::Child<nn::BatchNorm2d> bn2{this, "bn2", {.num_features = planes}};
  nn::Child<nn::Conv2d> conv3{
      this, "conv3", {.in_channels = planes, .out_channels = options().out, .kernel_size = 1, .bias = false}};
  nn::Child<nn::BatchNorm2d> bn3{this, "bn3", {.num_features = options().out}};
  nn::Child<nn::Sequential> shortcut{this, "shortcut"};

  Tensor forward(const Tensor& x) override {
    const Tensor y = bn3(conv3(relu(bn2(conv2(relu(bn1(conv1(x))))))));
    return options().stride == 1 ? y + shortcut(x) : y;
  }
};

struct MobileNetV2Options {
  double width = 1;  ///< multiplies the channels of every layer but the head, which never gets narrower
  int64_t num_classes = 10;
};

struct MobileNetV2 : nn::ModuleOf<MobileNetV2Options> {
  explicit MobileNetV2(const Options& o = {}) : ModuleOf(o) {
    struct Stage {
      int64_t expansion, out, blocks, stride;
    };
    int64_t in = scaled(32);
    for (const auto& [expansion, out, blocks, stride] :
         {Stage{1, 16, 1, 1}, Stage{6, 24, 2, 1}, Stage{6, 32, 3, 2}, Stage{6, 64, 4, 2}, Stage{6, 96, 3, 1},
          Stage{6, 160, 3, 2}, Stage{6, 320, 1, 1}})
      for (int64_t i = 0; i < blocks; ++i, in = scaled(out))
        layers->add<InvertedResidual>(
            {.in = in, .out = scaled(out), .expansion = expansion, .stride = i == 0 ? stride : 1});
  }
  /// Channels in multiples of 8, as in the authors' code.
  int64_t scaled(double channels) const {
    channels *= options().width;
    const int64_t rounded = std::max<int64_t>(8, static_cast<int64_t>(channels + 4) / 8 * 8);
    return static_cast<double>(rounded) < 0.9 * channels ? rounded + 8 : rounded;
  }
  const int64_t head = std::max<int64_t>(1280, scaled(1280));
  nn::Child<nn::Conv2d> conv1{
      this, "conv1", {.in_channels = 3, .out_channels = scaled(32), .kernel_size = 3, .padding = 1, .bias = false}};
  nn::Child<nn::BatchNorm2d> bn1{this, "bn1", {.num_features = scaled(32)}};
  nn::Child<nn::Sequential> layers{this, "layers"};
  nn::Child<nn::Conv2d> conv2{
      this, "conv2", {.in_channels = scaled(320), .out_channels = head, .kernel_size = 1, .bias = false}};
  nn::Child<nn::BatchNorm2d> bn2{this, "bn2", {.num_features = head}};
  nn::Child<nn::Linear> linear{this, "linear", {.in_features = head, .out_features = options().num_classes}};

  Tensor forward(const Tensor& x) override {
    return linear(global_avg_pool(relu(bn2(conv2(layers(relu(bn1(conv1(x)))))))));
  }
};

}  // namespace models
