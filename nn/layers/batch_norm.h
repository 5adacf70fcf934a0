// Batch normalisation.
#pragma once

#include <optional>

#include <tern/nn/module.h>

namespace tern::nn {

/// What BatchNorm1d and BatchNorm2d share (Ioffe and Szegedy, 2015). In training mode the batch's statistics normalise
/// it and enter running_mean, running_var (unbiased) and num_batches_tracked; in evaluation mode the running ones
/// normalise. Parameters weight (1) and bias (0), buffers running_mean (0), running_var (1), all [num_features],
/// num_batches_tracked (0, i64 []). Making one throws ValueError for options out of range; calling it throws as
/// tern::batch_norm.
class BatchNorm : public Module {
 public:
  struct Options {
    int64_t num_features = 0;              ///< required: channels, at least 1
    double eps = 1e-5;                     ///< added to the variance; above 0
    std::optional<double> momentum = 0.1;  ///< share, in [0, 1], of a batch in the running ones; none: their average
    bool affine = true;                    ///< with weight and bias
    bool track_running_stats = true;       ///< without, every batch is normalised by its own statistics
  };
  const Options& options() const { return options_; }

  Tensor forward(const Tensor& x) override;
  std::string extra_text() const override;
  /// Throws ShapeError for an input that is not of the layer's kind.
  virtual void check_input(const Tensor& x) const = 0;
  /// Whether forward would use the batch's statistics now.
  bool uses_batch_statistics() const { return is_training() || !options_.track_running_stats; }
  /// The share that the next batch gets in the running statistics.
  double batch_share() const;
  /// In training mode counts a batch that has been normalised: what a fused path does in the place of forward.
  void count_batch();
  /// Forgets the running statistics: 0, 1 and no batches.
  void reset_running_stats();

 protected:
  BatchNorm(const Options& options, const char* type);

 private:
  bool counts_batches() const { return is_training() && options_.track_running_stats; }
  Options options_;

 public:
  Parameter weight;
  Parameter bias;
  Buffer running_mean;
  Buffer running_var;
  Buffer num_batches_tracked;
};

/// x: [N, C] or [N, C, L].
class BatchNorm1d : public BatchNorm {
 public:
  explicit BatchNorm1d(const Options& options) : BatchNorm(options, "BatchNorm1d") {}
  void check_input(const Tensor& x) const override;
};

/// x: [N, C, H, W].
class BatchNorm2d : public BatchNorm {
 public:
  explicit BatchNorm2d(const Options& options) : BatchNorm(options, "BatchNorm2d") {}
  void check_input(const Tensor& x) const override;
};

}  // namespace tern::nn
