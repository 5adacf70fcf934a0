// Small modules made of nothing but the foundation, for tests of the module system itself.
#pragma once

#include <algorithm>
#include <memory>
#include <vector>

#include <tern/core/autograd/autograd.h>
#include <tern/core/autograd/custom_op.h>
#include <tern/nn/child.h>
#include <tern/nn/parametrization.h>

namespace tern::nn {

inline Tensor filled(const Shape& shape, const std::vector<double>& values) {
  Tensor x = empty(shape, DType::kF64);
  std::copy(values.begin(), values.end(), x.data<double>());
  return x;
}
inline Tensor full_of(const Shape& shape, double value) {
  return empty(shape, DType::kF64).fill_(value);
}

/// a * b, differentiable.
inline Tensor product(const Tensor& a, const Tensor& b) {
  static const CustomOp op(
      "product",
      [](CustomContext& context, std::span<const Tensor> in) {
        context.save(in[0]);
        context.save(in[1]);
        return in[0].clone().mul_(in[1]);
      },
      [](const CustomContext& context, const Tensor& g) -> Gradients {
        return {g.clone().mul_(context.saved(1)), g.clone().mul_(context.saved(0))};
      });
  return op({a, b});
}

/// y = x * weight (* bias, so that it takes part), and counts its calls.
struct Scale : Module {
  struct Options {
    int64_t size = 1;
    double value = 2;
    bool bias = false;
  };
  explicit Scale(const Options& options) : options_(options) {}
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override {
    TERN_CHECK(x.shape() == Shape{options_.size}, ShapeError, "[scale] expected ", options_.size, " values, got ",
               x.shape());
    if (calls.defined()) calls().add_(1);
    const Tensor y = product(x, weight());
    return bias.defined() ? product(y, bias()) : y;
  }

 private:
  Options options_;

 public:
  Parameter weight{this, "weight", full_of({options_.size}, options_.value)};
  Parameter bias{this, "bias", options_.bias ? full_of({options_.size}, 1) : Tensor()};
  Buffer calls{this, "calls", options_.bias ? Tensor() : empty({}, DType::kI64).zero_()};
};

/// y = 3 * (2 * x): two children, the second with a bias.
struct Block : Module {
  explicit Block(int64_t size = 2) : size_(size) {}
  std::shared_ptr<Module> new_like() const override { return make<Block>(size_); }
  Tensor forward(const Tensor& x) override { return second(first(x)); }

 private:
  int64_t size_;

 public:
  Child<Scale> first{this, "first", {.size = size_}};
  Child<Scale> second{this, "second", {.size = size_, .value = 3, .bias = true}};
};

/// y = x + constant; built from an argument, without options.
struct Shift : Module {
  explicit Shift(double constant) : constant_(constant) {}
  std::shared_ptr<Module> new_like() const override { return make<Shift>(constant_); }
  Tensor forward(const Tensor& x) override {
    static const CustomOp op(
        "shift", [](CustomContext&, std::span<const Tensor> in) { return in[0].clone().add_(in[1]); },
        [](const CustomContext&, const Tensor& g) -> Gradients {
          return {g, Tensor()};
        });
    return op({x, full_of({}, constant_)});
  }

 private:
  double constant_;
};

/// A module with an interface of its own: two tensors and a number.
struct PairOutput {
  Tensor output;
  Tensor second;
};
struct PairInterface {
  virtual ~PairInterface() = default;
  virtual PairOutput forward(const Tensor& a, const Tensor& b, double factor) = 0;
};
struct Pairing : Module, PairInterface {
  using Interface = PairInterface;
  using Module::forward;
  bool has_forward() const override { return false; }
  PairOutput forward(const Tensor& a, const Tensor& b, double factor) override {
    return {a.clone().add_(b).mul_(factor), b};
  }
};

/// Halves what it is given, times a gain that starts at 1; counts how often it is computed.
struct Halve : Parametrization {
  Halve() : Parametrization("halve") {}
  Tensor effective(const Tensor& latent) override {
    ++computed;
    return product(product(latent, full_of({}, is_training() ? 0.5 : 0.25).expand(latent.shape())),
                   gain().expand(latent.shape()));
  }
  Parameter gain{this, "gain", full_of({}, 1)};
  int64_t computed = 0;
};

}  // namespace tern::nn
