#include <tern/core/ops/scan.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

Array running_sums(const Array& x, int64_t wanted) {
  const int64_t axis = wanted < 0 ? wanted + x.dim() : wanted;
  Array out = x;
  for_each_index(x.shape, [&](const Dims& at) {
    if (at[axis] == 0) return;
    Dims before = at;
    --before[axis];
    out.at(at) += out.at(before);
  });
  return out;
}

}  // namespace

TERN_OP_FAMILY(scan) {
  for (const int64_t axis : {0, 1, -1}) {
    table.add({
        .name = "cumsum",
        .variant = concat("axis ", axis),
        .call = [=](const Inputs& in) { return cumsum(in[0], axis); },
        .samples = {{uniform({3, 4})},
                    {uniform({2, 3, 4})},
                    {channels_last({2, 3, 2, 3})},
                    {strided(uniform({3, 4}))},
                    {permuted(uniform({4, 3}))},
                    {uniform({1, 1})},
                    {uniform({0, 3})}},
        .large = {{uniform({70, 500})}, {uniform({3, 100, 90})}},
        .reference = [=](const Arrays& in) { return running_sums(in[0], axis); },
        .rejects = {{{uniform({3})},
                     "[cumsum] expected an axis in [-1, 0], got 2",
                     [](const Inputs& in) { return cumsum(in[0], 2); }}},
        .f64 = tol::kF64Sum,
        .f32 = tol::kF32Sum,
        .keeps_format = true,
    });
  }
  table.add({
      .name = "cumsum",
      .variant = "integers",
      .call = [](const Inputs& in) { return cumsum(in[0], 0); },
      .samples = {{integers({3, 4}, -5, 5)}, {mask({300})}},
      .reference = [](const Arrays& in) { return running_sums(in[0], 0); },
      .differentiable = std::vector<size_t>{},
      .f64 = tol::kExact,
      .f32 = tol::kExact,
  });
  table.golden("cumsum", [](const Json& a, const Inputs& in) { return cumsum(in[0], a.at("dim")); });
}

}  // namespace tern::test
