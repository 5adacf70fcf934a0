// ResNeXt-29 for CIFAR (Xie et al., 2017), 3 stages of 3 blocks. Names are those of kuangliu/pytorch-cifar.
#pragma once

#include <cstdint>
#include <memory>

#include <tern/tern.h>

namespace models {

using namespace tern;

struct ResNeXtBlockOptions {
  int64_t in = 0, width = 0, cardinality = 1, stride = 1;
  int64_t out() const { return 2 * width; }
};

/// Bottleneck with a grouped convolution: `cardinality` groups of width / cardinality channels.
struct ResNeXtBlock : nn::ModuleOf<ResNeXtBlockOptions> {
  explicit ResNeXtBlock(const Options& o) : ModuleOf(o) {
    if (o.stride == 1 && o.in == o.out()) return;
    shortcut->add<nn::Conv2d>(
        {.in_channels = o.in, .out_channels = o.out(), .kernel_size = 1, .stride = o.stride, .bias = false});
    shortcut->add<nn::BatchNorm2d>({.num_features = o.out()});
  }
  nn::Child<nn::Conv2d> conv1{
      this, "conv1", {.in_channels = options().in, .out_channels = options().width, .kernel_size = 1, .bias = false}};
  nn::Child<nn::BatchNorm2d> bn1{this, "bn1", {.num_features = options().width}};
  nn::Child<nn::Conv2d> conv2{this,
                              "conv2",
                              {.in_channels = options().width,
                               .out_channels = options().width,
                               .kernel_size = 3,
                               .stride = options().stride,
                               .padding = 1,
                               .groups = options().cardinality,
                               .bias = false}};
  nn::Child<nn::BatchNorm2d> bn2{this, "bn2", {.num_features = options().width}};
  nn::Child<nn::Conv2d> conv3{
      this,
      "conv3",
      {.in_channels = options().width, .out_channels = options().out(), .kernel_size = 1, .bias = false}};
  nn::Child<nn::BatchNorm2d> bn3{this, "bn3", {.num_features = options().out()}};
  nn::Child<nn::Sequential> shortcut{this, "shortcut"};

  Tensor forward(const Tensor& x) override {
    return relu(bn3(conv3(relu(bn2(conv2(relu(bn1(conv1(x)))))))) + shortcut(x));
  }
};

struct ResNeXt29Options {
  int64_t cardinality = 32, bottleneck_width = 4, num_classes = 10;  ///< 32x4d; 2x64d has cardinality 2, width 64
};

struct ResNeXt29 : nn::ModuleOf<ResNeXt29Options> {
  using ModuleOf::ModuleOf;
  const int64_t width = options().cardinality * options().bottleneck_width;
  nn::Child<nn::Conv2d> conv1{this, "conv1", {.in_channels = 3, .out_channels = 64, .kernel_size = 1, .bias = false}};
  nn::Child<nn::BatchNorm2d> bn1{this, "bn1", {.num_features = 64}};
  nn::Child<nn::Sequential> layer1{this, "layer1", stage(64, width, 1)};
  nn::Child<nn::Sequential> layer2{this, "layer2", stage(2 * width, 2 * width, 2)};
  nn::Child<nn::Sequential> layer3{this, "layer3", stage(4 * width, 4 * width, 2)};
  nn::Child<nn::Linear> linear{this, "linear", {.in_features = 8 * width, .out_features = options().num_classes}};

  Tensor forward(const Tensor& x) override {
    return linear(global_avg_pool(layer3(layer2(layer1(relu(bn1(conv1(x))))))));
  }

 private:
  std::shared_ptr<nn::Sequential> stage(int64_t in, int64_t stage_width, int64_t stride) const {
    auto blocks = nn::make<nn::Sequential>();
    for (int i = 0; i < 3; ++i)
      blocks->add<ResNeXtBlock>({.in = i == 0 ? in : 2 * stage_width,
                                 .width = stage_width,
                                 .cardinality = options().cardinality,
                                 .stride = i == 0 ? stride : 1});
    return blocks;
  }
};

}  // namespace models
