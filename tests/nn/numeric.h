// Small tools that the tests of modules share.
#pragma once

#include <algorithm>
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include <tern/core/ops/create.h>
#include <tern/core/tensor.h>
#include <tern/nn/init.h>

namespace tern::nn {

/// Normal numbers from the default generator.
inline Tensor random(const Shape& shape, DType dtype = DType::kF64, double deviation = 1) {
  Tensor x = empty(shape, dtype);
  init::normal_(x, 0, deviation);
  return x;
}

inline double largest_difference(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.shape(), b.shape());
  const std::vector<double> x = a.to_vector<double>(), y = b.to_vector<double>();
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::abs(x[i] - y[i]));
  return worst;
}

}  // namespace tern::nn
