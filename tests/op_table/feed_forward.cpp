#include <tern/core/ops/feed_forward.h>

#include "op_table/linear_reference.h"
#include "op_table/op_table.h"

namespace tern::test {
namespace {

// x, up_weight, up_bias, down_weight, down_bias.
Inputs two_maps(const Shape& x, int64_t hidden, int64_t out) {
  return {uniform(x), uniform({hidden, x.back()}), uniform({hidden}), uniform({out, hidden}), uniform({out})};
}

}  // namespace

TERN_OP_FAMILY(feed_forward) {
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
}

}  // namespace tern::test
