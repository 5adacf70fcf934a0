// Activation functions as modules. x: any shape; results have its shape. Formulas and errors: tern/core/activation.h.
#pragma once

#include <tern/core/activation.h>
#include <tern/core/softmax.h>
#include <tern/nn/module.h>

namespace tern::nn {

struct ReLU : Module {
  Tensor forward(const Tensor& x) override { return relu(x); }
};

class LeakyReLU : public Module {
 public:
  struct Options {
    double negative_slope = 0.01;
  };
  explicit LeakyReLU(const Options& options) : options_(options) {}
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return leaky_relu(x, options_.negative_slope); }
  std::string extra_text() const override { return concat("negative_slope=", options_.negative_slope); }

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

struct Tanh : Module {
  Tensor forward(const Tensor& x) override { return tanh(x); }
};

struct Hardswish : Module {
  Tensor forward(const Tensor& x) override { return hardswish(x); }
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

}  // namespace tern::nn
