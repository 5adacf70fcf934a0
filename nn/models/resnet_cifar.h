// The residual networks for 32x32 images of He et al. (2015), section 4.2, with parameter-free shortcuts (option A).
#pragma once

#include <tern/nn/layers/batch_norm.h>
#include <tern/nn/layers/containers.h>
#include <tern/nn/layers/conv2d.h>
#include <tern/nn/layers/linear.h>
#include <tern/nn/models/model.h>

namespace tern::nn::models {

/// Two 3x3 convolutions with batch norm; the shortcut takes every stride-th pixel and pads channels with zeros
/// (tern::shortcut_a). x: [N, in_channels, H, W]; result: [N, out_channels, ceil(H / stride), ceil(W / stride)]. Sizes
/// below 1 throw ValueError.
class CifarBlock : public Module {
 public:
  struct Options {
    int64_t in_channels = 0;   ///< required
    int64_t out_channels = 0;  ///< required: at least in_channels (ValueError when called)
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

/// ResNet-20, 32, 44, 56, 110 or 1202: a 3x3 stem, three stages of (depth - 2) / 6 blocks with 16, 32 and 64 channels,
/// a global average and a linear layer. Convolution and linear weights start normal with He's deviation (fan_in).
/// Parameter names: conv1, bn1, layer1.0.conv1 ... layer3.N.bn2, linear. x: [N, in_channels, H, W];
/// result [N, num_classes]. Making one throws ValueError for options out of range, calling it ShapeError for other
/// inputs.
class ResNetCifar : public Model {
 public:
  struct Options {
    int64_t depth = 20;  ///< 6 n + 2, n at least 1
    int64_t num_classes = 10;
    int64_t in_channels = 3;
  };
  explicit ResNetCifar(const Options& options);
  const Options& options() const { return options_; }
  /// From a JSON object of these names, or null. Throws ValueError for other keys and values out of range.
  static Options options_from(const io::Json& config);

  Tensor forward(const Tensor& x) override;
  std::string model_name() const override;
  io::Json config() const override;
  std::string head_path() const override { return "linear"; }

 private:
  Options options_;

 public:
  Child<Conv2d> conv1;
  Child<BatchNorm2d> bn1;
  Child<Sequential> layer1{this, "layer1"};
  Child<Sequential> layer2{this, "layer2"};
  Child<Sequential> layer3{this, "layer3"};
  Child<Linear> linear;
};

}  // namespace tern::nn::models
