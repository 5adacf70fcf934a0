// ResNet-18, -34 and -50 (He et al., arXiv 1512.03385), as torchvision has them.
#pragma once

#include <tern/nn/batch_norm.h>
#include <tern/nn/containers.h>
#include <tern/nn/conv2d.h>
#include <tern/nn/linear.h>

namespace tern::nn::models {

/// Two 3x3 convolutions and a shortcut; `downsample` (a 1x1 convolution and a batch norm) exists where the shape changes.
class BasicBlock : public Module {
 public:
  struct Options {
    int64_t in_channels = 64;
    int64_t channels = 64;  ///< of the result
    int64_t stride = 1;
  };
  static constexpr int64_t kExpansion = 1;
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
  std::unique_ptr<Child<Sequential>> downsample;  ///< null where the shortcut is the identity
};

/// 1x1, 3x3 (with the stride) and 1x1 convolutions; the last has four times the channels.
class Bottleneck : public Module {
 public:
  struct Options {
    int64_t in_channels = 64;
    int64_t channels = 64;  ///< of the 3x3 convolution; the result has four times as many
    int64_t stride = 1;
  };
  static constexpr int64_t kExpansion = 4;
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
  std::unique_ptr<Child<Sequential>> downsample;  ///< null where the shortcut is the identity
};

/// A 7x7 stem with max pooling, four stages of blocks with 64, 128, 256 and 512 channels, global average pooling, a linear layer.
/// x: [N, 3, H, W], H and W at least 33; result: [N, num_classes]. Convolutions start Kaiming-normal over fan_out.
class ResNet : public Module {
 public:
  struct Options {
    int64_t depth = 18;  ///< 18, 34 or 50 (ValueError otherwise)
    int64_t num_classes = 1000;
    int64_t in_channels = 3;
  };
  explicit ResNet(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override;

 private:
  Options options_;

 public:
  Child<Conv2d> conv1;
  Child<BatchNorm2d> bn1;
  Child<Sequential> layer1;
  Child<Sequential> layer2;
  Child<Sequential> layer3;
  Child<Sequential> layer4;
  Child<Linear> fc;
};

}  // namespace tern::nn::models
