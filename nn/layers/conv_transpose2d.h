// ConvTranspose2d: transposed convolution of images.
#pragma once

#include <tern/core/ops/conv_transpose.h>
#include <tern/nn/module.h>

namespace tern::nn {

/// tern::conv_transpose2d with a weight [in_channels, out_channels / groups, kh, kw] and a bias [out_channels]. x:
/// [N, in_channels, H, W], f32 or f64 as the weight; the result [N, out_channels, H', W'] is channels-last in memory.
/// Both start uniform in +-1 / sqrt(out_channels / groups kh kw), as PyTorch's. Making one throws ValueError for
/// options out of range; calling it throws as tern::conv_transpose2d.
class ConvTranspose2d : public Module {
 public:
  struct Options {
    int64_t in_channels = 0;   ///< required, at least 1
    int64_t out_channels = 0;  ///< required, at least 1
    Size2 kernel_size = 0;     ///< required, at least 1
    Size2 stride = 1;
    Size2 padding = 0;
    Size2 output_padding = 0;  ///< below the larger of stride and dilation
    int64_t groups = 1;        ///< divides in_channels and out_channels
    bool bias = true;
    Size2 dilation = 1;
  };
  explicit ConvTranspose2d(const Options& options);
  const Options& options() const { return options_; }

  Tensor forward(const Tensor& x) override;
  std::string extra_text() const override;
  /// Elements of the input times out_channels / groups kh kw.
  int64_t macs(const Shape& input, const Shape& output) const override;
  /// Draws weight and bias again.
  void reset_parameters();

 private:
  Options options_;

 public:
  Parameter weight;
  Parameter bias;
};

}  // namespace tern::nn
