#include <tern/core/ops/embedding.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

Array looked_up(const Array& indices, const Array& weight) {
  Shape shape = indices.shape;
  shape.push_back(weight.shape[1]);
  Array out(shape);
  for (int64_t i = 0; i < indices.numel(); ++i)
    for (int64_t d = 0; d < weight.shape[1]; ++d)
      out.v[static_cast<size_t>(i * weight.shape[1] + d)] =
          weight(static_cast<int64_t>(indices.v[static_cast<size_t>(i)]), d);
  return out;
}

}  // namespace

TERN_OP_FAMILY(embedding) {
  table.add({
      .name = "embedding",
      .call = [](const Inputs& in) { return embedding(in[0], in[1]); },
      .samples = {{integers({4}, 0, 6), uniform({6, 3})},
                  {integers({2, 5}, 0, 3), permuted(uniform({3, 4}))},
                  {strided(integers({3}, 0, 5)), strided(uniform({5, 2}))},
                  {integers({}, 0, 2), uniform({2, 3})},
                  {integers({0}, 0, 2), uniform({2, 3})}},
      .large = {{integers({40, 30}, 0, 50), uniform({50, 200})}},
      .reference = [](const Arrays& in) { return looked_up(in[0], in[1]); },
      .rejects = {{{values({2}, {1, 6}).to(DType::kI64), uniform({6, 3})},
                   "[embedding] expected indices in [0, 6), got 6 at position 1"},
                  {{values({2}, {-1, 0}).to(DType::kI64), uniform({6, 3})},
                   "[embedding] expected indices in [0, 6), got -1 at position 0"},
                  {{mask({2}), uniform({6, 3})}, "[embedding] expected indices of i64, got u8"},
                  {{int_range({2}), uniform({6})}, "[embedding] expected a weight [V, D], got [6]"},
                  {{int_range({2}), int_range({6, 3})}, "[embedding] expected f32 or f64, got i64"},
                  {{int_range({2}), uniform({6, 3})},
                   "[embedding] expected padding_idx in [-6, 5], got 6",
                   [](const Inputs& in) { return embedding(in[0], in[1], 6); }}},
      .f64 = tol::kF64Sum,
      .f32 = tol::kF32Sum,
  });
  table.add({
      .name = "embedding",
      .variant = "padding",
      .call = [](const Inputs& in) { return embedding(in[0], in[1], 0); },
      // The gradient leaves row 0 out, so the indices do not name it; the golden cases cover the omission.
      .samples = {{integers({4}, 1, 6), uniform({6, 3})}},
      .reference = [](const Arrays& in) { return looked_up(in[0], in[1]); },
      .f64 = tol::kF64Sum,
      .f32 = tol::kF32Sum,
  });
  table.golden("embedding", [](const Json& a, const Inputs& in) {
    return a.contains("padding_idx") ? embedding(in[0], in[1], a.at("padding_idx").get<int64_t>())
                                     : embedding(in[0], in[1]);
  });
}

}  // namespace tern::test
