// Pooling of sequences. x: [N, C, L], f32 or f64; results have its dtype. Formulas and errors: tern/core/ops/pool1d.h.
#pragma once

#include <tern/core/ops/pool1d.h>
#include <tern/nn/module.h>

namespace tern::nn {

/// tern::max_pool1d.
class MaxPool1d : public Module {
 public:
  using Options = MaxPool1dOptions;
  /// Throws ValueError for sizes that max_pool1d refuses.
  explicit MaxPool1d(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return max_pool1d(x, options_); }
  std::string extra_text() const override;

 private:
  Options options_;
};

/// tern::avg_pool1d.
class AvgPool1d : public Module {
 public:
  using Options = AvgPool1dOptions;
  /// Throws ValueError for sizes that avg_pool1d refuses.
  explicit AvgPool1d(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return avg_pool1d(x, options_); }
  std::string extra_text() const override;

 private:
  Options options_;
};

/// tern::adaptive_avg_pool1d. Result: [N, C, output_size].
class AdaptiveAvgPool1d : public Module {
 public:
  struct Options {
    int64_t output_size = 1;
  };
  /// Throws ValueError for an output_size below 1.
  explicit AdaptiveAvgPool1d(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return adaptive_avg_pool1d(x, options_.output_size); }
  std::string extra_text() const override { return concat("output_size=", options_.output_size); }

 private:
  Options options_;
};

/// tern::adaptive_max_pool1d. Result: [N, C, output_size].
class AdaptiveMaxPool1d : public Module {
 public:
  struct Options {
    int64_t output_size = 1;
  };
  /// Throws ValueError for an output_size below 1.
  explicit AdaptiveMaxPool1d(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return adaptive_max_pool1d(x, options_.output_size); }
  std::string extra_text() const override { return concat("output_size=", options_.output_size); }

 private:
  Options options_;
};

}  // namespace tern::nn
