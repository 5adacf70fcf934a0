// Pooling of images. x: [N, C, H, W], f32 or f64; results have its dtype and memory format. Formulas and errors:
// tern/core/ops/pool.h.
#pragma once

#include <tern/core/ops/pool.h>
#include <tern/nn/module.h>

namespace tern::nn {

/// tern::max_pool2d. x: [N, C, H, W].
class MaxPool2d : public Module {
 public:
  using Options = MaxPool2dOptions;
  /// Throws ValueError for sizes that max_pool2d refuses.
  explicit MaxPool2d(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return max_pool2d(x, options_); }
  std::string extra_text() const override;

 private:
  Options options_;
};

/// tern::avg_pool2d. x: [N, C, H, W].
class AvgPool2d : public Module {
 public:
  using Options = AvgPool2dOptions;
  /// Throws ValueError for sizes that avg_pool2d refuses.
  explicit AvgPool2d(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return avg_pool2d(x, options_); }
  std::string extra_text() const override;

 private:
  Options options_;
};

/// tern::adaptive_avg_pool2d. x: [N, C, H, W]; result [N, C, output_size].
class AdaptiveAvgPool2d : public Module {
 public:
  struct Options {
    Size2 output_size = 1;  ///< height and width
  };
  /// Throws ValueError for an output_size below 1.
  explicit AdaptiveAvgPool2d(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return adaptive_avg_pool2d(x, options_.output_size); }
  std::string extra_text() const override;

 private:
  Options options_;
};

/// tern::adaptive_max_pool2d. x: [N, C, H, W]; result [N, C, output_size].
class AdaptiveMaxPool2d : public Module {
 public:
  struct Options {
    Size2 output_size = 1;  ///< height and width
  };
  /// Throws ValueError for an output_size below 1.
  explicit AdaptiveMaxPool2d(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return adaptive_max_pool2d(x, options_.output_size); }
  std::string extra_text() const override;

 private:
  Options options_;
};

/// tern::global_avg_pool. x: [N, C, H, W]; result [N, C].
class GlobalAvgPool : public Module {
 public:
  Tensor forward(const Tensor& x) override { return global_avg_pool(x); }
};

}  // namespace tern::nn
