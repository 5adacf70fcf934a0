#include <tern/core/ops/dropout.h>
#include <tern/core/random.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

constexpr uint64_t kSeed = 5;

// The elements that dropout keeps after manual_seed(kSeed): a threshold on the words of the generator's blocks.
Array dropped(const Array& x, double p) {
  const Generator generator(kSeed);
  Array out(x.shape);
  for (size_t i = 0; i < x.v.size(); ++i) {
    const auto block = generator.block_at(i / 32 * 8 + i % 8);
    const bool kept = static_cast<double>(block[i % 32 / 8]) * 0x1p-32 >= p;
    out.v[i] = kept ? x.v[i] / (1 - p) : 0;
  }
  return out;
}

// One number for each index of the first `axes` axes.
Array groups_dropped(const Array& x, int64_t axes, double p) {
  Generator generator(kSeed);
  Array out(x.shape);
  size_t groups = 1;
  for (int64_t a = 0; a < axes; ++a) groups *= static_cast<size_t>(x.shape[a]);
  const size_t size = groups == 0 ? 0 : x.v.size() / groups;
  for (size_t n = 0; n < groups; ++n) {
    const double factor = generator.uniform() >= p ? 1 / (1 - p) : 0;
    for (size_t i = 0; i < size; ++i) out.v[n * size + i] = x.v[n * size + i] * factor;
  }
  return out;
}

}  // namespace

TERN_OP_FAMILY(dropout) {
  for (const double p : {0.25, 0.5}) {
    table.add({
        .name = "dropout",
        .variant = concat("p = ", p),
        .call =
            [=](const Inputs& in) {
              manual_seed(kSeed);
              return dropout(in[0], p, true);
            },
        .samples = {{uniform({3, 40})},
                    {uniform({7})},
                    {strided(uniform({33}))},
                    {channels_last({2, 3, 4, 5})},
                    {uniform({0, 4})},
                    {uniform({})}},
        .large = {{uniform({100, 1001})}},
        .reference = [=](const Arrays& in) { return dropped(in[0], p); },
        .rejects = {{{int_range({3})}, "[dropout] expected f32 or f64, got i64"},
                    {{uniform({3})},
                     "[dropout] expected a probability in [0, 1], got 1.5",
                     [](const Inputs& in) { return dropout(in[0], 1.5); }}},
        .keeps_format = true,
    });
  }
  table.add({
      .name = "dropout",
      .variant = "evaluation",
      .call = [](const Inputs& in) { return dropout(in[0], 0.5, false); },
      .samples = {{uniform({3, 4})}},
      .reference = [](const Arrays& in) { return in[0]; },
  });
  table.add({
      .name = "dropout",
      .variant = "everything",
      .call = [](const Inputs& in) { return dropout(in[0], 1.0, true); },
      .samples = {{uniform({70})}},
      .reference = [](const Arrays& in) { return map(in[0], [](double) { return 0.0; }); },
  });
  table.add({
      .name = "dropout2d",
      .call =
          [](const Inputs& in) {
            manual_seed(kSeed);
            return dropout2d(in[0], 0.4, true);
          },
      .samples = {{uniform({3, 4, 2, 3})}, {uniform({2, 5})}, {channels_last({2, 3, 2, 2})}, {uniform({0, 2, 3, 3})}},
      .large = {{uniform({10, 7, 30, 20})}},
      .reference = [](const Arrays& in) { return groups_dropped(in[0], 2, 0.4); },
      .rejects = {{{uniform({3})}, "[dropout2d] expected an input of shape [N, C, ...], got [3]"},
                  {{int_range({3, 2})}, "[dropout2d] expected f32 or f64, got i64"},
                  {{uniform({3, 2})},
                   "[dropout2d] expected a probability in [0, 1], got 2",
                   [](const Inputs& in) { return dropout2d(in[0], 2); }}},
      .keeps_format = true,
  });
  table.add({
      .name = "drop_path",
      .call =
          [](const Inputs& in) {
            manual_seed(kSeed);
            return drop_path(in[0], 0.4, true);
          },
      .samples = {{uniform({6, 3})}, {uniform({5})}, {channels_last({4, 3, 2, 2})}, {uniform({0, 2})}},
      .large = {{uniform({50, 1001})}},
      .reference = [](const Arrays& in) { return groups_dropped(in[0], 1, 0.4); },
      .rejects = {{{uniform({})}, "[drop_path] expected at least one axis, got a scalar"},
                  {{int_range({3})}, "[drop_path] expected f32 or f64, got i64"},
                  {{uniform({3})},
                   "[drop_path] expected a probability in [0, 1], got -0.5",
                   [](const Inputs& in) { return drop_path(in[0], -0.5); }}},
      .keeps_format = true,
  });
}

}  // namespace tern::test
