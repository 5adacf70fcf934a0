// Normalisation over features: LayerNorm, RMSNorm, GroupNorm. Formulas and errors: tern/core/norm.h.
#pragma once

#include <tern/nn/module.h>

namespace tern::nn {

/// Over the last axes of x, whose sizes are normalized_shape. weight (1) and bias (0) have that shape.
class LayerNorm : public Module {
 public:
  struct Options {
    Shape normalized_shape = {};  ///< required: {.normalized_shape = {width}}
    double eps = 1e-5;
    bool elementwise_affine = true;  ///< with a weight, and, unless switched off, a bias
    bool bias = true;
  };
  explicit LayerNorm(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override;
  std::string extra_text() const override;

 private:
  Options options_;

 public:
  Parameter weight;
  Parameter bias;
};

/// Over the last axis, of size dim, without a mean: the norm of llama models. weight (1) has shape [dim].
class RMSNorm : public Module {
 public:
  struct Options {
    int64_t dim = 0;  ///< required, at least 1
    double eps = 1e-6;
    bool elementwise_affine = true;
  };
  explicit RMSNorm(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override;
  std::string extra_text() const override;

 private:
  Options options_;

 public:
  Parameter weight;
};

/// Over num_groups groups of channels of x [N, num_channels, ...]. weight (1) and bias (0) have shape [num_channels].
class GroupNorm : public Module {
 public:
  struct Options {
    int64_t num_groups = 0;    ///< required; divides num_channels
    int64_t num_channels = 0;  ///< required, at least 1
    double eps = 1e-5;
    bool affine = true;
  };
  explicit GroupNorm(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override;
  std::string extra_text() const override;

 private:
  Options options_;

 public:
  Parameter weight;
  Parameter bias;
};

}  // namespace tern::nn
