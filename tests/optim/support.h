// The little problem that the golden files of optimizers repeat (tests/golden/README.md), and reading those files.
#pragma once

#include <cmath>
#include <set>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tern/core/io/json.h>
#include <tern/core/tensor.h>

#include "core/io_support.h"

namespace tern::test {

inline io::Json golden(const std::string& name) {
  return io::Json::parse_file("golden", std::string(TERN_GOLDEN_DIR) + "/optim/" + name + ".json");
}

inline std::vector<double> numbers(const io::Json& list) {
  std::vector<double> out;
  for (const io::Json& v : list.items()) out.push_back(v.as_number());
  return out;
}

inline Tensor tensor_from(const std::vector<double>& values, DType dtype = DType::kF64) {
  Tensor x = empty({static_cast<int64_t>(values.size())}, DType::kF64);
  std::copy(values.begin(), values.end(), x.data<double>());
  return x.to(dtype);
}

/// Parameters a and b, whose gradients at step t are a formula of their values.
class Problem {
 public:
  explicit Problem(const io::Json& file, DType dtype = DType::kF64) {
    for (const auto& [name, p] : file.at("problem").members())
      params_.push_back({name, tensor_from(numbers(p.at("start")), dtype).requires_grad_(), numbers(p.at("curvature")),
                         numbers(p.at("target")), numbers(p.at("ripple")), numbers(p.at("frequency")),
                         numbers(p.at("noise"))});
  }
  Tensor& operator[](const std::string& name) {
    for (Param& p : params_)
      if (p.name == name) return p.value;
    throw std::out_of_range(name);
  }
  std::vector<Tensor> all() const {
    std::vector<Tensor> out;
    for (const Param& p : params_) out.push_back(p.value);
    return out;
  }
  void set_gradients(int t, const std::set<std::string>& without = {}) {
    for (Param& p : params_) {
      if (without.contains(p.name)) continue;
      const auto x = p.value.to_vector<double>();
      std::vector<double> g(x.size());
      for (size_t i = 0; i < x.size(); ++i)
        g[i] = p.curvature[i] * (x[i] - p.target[i]) - p.ripple[i] * p.frequency[i] * std::sin(p.frequency[i] * x[i]) +
               p.noise[i] * std::cos(0.7 * t * static_cast<double>(i + 1));
      p.value.set_grad(tensor_from(g, p.value.dtype()));
    }
  }

 private:
  struct Param {
    std::string name;
    Tensor value;
    std::vector<double> curvature, target, ripple, frequency, noise;
  };
  std::vector<Param> params_;
};

/// Compares both parameters with what a case has recorded after `steps` steps, if anything.
inline void expect_after(Problem& problem, const io::Json& recorded, int steps, double tolerance) {
  const io::Json* after = recorded.find(std::to_string(steps));
  if (after == nullptr) return;
  for (const auto& [name, values] : after->members()) {
    const auto wanted = numbers(values);
    const auto got = problem[name].to_vector<double>();
    ASSERT_EQ(got.size(), wanted.size());
    for (size_t i = 0; i < got.size(); ++i)
      EXPECT_NEAR(got[i], wanted[i], tolerance * std::max(1.0, std::abs(wanted[i])))
          << name << "[" << i << "] after " << steps << " steps";
  }
}

constexpr double kExact = 1e-12;  // f64: the same formula, another order of roundings
constexpr double kSingle = 1e-4;  // f32: a hundred steps of rounding

}  // namespace tern::test
