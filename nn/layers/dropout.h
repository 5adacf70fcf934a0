// Random omission in training mode; nothing in evaluation mode. x: f32 or f64; results have its shape and memory
// format. Formulas and errors: tern/core/ops/dropout.h.
#pragma once

#include <tern/nn/module.h>

namespace tern::nn {

/// Each element becomes 0 with probability p, else x / (1 - p). Throws ValueError unless 0 <= p <= 1.
class Dropout : public Module {
 public:
  struct Options {
    double p = 0.5;
  };
  explicit Dropout(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override;
  std::string extra_text() const override { return concat("p=", options_.p); }

 private:
  Options options_;
};

/// The same for whole channels of x [N, C, ...] (ShapeError). Throws ValueError unless 0 <= p <= 1.
class Dropout2d : public Module {
 public:
  struct Options {
    double p = 0.5;
  };
  explicit Dropout2d(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override;
  std::string extra_text() const override { return concat("p=", options_.p); }

 private:
  Options options_;
};

/// Stochastic depth: the same for whole samples of axis 0, on the branch of a residual block. Throws ValueError
/// likewise.
class DropPath : public Module {
 public:
  struct Options {
    double p = 0;
  };
  explicit DropPath(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override;
  std::string extra_text() const override { return concat("p=", options_.p); }

 private:
  Options options_;
};

}  // namespace tern::nn
