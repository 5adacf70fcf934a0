#include <tern/core/ops/conv1d.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

Array convolved(const Arrays& in, const Conv1dOptions& o) {
  const Array &x = in[0], &w = in[1];
  const int64_t length = x.shape[2], depth = w.shape[1], taps = w.shape[2], group = w.shape[0] / o.groups;
  Array y(Shape{x.shape[0], w.shape[0], (length + 2 * o.padding - o.dilation * (taps - 1) - 1) / o.stride + 1});
  for_each_index(y.shape, [&](const Dims& at) {
    double sum = in.size() > 2 && in[2].defined ? in[2](at[1]) : 0;
    for (int64_t c = 0; c < depth; ++c)
      for (int64_t u = 0; u < taps; ++u) {
        const int64_t i = at[2] * o.stride + u * o.dilation - o.padding;
        if (i >= 0 && i < length) sum += x(at[0], at[1] / group * depth + c, i) * w(at[1], c, u);
      }
    y.at(at) = sum;
  });
  return y;
}

OpEntry entry(const char* variant, const Conv1dOptions& o, std::vector<Inputs> samples,
              std::vector<Inputs> large = {}) {
  return {
      .name = "conv1d",
      .variant = variant,
      .call = [o](const Inputs& in) { return conv1d(in[0], in[1], in.size() > 2 ? in[2] : Tensor(), o); },
      .samples = std::move(samples),
      .large = std::move(large),
      .reference = [o](const Arrays& in) { return convolved(in, o); },
      .f64 = tol::kF64Sum,
      .f32 = tol::kF32Sum,
  };
}

}  // namespace

TERN_OP_FAMILY(conv1d) {
  OpEntry plain = entry("3 padded", {.padding = 1},
                        {{uniform({2, 3, 5}), uniform({4, 3, 3}), uniform({4})},
                         {uniform({1, 1, 1}), uniform({1, 1, 3})},
                         {uniform({0, 2, 4}), uniform({3, 2, 3}), uniform({3})},
                         {permuted(uniform({2, 3, 5})), strided(uniform({2, 3, 3})), strided(uniform({2}))}},
                        {{uniform({6, 20, 70}), uniform({33, 20, 3}), uniform({33})}});
  plain.rejects = {{{uniform({3, 5}), uniform({4, 3, 3})}, "[conv1d] expected an input of shape [N, C, L], got [3, 5]"},
                   {{uniform({2, 3, 5}), uniform({4, 3})},
                    "[conv1d] expected a weight of shape [out_channels, in_channels / groups, k], got [4, 3]"},
                   {{uniform({2, 3, 5}), uniform({4, 2, 3})},
                    "[conv2d] expected input with 2 channels (weight is [4, 2, 1, 3]), got input [2, 3, 1, 5]"}};
  table.add(plain);
  table.add(entry("stride 2, dilated", {.stride = 2, .padding = 2, .dilation = 2},
                  {{uniform({1, 3, 9}), uniform({2, 3, 3})}, {uniform({2, 1, 3}), uniform({2, 1, 2}), uniform({2})}}));
  table.add(entry("two groups", {.groups = 2}, {{uniform({2, 4, 5}), uniform({6, 2, 2}), uniform({6})}}));
  table.golden("conv1d", [](const Json& a, const Inputs& in) {
    return conv1d(
        in[0], in[1], in.size() > 2 ? in[2] : Tensor(),
        {.stride = a.at("stride"), .padding = a.at("padding"), .dilation = a.at("dilation"), .groups = a.at("groups")});
  });
}

}  // namespace tern::test
