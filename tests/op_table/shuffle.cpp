#include <tern/core/ops/shuffle.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

// y[n, c, i r + u, j r + v] = x[n, (c r + u) r + v, i, j], in either direction.
Array shuffled(const Array& x, int64_t r, bool back) {
  const Shape& s = x.shape;
  Array y(back ? Shape{s[0], s[1] * r * r, s[2] / r, s[3] / r} : Shape{s[0], s[1] / (r * r), s[2] * r, s[3] * r});
  for_each_index(back ? x.shape : y.shape, [&](const Dims& at) {
    const Dims deep{at[0], (at[1] * r + at[2] % r) * r + at[3] % r, at[2] / r, at[3] / r};
    if (back)
      y.at(deep) = x.at(at);
    else
      y.at(at) = x.at(deep);
  });
  return y;
}

}  // namespace

TERN_OP_FAMILY(shuffle) {
  table.add({
      .name = "pixel_shuffle",
      .call = [](const Inputs& in) { return pixel_shuffle(in[0], 2); },
      .samples = {{uniform({2, 8, 3, 2})},
                  {channels_last({1, 4, 2, 3})},
                  {uniform({0, 4, 2, 2})},
                  {strided(uniform({1, 4, 1, 1}))}},
      .large = {{uniform({8, 64, 20, 30})}},
      .reference = [](const Arrays& in) { return shuffled(in[0], 2, false); },
      .rejects = {{{uniform({1, 6, 3, 3})}, "[pixel_shuffle] expected channels in runs of 4, got [1, 6, 3, 3]"},
                  {{uniform({4, 3, 3})}, "[pixel_shuffle] expected an input of shape [N, C, H, W], got [4, 3, 3]"},
                  {{uniform({1, 4, 3, 3})},
                   "[pixel_shuffle] expected a factor of at least 1, got 0",
                   [](const Inputs& in) { return pixel_shuffle(in[0], 0); }}},
      .f64 = tol::kExact,
      .f32 = tol::kExact,
  });
  table.add({
      .name = "pixel_unshuffle",
      .call = [](const Inputs& in) { return pixel_unshuffle(in[0], 3); },
      .samples = {{uniform({2, 2, 3, 6})}, {channels_last({1, 3, 6, 3})}, {uniform({0, 4, 3, 3})}},
      .large = {{uniform({8, 7, 60, 30})}},
      .reference = [](const Arrays& in) { return shuffled(in[0], 3, true); },
      .rejects = {{{uniform({1, 2, 3, 4})},
                   "[pixel_unshuffle] expected a height and width that 3 divides, got [1, 2, 3, 4]"}},
      .f64 = tol::kExact,
      .f32 = tol::kExact,
  });
  table.add({
      .name = "channel_shuffle",
      .call = [](const Inputs& in) { return channel_shuffle(in[0], 3); },
      .samples = {{uniform({2, 6, 2, 3})}, {channels_last({1, 9, 2, 2})}, {uniform({0, 3, 2, 2})}},
      .large = {{uniform({8, 48, 20, 20})}},
      .reference =
          [](const Arrays& in) {
            Array y(in[0].shape);
            const int64_t each = y.shape[1] / 3;
            for_each_index(
                y.shape, [&](const Dims& at) { y.at(at) = in[0](at[0], at[1] % 3 * each + at[1] / 3, at[2], at[3]); });
            return y;
          },
      .rejects = {{{uniform({1, 4, 3, 3})},
                   "[channel_shuffle] expected channels that 3 groups divide, got [1, 4, 3, 3]"}},
      .f64 = tol::kExact,
      .f32 = tol::kExact,
  });
  table.golden("pixel_shuffle", [](const Json& a, const Inputs& in) { return pixel_shuffle(in[0], a.at("factor")); });
  table.golden("pixel_unshuffle",
               [](const Json& a, const Inputs& in) { return pixel_unshuffle(in[0], a.at("factor")); });
  table.golden("channel_shuffle",
               [](const Json& a, const Inputs& in) { return channel_shuffle(in[0], a.at("groups")); });
}

}  // namespace tern::test
