#include <cmath>

#include <tern/core/ops/feed_forward.h>
#include <tern/core/ops/linear.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

// x w^T + b by three loops.
Array naive_linear(const Arrays& in) {
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

double naive_act(Activation act, double z) {
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

Inputs affine(const Shape& x, int64_t out) {
  return {uniform(x), uniform({out, x.back()}), uniform({out})};
}

// x, up_weight, up_bias, down_weight, down_bias.
Inputs two_maps(const Shape& x, int64_t hidden, int64_t out) {
  return {uniform(x), uniform({hidden, x.back()}), uniform({hidden}), uniform({out, hidden}), uniform({out})};
}

}  // namespace

TERN_OP_FAMILY(linear) {
  table.add({
      .name = "linear",
      .call = [](const Inputs& in) { return linear(in[0], in[1], in.size() > 2 ? in[2] : Tensor()); },
      .samples = {affine({5, 4}, 3),
                  affine({4}, 3),
                  affine({2, 3, 4}, 2),
                  affine({1, 1}, 1),
                  affine({0, 4}, 3),
                  affine({3, 0}, 2),
                  affine({1, 37}, 19),
                  {uniform({5, 4}), uniform({3, 4})},
                  {permuted(uniform({2, 3, 4})), permuted(uniform({3, 4})), strided(uniform({3}))}},
      .large = {affine({600, 33}, 70),
                affine({3, 2100}, 40),
                affine({1, 900}, 1300),
                {uniform({2, 40, 64}), uniform({50, 64})}},
      .reference = naive_linear,
      .rejects = {{{uniform({5, 4}), uniform({4, 3}), uniform({3})},
                   "[linear] expected x [..., 3] for a weight [4, 3], got [5, 4]"},
                  {{uniform({5, 4}), uniform({3}), uniform({3})}, "[linear] expected a weight [out, in], got [3]"},
                  {{uniform({5, 4}), uniform({3, 4}), uniform({4})},
                   "[linear] expected a bias [3] for a weight [3, 4], got [4]"},
                  {{uniform({5, 4}), uniform({3, 4}).to(DType::kF32)}, "[linear] expected a weight of f64, got f32"},
                  {{uniform({5, 4}), uniform({3, 4}), uniform({3}).to(DType::kF32)},
                   "[linear] expected a bias of f64, got f32"},
                  {{int_range({4}), uniform({3, 4})}, "[linear] expected f32 or f64, got i64"}},
      .f64 = tol::kF64Sum,
      .f32 = tol::kF32Sum,
      .flops = [](const Inputs& in) { return 2.0 * static_cast<double>(in[0].numel() * in[1].shape()[0]); },
  });
  const std::pair<Activation, std::string> activations[] = {{Activation::kNone, "none"},
                                                            {Activation::kRelu, "relu"},
                                                            {Activation::kGelu, "gelu"},
                                                            {Activation::kGeluTanh, "gelu with tanh"},
                                                            {Activation::kSilu, "silu"}};
  for (const auto& [act, title] : activations) {
    table.add({
        .name = "linear_act",
        .variant = title,
        .call = [act =
                     act](const Inputs& in) { return linear_act(in[0], in[1], in.size() > 2 ? in[2] : Tensor(), act); },
        .samples = {affine({5, 4}, 3),
                    affine({2, 3, 4}, 2),
                    affine({1, 1}, 1),
                    affine({0, 4}, 3),
                    affine({3, 0}, 2),
                    {uniform({5, 4}), uniform({3, 4})},
                    {permuted(uniform({2, 3, 4})), permuted(uniform({3, 4})), strided(uniform({3}))}},
        .large = {affine({600, 33}, 70),
                  {uniform({40, 2100}, -0.1, 0.1), uniform({33, 2100}, -0.1, 0.1), uniform({33})}},
        .reference =
            [act = act](const Arrays& in) {
              return map(naive_linear(in), [act](double z) { return naive_act(act, z); });
            },
        .rejects = {{{uniform({5, 4}), uniform({4, 3}), uniform({3})},
                     act == Activation::kNone ? "[linear] expected x [..., 3] for a weight [4, 3], got [5, 4]"
                                              : "[linear_act] expected x [..., 3] for a weight [4, 3], got [5, 4]"}},
        .f64 = tol::kF64Sum,
        .f32 = tol::kF32Sum,
    });
  }
  // From 96 rows on, a path of its own.
  for (const auto& [act, title] : activations)
    table.add({
        .name = "feed_forward",
        .variant = title,
        .call = [act = act](const Inputs& in) { return feed_forward(in[0], in[1], in[2], act, in[3], in[4]); },
        .samples = {two_maps({5, 4}, 3, 2),
                    two_maps({0, 4}, 3, 2),
                    two_maps({3, 0}, 2, 1),
                    two_maps({97, 2}, 5, 3),
                    {permuted(uniform({2, 3, 50})), permuted(uniform({3, 50})), strided(uniform({3})),
                     permuted(uniform({2, 3})), strided(uniform({2}))},
                    {uniform({100, 2}), uniform({3, 2}), Tensor(), uniform({2, 3}), Tensor()}},
        .large = {two_maps({3, 70, 33}, 50, 21), two_maps({150, 24}, 340, 40)},
        .reference =
            [act = act](const Arrays& in) {
              const Array hidden =
                  map(naive_linear({in[0], in[1], in[2]}), [act](double z) { return naive_act(act, z); });
              return naive_linear({hidden, in[3], in[4]});
            },
        .rejects = {{{uniform({5, 4}), uniform({4, 3}), uniform({4}), uniform({2, 4}), uniform({2})},
                     "[feed_forward] expected x [..., 3] for an up_weight [4, 3], got [5, 4]"},
                    {{uniform({5, 4}), uniform({3, 4}), uniform({3}), uniform({3, 2}), uniform({2})},
                     "[feed_forward] expected a down_weight [out, 3] for an up_weight [3, 4], got [3, 2]"},
                    {{uniform({5, 4}), uniform({3, 4}), uniform({3}), uniform({2, 3}), uniform({3})},
                     "[feed_forward] expected a down_bias [2], got [3]"}},
        .f64 = tol::kF64Sum,
        .f32 = tol::kF32Sum,
    });
  table.golden("linear",
               [](const Json&, const Inputs& in) { return linear(in[0], in[1], in.size() > 2 ? in[2] : Tensor()); });
}

}  // namespace tern::test
