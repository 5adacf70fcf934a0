// Activation functions as modules, with PyTorch's names. x: any shape, f32 or f64; results have its shape and dtype.
// Each is the function of its name; formulas, settings and errors: tern/core/ops/activation.h, tern/core/ops/softmax.h.
#pragma once

#include <tern/core/error.h>
#include <tern/core/ops/activation.h>
#include <tern/core/ops/softmax.h>
#include <tern/nn/module.h>

namespace tern::nn {

struct ReLU : Module {
  Tensor forward(const Tensor& x) override { return relu(x); }
};

struct ReLU6 : Module {
  Tensor forward(const Tensor& x) override { return relu6(x); }
};

/// Throws ValueError unless min_val < max_val.
class Hardtanh : public Module {
 public:
  struct Options {
    double min_val = -1;  ///< below max_val
    double max_val = 1;
  };
  explicit Hardtanh(const Options& options) : options_(options) {
    TERN_CHECK(options.min_val < options.max_val, ValueError, "[Hardtanh] expected min_val below max_val, got ",
               options.min_val, " and ", options.max_val);
  }
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return hardtanh(x, options_.min_val, options_.max_val); }
  std::string extra_text() const override {
    return concat("min_val=", options_.min_val, ", max_val=", options_.max_val);
  }

 private:
  Options options_;
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

struct SELU : Module {
  Tensor forward(const Tensor& x) override { return selu(x); }
};

/// Throws ValueError for an alpha of 0.
class CELU : public Module {
 public:
  struct Options {
    double alpha = 1;  ///< not 0; -alpha is the limit at -infinity
  };
  explicit CELU(const Options& options) : options_(options) {
    TERN_CHECK(options.alpha != 0, ValueError, "[CELU] expected an alpha other than 0, got 0");
  }
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return celu(x, options_.alpha); }
  std::string extra_text() const override { return concat("alpha=", options_.alpha); }

 private:
  Options options_;
};

/// weight: [num_parameters], f32. Throws ValueError for num_parameters below 1.
class PReLU : public Module {
 public:
  struct Options {
    int64_t num_parameters = 1;  ///< 1 for all channels together, or their number
    double init = 0.25;
  };
  explicit PReLU(const Options& options) : options_(options), weight(this, "weight", initial_weight(options)) {}
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return prelu(x, weight()); }
  std::string extra_text() const override { return concat("num_parameters=", options_.num_parameters); }

 private:
  static Tensor initial_weight(const Options& options) {
    TERN_CHECK(options.num_parameters >= 1, ValueError, "[PReLU] expected num_parameters of at least 1, got ",
               options.num_parameters);
    return empty({options.num_parameters}).fill_(options.init);
  }
  Options options_;

 public:
  Parameter weight;
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

struct Mish : Module {
  Tensor forward(const Tensor& x) override { return mish(x); }
};

/// Along the axis `dim`, which is halved.
class GLU : public Module {
 public:
  struct Options {
    int64_t dim = -1;
  };
  explicit GLU(const Options& options) : options_(options) {}
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return glu(x, options_.dim); }
  std::string extra_text() const override { return concat("dim=", options_.dim); }

 private:
  Options options_;
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

struct Softsign : Module {
  Tensor forward(const Tensor& x) override { return softsign(x); }
};

struct Tanhshrink : Module {
  Tensor forward(const Tensor& x) override { return tanhshrink(x); }
};

class Hardshrink : public Module {
 public:
  struct Options {
    double lambd = 0.5;
  };
  explicit Hardshrink(const Options& options) : options_(options) {}
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return hardshrink(x, options_.lambd); }
  std::string extra_text() const override { return concat("lambd=", options_.lambd); }

 private:
  Options options_;
};

/// Throws ValueError for a lambd below 0.
class Softshrink : public Module {
 public:
  struct Options {
    double lambd = 0.5;  ///< at least 0
  };
  explicit Softshrink(const Options& options) : options_(options) {
    TERN_CHECK(options.lambd >= 0, ValueError, "[Softshrink] expected a lambd of at least 0, got ", options.lambd);
  }
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return softshrink(x, options_.lambd); }
  std::string extra_text() const override { return concat("lambd=", options_.lambd); }

 private:
  Options options_;
};

class Threshold : public Module {
 public:
  struct Options {
    double threshold = 0;  ///< x itself above
    double value = 0;      ///< elsewhere
  };
  explicit Threshold(const Options& options) : options_(options) {}
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return threshold(x, options_.threshold, options_.value); }
  std::string extra_text() const override {
    return concat("threshold=", options_.threshold, ", value=", options_.value);
  }

 private:
  Options options_;
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
class Softmin : public Module {
 public:
  struct Options {
    int64_t dim = -1;
  };
  explicit Softmin(const Options& options) : options_(options) {}
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return softmin(x, options_.dim); }
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
