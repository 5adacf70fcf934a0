// Instance normalisation.
#pragma once

#include <tern/nn/module.h>

namespace tern::nn {

/// What InstanceNorm1d and InstanceNorm2d share (Ulyanov et al., 2016): (x - mean) / sqrt(variance + eps) * weight +
/// bias with the statistics of each channel of each sample. With track_running_stats their means over the batch enter
/// running_mean and running_var (unbiased) in training mode, and these normalise in evaluation mode. Parameters weight
/// (1) and bias (0) where affine, buffers running_mean (0), running_var (1), all [num_features], and
/// num_batches_tracked (i64 [], which stays 0, as PyTorch's does) where they are tracked. Making one throws ValueError
/// for options out of range; calling it throws ShapeError for other inputs, ValueError for a single value a channel
/// where its statistics are needed, DTypeError as tern::group_norm.
class InstanceNorm : public Module {
 public:
  struct Options {
    int64_t num_features = 0;          ///< required: channels, at least 1
    double eps = 1e-5;                 ///< added to the variance; above 0
    double momentum = 0.1;             ///< share, in [0, 1], of a batch in the running statistics
    bool affine = false;               ///< with weight and bias
    bool track_running_stats = false;  ///< with running statistics
  };
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override;
  std::string extra_text() const override;

 protected:
  InstanceNorm(const Options& options, const char* type, int64_t axes, const char* kind);

 private:
  Options options_;
  const char* type_;
  int64_t axes_;
  const char* kind_;

 public:
  Parameter weight;
  Parameter bias;
  Buffer running_mean;
  Buffer running_var;
  Buffer num_batches_tracked;
};

/// x: [N, C, L].
class InstanceNorm1d : public InstanceNorm {
 public:
  explicit InstanceNorm1d(const Options& options) : InstanceNorm(options, "InstanceNorm1d", 3, "L") {}
};

/// x: [N, C, H, W].
class InstanceNorm2d : public InstanceNorm {
 public:
  explicit InstanceNorm2d(const Options& options) : InstanceNorm(options, "InstanceNorm2d", 4, "H, W") {}
};

}  // namespace tern::nn
