#include <tern/core/ops/conv_transpose.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

// Every pixel of x spread over the result.
Array spread(const Arrays& in, const ConvTranspose2dOptions& o) {
  const Array &x = in[0], &w = in[1];
  const int64_t depth = w.shape[1], group = w.shape[0] / o.groups, taps_h = w.shape[2], taps_w = w.shape[3];
  const auto size = [](int64_t n, int64_t k, int64_t s, int64_t p, int64_t more, int64_t d) {
    return (n - 1) * s - 2 * p + d * (k - 1) + more + 1;
  };
  Array y(Shape{x.shape[0], depth * o.groups,
                size(x.shape[2], taps_h, o.stride.h, o.padding.h, o.output_padding.h, o.dilation.h),
                size(x.shape[3], taps_w, o.stride.w, o.padding.w, o.output_padding.w, o.dilation.w)});
  if (in.size() > 2 && in[2].defined) for_each_index(y.shape, [&](const Dims& at) { y.at(at) = in[2](at[1]); });
  for_each_index(x.shape, [&](const Dims& at) {
    for (int64_t c = 0; c < depth; ++c)
      for (int64_t u = 0; u < taps_h; ++u)
        for (int64_t v = 0; v < taps_w; ++v) {
          const int64_t i = at[2] * o.stride.h + u * o.dilation.h - o.padding.h;
          const int64_t j = at[3] * o.stride.w + v * o.dilation.w - o.padding.w;
          if (i < 0 || j < 0 || i >= y.shape[2] || j >= y.shape[3]) continue;
          y(at[0], at[1] / group * depth + c, i, j) += x.at(at) * w(at[1], c, u, v);
        }
  });
  return y;
}

OpEntry entry(const char* variant, const ConvTranspose2dOptions& o, std::vector<Inputs> samples,
              std::vector<Inputs> large = {}) {
  return {
      .name = "conv_transpose2d",
      .variant = variant,
      .call = [o](const Inputs& in) { return conv_transpose2d(in[0], in[1], in.size() > 2 ? in[2] : Tensor(), o); },
      .samples = std::move(samples),
      .large = std::move(large),
      .reference = [o](const Arrays& in) { return spread(in, o); },
      .f64 = tol::kF64Sum,
      .f32 = tol::kF32Sum,
  };
}

Inputs images(const Shape& x, const Shape& w, int64_t bias = 0) {
  Inputs in{uniform(x), uniform(w)};
  if (bias > 0) in.push_back(uniform({bias}));
  return in;
}

}  // namespace

TERN_OP_FAMILY(conv_transpose) {
  OpEntry doubling = entry("2x2 stride 2", {.stride = 2},
                           {images({2, 3, 3, 2}, {3, 4, 2, 2}, 4),
                            images({1, 1, 1, 1}, {1, 1, 2, 2}),
                            images({0, 2, 3, 3}, {2, 3, 2, 2}, 3),
                            {channels_last({1, 5, 2, 3}), strided(uniform({5, 3, 2, 2})), strided(uniform({3}))}},
                           {images({3, 24, 9, 8}, {24, 17, 2, 2}, 17)});
  const auto with = [](const ConvTranspose2dOptions& o) {
    return [o](const Inputs& in) { return conv_transpose2d(in[0], in[1], in.size() > 2 ? in[2] : Tensor(), o); };
  };
  doubling.rejects = {
      {images({3, 8, 8}, {3, 2, 2, 2}), "[conv_transpose2d] expected an input of shape [N, C, H, W], got [3, 8, 8]"},
      {images({1, 3, 8, 8}, {3, 8}),
       "[conv_transpose2d] expected a weight of shape [in_channels, out_channels / groups, kh, kw], got [3, 8]"},
      {{int_range({1, 3, 8, 8}), int_range({3, 2, 3, 3})},
       "[conv_transpose2d] expected an input of f32 or f64, got i64"},
      {{uniform({1, 3, 8, 8}), uniform({3, 2, 3, 3}).to(DType::kF32)},
       "[conv_transpose2d] expected a weight of the input's dtype f64, got f32"},
      {images({1, 2, 8, 8}, {3, 2, 2, 2}),
       "[conv_transpose2d] expected images of at least one pixel with 3 channels (weight is [3, 2, 2, 2]), got input "
       "[1, 2, 8, 8]"},
      {images({1, 3, 0, 8}, {3, 2, 2, 2}),
       "[conv_transpose2d] expected images of at least one pixel with 3 channels (weight is [3, 2, 2, 2]), got input "
       "[1, 3, 0, 8]"},
      {images({1, 3, 8, 8}, {3, 2, 2, 2}, 3),
       "[conv_transpose2d] expected a bias of shape [2] (weight is [3, 2, 2, 2], 1 groups), got [3]"},
      {images({1, 3, 8, 8}, {3, 2, 2, 2}), "[conv_transpose2d] expected a stride of at least 1, got [0, 0]",
       with({.stride = 0})},
      {images({1, 3, 8, 8}, {3, 2, 2, 2}), "[conv_transpose2d] expected a padding of at least 0, got [-1, -1]",
       with({.padding = -1})},
      {images({1, 3, 8, 8}, {3, 2, 2, 2}), "[conv_transpose2d] expected a dilation of at least 1, got [0, 0]",
       with({.dilation = 0})},
      {images({1, 3, 8, 8}, {3, 2, 2, 2}),
       "[conv_transpose2d] expected an output_padding of at least 0 and below the larger of stride [2, 2] and dilation "
       "[1, 1], got [2, 2]",
       with({.stride = 2, .output_padding = 2})},
      {images({1, 3, 8, 8}, {3, 2, 2, 2}),
       "[conv_transpose2d] expected groups that divide the 3 input channels (weight is [3, 2, 2, 2]), got 2",
       with({.groups = 2})},
      {images({1, 3, 1, 8}, {3, 2, 2, 2}),
       "[conv_transpose2d] expected a result of at least one pixel (padding [1, 1], weight [3, 2, 2, 2]), got [0, 7] "
       "from input [1, 3, 1, 8]",
       with({.padding = 1})},
  };
  table.add(doubling);
  table.add(entry("4x4 stride 2 padded", {.stride = 2, .padding = 1},
                  {images({1, 2, 3, 3}, {2, 3, 4, 4}, 3), images({2, 1, 1, 1}, {1, 2, 4, 4})},
                  {images({2, 20, 7, 8}, {20, 33, 4, 4})}));
  table.add(entry("3x3 stride 1", {.padding = 1}, {images({1, 2, 4, 3}, {2, 2, 3, 3}, 2)},
                  {images({4, 32, 8, 8}, {32, 32, 3, 3}, 32)}));
  table.add(entry("3x3 stride 2, output padding", {.stride = 2, .padding = 1, .output_padding = 1},
                  {images({1, 2, 3, 2}, {2, 3, 3, 3}, 3)}));
  table.add(entry("uneven", {.stride = {3, 2}, .padding = {1, 0}, .output_padding = {2, 1}, .dilation = {1, 2}},
                  {images({2, 2, 2, 3}, {2, 3, 2, 3}, 3)}));
  table.add(entry("gaps", {.stride = 3, .output_padding = 1}, {images({1, 2, 3, 2}, {2, 2, 1, 2}, 2)}));
  table.add(entry("dilated, output padding above the stride", {.output_padding = {2, 1}, .dilation = 3},
                  {images({1, 2, 3, 2}, {2, 2, 2, 2}, 2)}));
  table.add(entry("two groups", {.stride = 2, .padding = 1, .groups = 2},
                  {images({1, 4, 3, 2}, {4, 3, 3, 3}, 6), images({2, 2, 2, 2}, {2, 1, 3, 3})},
                  {images({2, 16, 6, 5}, {16, 12, 3, 3}, 24)}));
  table.add(entry("depthwise", {.stride = 2, .groups = 3}, {images({2, 3, 3, 2}, {3, 1, 3, 3}, 3)},
                  {images({2, 3, 20, 16}, {3, 1, 3, 3})}));

  const auto pair = [](const Json& a, const char* key) { return Size2(a.at(key).at(0), a.at(key).at(1)); };
  table.golden("conv_transpose2d", [=](const Json& a, const Inputs& in) {
    return conv_transpose2d(in[0], in[1], in.size() > 2 ? in[2] : Tensor(),
                            {.stride = pair(a, "stride"),
                             .padding = pair(a, "padding"),
                             .output_padding = pair(a, "output_padding"),
                             .dilation = pair(a, "dilation"),
                             .groups = a.at("groups")});
  });
}

}  // namespace tern::test
