// What the tables of linear maps share: their definition, and the activations that follow them.
#pragma once

#include <cmath>
#include <string>
#include <utility>

#include <tern/core/ops/linear.h>

#include "op_table/op_table.h"

namespace tern::test {

/// x w^T + b by three loops.
inline Array naive_linear(const Arrays& in) {
  const Array &x = in[0], &w = in[1];
  const int64_t n = w.shape[0], k = w.shape[1];
  Shape shape = x.shape;
  shape.back() = n;
  Array y(shape);
  for (int64_t i = 0; n > 0 && i < y.numel() / n; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double& sum = y.v[static_cast<size_t>(i * n + j)];
      if (in.size() > 2 && in[2].defined) sum = in[2].v[static_cast<size_t>(j)];
      for (int64_t l = 0; l < k; ++l) sum += x.v[static_cast<size_t>(i * k + l)] * w.v[static_cast<size_t>(j * k + l)];
    }
  return y;
}

inline double naive_act(Activation act, double z) {
  switch (act) {
    case Activation::kRelu:
      return z > 0 ? z : 0;
    case Activation::kGelu:
      return z / 2 * std::erfc(-z / std::sqrt(2.0));
    case Activation::kGeluTanh:
      return z / 2 * (1 + std::tanh(std::sqrt(2 / std::acos(-1.0)) * (z + 0.044715 * z * z * z)));
    case Activation::kSilu:
      return z / (1 + std::exp(-z));
    default:
      return z;
  }
}

/// Every activation with its name.
inline const std::pair<Activation, std::string> activations[] = {{Activation::kNone, "none"},
                                                                 {Activation::kRelu, "relu"},
                                                                 {Activation::kGelu, "gelu"},
                                                                 {Activation::kGeluTanh, "gelu with tanh"},
                                                                 {Activation::kSilu, "silu"}};

}  // namespace tern::test
