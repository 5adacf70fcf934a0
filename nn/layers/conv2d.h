// Conv2d: convolution of images.
#pragma once

#include <tern/core/ops/conv.h>
#include <tern/nn/module.h>

namespace tern::nn {

/// tern::conv2d with a weight [out_channels, in_channels / groups, kh, kw] and a bias [out_channels]. x: [N,
/// in_channels, H, W], f32 or f64 as the weight; the result [N, out_channels, H', W'] is channels-last in memory. Both
/// start uniform in +-1 / sqrt(fan_in), as PyTorch's. Making one throws ValueError for options out of range; calling it
/// throws as tern::conv2d.
class Conv2d : public Module {
 public:
  struct Options {
    int64_t in_channels = 0;   ///< required, at least 1
    int64_t out_channels = 0;  ///< required, at least 1
    Size2 kernel_size = 0;     ///< required, at least 1
    Size2 stride = 1;
    Size2 padding = 0;
    Size2 dilation = 1;
    int64_t groups = 1;  ///< divides in_channels and out_channels
    bool bias = true;
  };
  explicit Conv2d(const Options& options);
  const Options& options() const { return options_; }
  /// Its stride, padding, dilation and groups, as tern::conv2d takes them.
  Conv2dOptions conv2d_options() const;

  Tensor forward(const Tensor& x) override;
  std::string extra_text() const override;
  /// Elements of the output times in_channels / groups kh kw.
  int64_t macs(const Shape& input, const Shape& output) const override;
  /// Draws weight and bias anew.
  void reset_parameters();

 private:
  Options options_;

 public:
  Parameter weight;
  Parameter bias;
};

}  // namespace tern::nn
