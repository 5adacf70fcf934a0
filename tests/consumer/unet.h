// U-Net (Ronneberger et al., 2015) with batch norm, for segmentation. Names are those of milesial/Pytorch-UNet without
// bilinear upsampling.
#pragma once

#include <cstdint>
#include <vector>

#include <tern/tern.h>

namespace models {

using namespace tern;

struct Channels {
  int64_t in = 0, out = 0;
};

struct DoubleConv : nn::ModuleOf<Channels> {
  explicit DoubleConv(const Options& o) : ModuleOf(o) {
    for (const int64_t in : {o.in, o.out}) {
      double_conv->add<nn::Conv2d>(
          {.in_channels = in, .out_channels = o.out, .kernel_size = 3, .padding = 1, .bias = false});
      double_conv->add<nn::BatchNorm2d>({.num_features = o.out});
      double_conv->add<nn::ReLU>();
    }
  }
  nn::Child<nn::Sequential> double_conv{this, "double_conv"};
  Tensor forward(const Tensor& x) override { return double_conv(x); }
};

struct Down : nn::ModuleOf<Channels> {
  explicit Down(const Options& o) : ModuleOf(o) {
    maxpool_conv->add<nn::MaxPool2d>({.kernel_size = 2});
    maxpool_conv->add<DoubleConv>(o);
  }
  nn::Child<nn::Sequential> maxpool_conv{this, "maxpool_conv"};
  Tensor forward(const Tensor& x) override { return maxpool_conv(x); }
};

struct Up : nn::ModuleOf<Channels> {
  using ModuleOf::ModuleOf;
  nn::Child<nn::ConvTranspose2d> up{
      this, "up", {.in_channels = options().in, .out_channels = options().in / 2, .kernel_size = 2, .stride = 2}};
  nn::Child<DoubleConv> conv{this, "conv", options()};
  /// `skip` may be larger by what max-pooling cut off; zeros fill it up.
  Tensor forward(const Tensor& x, const Tensor& skip) {
    const Tensor y = up(x);
    const int64_t dh = skip.size(2) - y.size(2), dw = skip.size(3) - y.size(3);
    return conv(cat({skip, pad(y, {dw / 2, dw - dw / 2, dh / 2, dh - dh / 2})}, 1));
  }
};

struct UNetOptions {
  int64_t in_channels = 3, num_classes = 2;
  int64_t width = 64;  ///< channels at full resolution, doubled by each level below
  int64_t depth = 4;   ///< levels below full resolution
};

/// Images [N, in_channels, H, W] to logits [N, num_classes, H, W].
struct UNet : nn::ModuleOf<UNetOptions> {
  explicit UNet(const Options& o = {}) : ModuleOf(o) {
    outc->append("conv",
                 nn::make<nn::Conv2d>({.in_channels = o.width, .out_channels = o.num_classes, .kernel_size = 1}));
  }
  nn::Child<DoubleConv> inc{this, "inc", {.in = options().in_channels, .out = options().width}};
  std::vector<nn::Child<Down>> down = [this] {
    std::vector<nn::Child<Down>> made;
    for (int64_t i = 0, width = options().width; i < options().depth; ++i, width *= 2)
      made.push_back(nn::Child<Down>(this, concat("down", i + 1), {.in = width, .out = 2 * width}));
    return made;
  }();
  std::vector<nn::Child<Up>> up = [this] {
    std::vector<nn::Child<Up>> made;
    for (int64_t i = 0, width = options().width << options().depth; i < options().depth; ++i, width /= 2)
      made.push_back(nn::Child<Up>(this, concat("up", i + 1), {.in = width, .out = width / 2}));
    return made;
  }();
  nn::Child<nn::Sequential> outc{this, "outc"};

  Tensor forward(const Tensor& x) override {
    std::vector<Tensor> levels{inc(x)};
    for (const auto& to_half : down) levels.push_back(to_half(levels.back()));
    Tensor y = levels.back();
    for (size_t i = 0; i < up.size(); ++i) y = up[i](y, levels[levels.size() - 2 - i]);
    return outc(y);
  }
};

}  // namespace models
