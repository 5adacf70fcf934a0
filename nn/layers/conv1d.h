// Conv1d: convolution of sequences.
#pragma once

#include <tern/core/ops/conv1d.h>
#include <tern/nn/module.h>

namespace tern::nn {

/// tern::conv1d with a weight [out_channels, in_channels / groups, kernel_size] and a bias [out_channels]. x:
/// [N, in_channels, L], f32 or f64 as the weight; result: [N, out_channels, L']. Both start uniform in
/// +-1 / sqrt(fan_in), as PyTorch's. Making one throws ValueError for options out of range; calling it throws as
/// tern::conv1d.
class Conv1d : public Module {
 public:
  struct Options {
    int64_t in_channels = 0;   ///< required, at least 1
    int64_t out_channels = 0;  ///< required, at least 1
    int64_t kernel_size = 0;   ///< required, at least 1
    int64_t stride = 1;
    int64_t padding = 0;
    int64_t dilation = 1;
    int64_t groups = 1;  ///< divides in_channels and out_channels
    bool bias = true;
  };
  explicit Conv1d(const Options& options);
  const Options& options() const { return options_; }

  Tensor forward(const Tensor& x) override;
  std::string extra_text() const override;
  /// Elements of the output times in_channels / groups kernel_size.
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
