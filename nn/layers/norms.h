// Normalisation over features: LayerNorm, RMSNorm, GroupNorm. x: f32 or f64; results have its shape and dtype. Making
// one throws ValueError for options out of range; calling it throws ShapeError for another width or number of channels.
// Formulas and further errors: tern/core/ops/norm.h.
#pragma once

#include <tern/nn/module.h>

namespace tern::nn {

/// Over the last axes of x, whose sizes are normalized_shape. weight (1) and bias (0) have that shape.
class LayerNorm : public Module {
 public:
  struct Options {
    Shape normalized_shape = {};     ///< required: {.normalized_shape = {width}}
    double eps = 1e-5;               ///< added to the variance; at least 0
    bool elementwise_affine = true;  ///< with a weight, and, unless switched off, a bias
    bool bias = true;
  };
  explicit LayerNorm(const Options& options);
  const Options& options() const { return options_; }
  /// Throws ShapeError for another width, as forward does.
  void check_input(const Tensor& x) const;
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
    int64_t dim = 0;                 ///< required, at least 1
    double eps = 1e-6;               ///< added to the mean square; at least 0
    bool elementwise_affine = true;  ///< with a weight
  };
  explicit RMSNorm(const Options& options);
  const Options& options() const { return options_; }
  /// Throws ShapeError for another width, as forward does.
  void check_input(const Tensor& x) const;
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
    double eps = 1e-5;         ///< added to the variance; at least 0
    bool affine = true;        ///< with weight and bias
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
