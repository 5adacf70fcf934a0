// The ResNets for 32 x 32 images of He et al. (arXiv 1512.03385, section 4.2), with parameter-free shortcuts ("option A").
#pragma once

#include <tern/nn/batch_norm.h>
#include <tern/nn/containers.h>
#include <tern/nn/conv2d.h>
#include <tern/nn/linear.h>

namespace tern::nn::models {

/// Two 3x3 convolutions with batch norm and a shortcut: relu(bn2(conv2(relu(bn1(conv1(x))))) + shortcut(x)), where the shortcut
/// takes every stride-th pixel and fills new channels with zeros. x: [N, in_channels, H, W].
class CifarBlock : public Module {
 public:
  struct Options {
    int64_t in_channels = 16;
    int64_t out_channels = 16;
    int64_t stride = 1;
  };
  explicit CifarBlock(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override;

 private:
  Options options_;

 public:
  Child<Conv2d> conv1;
  Child<BatchNorm2d> bn1;
  Child<Conv2d> conv2;
  Child<BatchNorm2d> bn2;
};

/// depth = 6n + 2: a stem of 16 channels, three stages of n blocks with 16, 32 and 64 channels, global average pooling, a linear
/// layer. x: [N, in_channels, H, W]; result: [N, num_classes]. Parameter names are those of akamaster/pytorch_resnet_cifar10
/// (conv1, bn1, layer1.0.conv1, ..., linear), so its weights load directly. Convolution and linear weights start Kaiming-normal.
class ResNetCifar : public Module {
 public:
  struct Options {
    int64_t depth = 20;  ///< 6n + 2 with n >= 1: 20, 32, 44, 56, 110, 1202 (ValueError otherwise)
    int64_t num_classes = 10;
    int64_t in_channels = 3;
  };
  explicit ResNetCifar(const Options& options);
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
  Child<Linear> linear;
};

}  // namespace tern::nn::models
