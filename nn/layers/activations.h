// Activation functions as modules, with PyTorch's names. x: any shape, f32 or f64; results have its shape and dtype.
// Each is the function of its name; formulas, settings and errors: tern/core/activation.h, tern/core/softmax.h.
#pragma once

#include <tern/core/activation.h>
#include <tern/core/error.h>
#include <tern/core/softmax.h>
#include <tern/nn/module.h>

namespace tern::nn {

struct ReLU : Module {
  Tensor forward(const Tensor& x) override { return relu(x); }
};

struct ReLU6 : Module {
  Tensor forward(const Tensor& x) override { return relu6(x); }
};

class LeakyReLU : public Module {
 public:
  struct Options {
    double negative_slope = 0.01;  ///< below 0
  };
  explicit LeakyReLU(const Options& options) : options_(options) {}
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return leaky_relu(x, options_.negative_slope); }
  std::string extra_text() const override { return concat("negative_slope=", options_.negative_slope); }

 private:
  Options options_;
};

class ELU : public Module {
 public:
  struct Options {
    double alpha = 1;  ///< -alpha is the limit at -infinity
  };
  explicit ELU(const Options& options) : options_(options) {}
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return elu(x, options_.alpha); }
  std::string extra_text() const override { return concat("alpha=", options_.alpha); }

 private:
  Options options_;
};

class GELU : public Module {
 public:
  struct Options {
    Gelu approximation = Gelu::kErf;
  };
  explicit GELU(const Options& options) : options_(options) {}
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return gelu(x, options_.approximation); }
  std::string extra_text() const override { return options_.approximation == Gelu::kTanh ? "tanh" : ""; }

 private:
  Options options_;
};

struct SiLU : Module {
  Tensor forward(const Tensor& x) override { return silu(x); }
};

struct Sigmoid : Module {
  Tensor forward(const Tensor& x) override { return sigmoid(x); }
};

struct LogSigmoid : Module {
  Tensor forward(const Tensor& x) override { return logsigmoid(x); }
};

struct Tanh : Module {
  Tensor forward(const Tensor& x) override { return tanh(x); }
};

struct Hardsigmoid : Module {
  Tensor forward(const Tensor& x) override { return hardsigmoid(x); }
};

struct Hardswish : Module {
  Tensor forward(const Tensor& x) override { return hardswish(x); }
};

/// Throws ValueError for a beta of 0.
class Softplus : public Module {
 public:
  struct Options {
    double beta = 1;        ///< not 0
    double threshold = 20;  ///< x itself where beta x is above
  };
  explicit Softplus(const Options& options) : options_(options) {
    TERN_CHECK(options.beta != 0, ValueError, "[Softplus] expected a beta other than 0, got 0");
  }
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return softplus(x, options_.beta, options_.threshold); }
  std::string extra_text() const override { return concat("beta=", options_.beta, ", threshold=", options_.threshold); }

 private:
  Options options_;
};

/// Along the axis `dim`.
class Softmax : public Module {
 public:
  struct Options {
    int64_t dim = -1;
  };
  explicit Softmax(const Options& options) : options_(options) {}
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return softmax(x, options_.dim); }
  std::string extra_text() const override { return concat("dim=", options_.dim); }

 private:
  Options options_;
};

/// Along the axis `dim`.
class LogSoftmax : public Module {
 public:
  struct Options {
    int64_t dim = -1;
  };
  explicit LogSoftmax(const Options& options) : options_(options) {}
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return log_softmax(x, options_.dim); }
  std::string extra_text() const override { return concat("dim=", options_.dim); }

 private:
  Options options_;
};

}  // namespace tern::nn
