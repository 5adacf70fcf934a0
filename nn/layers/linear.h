// Linear: an affine map of the last axis.
#pragma once

#include <tern/nn/module.h>

namespace tern::nn {

/// y = x weight^T + bias. x: [..., in_features], f32 or f64 as the weight; result [..., out_features]. weight
/// [out_features, in_features] and bias [out_features] start uniform in +-1 / sqrt(in_features), as PyTorch's. Making
/// one throws ValueError for sizes below 1; calling it throws as tern::linear.
class Linear : public Module {
 public:
  struct Options {
    int64_t in_features = 0;   ///< required, at least 1
    int64_t out_features = 0;  ///< required, at least 1
    bool bias = true;
  };
  explicit Linear(const Options& options);
  const Options& options() const { return options_; }

  Tensor forward(const Tensor& x) override;
  std::string extra_text() const override;
  /// Elements of the output times in_features.
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
