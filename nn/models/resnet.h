// The residual networks for ImageNet of He et al. (2015), section 4.1, in torchvision's form.
#pragma once

#include <optional>

#include <tern/nn/layers/batch_norm.h>
#include <tern/nn/layers/containers.h>
#include <tern/nn/layers/conv2d.h>
#include <tern/nn/layers/linear.h>
#include <tern/nn/layers/pool.h>
#include <tern/nn/models/model.h>

namespace tern::nn::models {

/// Settings of a block. Sizes below 1 throw ValueError.
struct ResNetBlockOptions {
  int64_t in_channels = 0;  ///< required
  int64_t channels = 0;     ///< required: of the 3x3 convolution(s)
  int64_t stride = 1;       ///< of the (first) 3x3 convolution and of the shortcut
};

/// x: [N, in_channels, H, W]; result: [N, channels kExpansion, ceil(H / stride), ceil(W / stride)]. Two 3x3
/// convolutions. Where the shape changes, the shortcut is downsample.0 (1x1 convolution) and downsample.1.
class BasicBlock : public Module {
 public:
  static constexpr int64_t kExpansion = 1;
  using Options = ResNetBlockOptions;
  explicit BasicBlock(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override;

 private:
  Options options_;

 public:
  Child<Conv2d> conv1;
  Child<BatchNorm2d> bn1;
  Child<Conv2d> conv2;
  Child<BatchNorm2d> bn2;
  std::optional<Child<Sequential>> downsample;
};

/// 1x1, 3x3 (with the stride) and 1x1 convolution to four times the width; otherwise as BasicBlock.
class Bottleneck : public Module {
 public:
  static constexpr int64_t kExpansion = 4;
  using Options = ResNetBlockOptions;
  explicit Bottleneck(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override;

 private:
  Options options_;

 public:
  Child<Conv2d> conv1;
  Child<BatchNorm2d> bn1;
  Child<Conv2d> conv2;
  Child<BatchNorm2d> bn2;
  Child<Conv2d> conv3;
  Child<BatchNorm2d> bn3;
  std::optional<Child<Sequential>> downsample;
};

/// ResNet-18, 34 or 50, with torchvision's parameter names (conv1, bn1, layer1.0.conv1, ..., fc) and initialisation:
/// convolutions normal with He's deviation (fan_out), the rest by default. x: [N, in_channels, H, W], H and W at least
/// 1; result [N, num_classes]. Making one throws ValueError for options out of range, calling it ShapeError for other
/// inputs.
class ResNet : public Model {
 public:
  struct Options {
    int64_t depth = 18;  ///< 18, 34 or 50
    int64_t num_classes = 1000;
    int64_t in_channels = 3;
    bool zero_init_residual =
        false;  ///< the last norm of each block starts at 0, so that each block starts as identity
  };
  explicit ResNet(const Options& options);
  const Options& options() const { return options_; }
  /// From a JSON object of these names, or null. Throws ValueError for other keys and values out of range.
  static Options options_from(const io::Json& config);

  Tensor forward(const Tensor& x) override;
  std::string model_name() const override;
  io::Json config() const override;
  std::string head_path() const override { return "fc"; }

 private:
  template <class Block>
  void add_stages(const int64_t (&blocks)[4]);
  Options options_;

 public:
  Child<Conv2d> conv1;
  Child<BatchNorm2d> bn1;
  Child<MaxPool2d> maxpool{this, "maxpool", {.kernel_size = 3, .stride = 2, .padding = 1}};
  Child<Sequential> layer1{this, "layer1"};
  Child<Sequential> layer2{this, "layer2"};
  Child<Sequential> layer3{this, "layer3"};
  Child<Sequential> layer4{this, "layer4"};
  Child<Linear> fc;
};

}  // namespace tern::nn::models
