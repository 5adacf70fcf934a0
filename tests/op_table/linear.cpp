#include <tern/core/ops/linear.h>

#include "op_table/linear_reference.h"
#include "op_table/op_table.h"

namespace tern::test {
namespace {

Inputs affine(const Shape& x, int64_t out) {
  return {uniform(x), uniform({out, x.back()}), uniform({out})};
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
  table.golden("linear",
               [](const Json&, const Inputs& in) { return linear(in[0], in[1], in.size() > 2 ? in[2] : Tensor()); });
}

}  // namespace tern::test
