#include <algorithm>

#include <tern/core/ops/conv.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

// The defining sum.
Array convolved(const Arrays& in, const Conv2dOptions& o) {
  const Array &x = in[0], &w = in[1];
  const int64_t channels = x.shape[1], in_h = x.shape[2], in_w = x.shape[3];
  const int64_t depth = w.shape[1], taps_h = w.shape[2], taps_w = w.shape[3];
  const int64_t height = (in_h + 2 * o.padding.h - o.dilation.h * (taps_h - 1) - 1) / o.stride.h + 1;
  const int64_t width = (in_w + 2 * o.padding.w - o.dilation.w * (taps_w - 1) - 1) / o.stride.w + 1;
  Array y(Shape{x.shape[0], w.shape[0], height, width});
  const int64_t group = w.shape[0] / o.groups;
  size_t position = 0;
  for_each_index(y.shape, [&](const Dims& at) {
    double sum = in.size() > 2 && in[2].defined ? in[2](at[1]) : 0;
    for (int64_t c = 0; c < depth; ++c) {
      const double* plane = x.v.data() + (at[0] * channels + at[1] / group * depth + c) * in_h * in_w;
      const double* taps = w.v.data() + (at[1] * depth + c) * taps_h * taps_w;
      for (int64_t u = 0; u < taps_h; ++u)
        for (int64_t v = 0; v < taps_w; ++v) {
          const int64_t i = at[2] * o.stride.h + u * o.dilation.h - o.padding.h;
          const int64_t j = at[3] * o.stride.w + v * o.dilation.w - o.padding.w;
          if (i >= 0 && j >= 0 && i < in_h && j < in_w) sum += plane[i * in_w + j] * taps[u * taps_w + v];
        }
    }
    y.v[position++] = sum;
  });
  return y;
}

double multiply_adds(const Inputs& in, const Conv2dOptions& o) {
  const Tensor y = conv2d(in[0], in[1], {}, o);
  return 2.0 * static_cast<double>(y.numel()) * static_cast<double>(in[1].numel() / in[1].shape()[0]);
}

OpEntry entry(const std::string& variant, const Conv2dOptions& o, std::vector<Inputs> samples,
              std::vector<Inputs> large = {}) {
  return {
      .name = "conv2d",
      .variant = variant,
      .call = [o](const Inputs& in) { return conv2d(in[0], in[1], in.size() > 2 ? in[2] : Tensor(), o); },
      .samples = std::move(samples),
      .large = std::move(large),
      .reference = [o](const Arrays& in) { return convolved(in, o); },
      .f64 = tol::kF64Sum,
      .f32 = tol::kF32Sum,
      .flops = [o](const Inputs& in) { return multiply_adds(in, o); },
  };
}

// in: x, weight, bias and a residual, each of the last two perhaps undefined
OpEntry fused(const char* variant, const Conv2dOptions& o, bool relu, std::vector<Inputs> samples,
              std::vector<Inputs> large = {}) {
  const auto sums = [o](const Arrays& in) {
    Array y = convolved(in, o);
    if (in.size() > 3 && in[3].defined)
      for (size_t i = 0; i < y.v.size(); ++i) y.v[i] += in[3].v[i];
    return y;
  };
  OpEntry e{
      .name = "conv2d_act",
      .variant = variant,
      .call =
          [o, relu](const Inputs& in) {
            return conv2d_act(in[0], in[1], in[2], in.size() > 3 ? in[3] : Tensor(), o, relu);
          },
      .samples = std::move(samples),
      .large = std::move(large),
      .reference =
          [sums, relu](const Arrays& in) {
            return relu ? map(sums(in), [](double v) { return std::max(v, 0.0); }) : sums(in);
          },
      .f64 = tol::kF64Sum,
      .f32 = tol::kF32Sum,
  };
  return e;
}

// A bias, and a residual of the shape that the options give.
Inputs with_residual(const Shape& x, const Shape& w, const Conv2dOptions& o) {
  Inputs in{uniform(x), uniform(w), uniform({w[0]})};
  in.push_back(uniform(conv2d(in[0], in[1], {}, o).shape()));
  return in;
}

Inputs images(const Shape& x, const Shape& w, bool bias = false) {
  return bias ? Inputs{uniform(x), uniform(w), uniform({w[0]})} : Inputs{uniform(x), uniform(w)};
}

}  // namespace

TERN_OP_FAMILY(conv) {
  OpEntry plain = entry("3x3", {.padding = 1},
                        {images({2, 3, 5, 4}, {4, 3, 3, 3}, true),
                         images({1, 2, 1, 1}, {1, 2, 3, 3}),
                         images({0, 3, 4, 4}, {2, 3, 3, 3}, true),
                         images({1, 1, 3, 7}, {17, 1, 3, 3}),
                         {channels_last({2, 5, 3, 3}), strided(uniform({3, 5, 3, 3})), strided(uniform({3}))},
                         {strided(uniform({1, 2, 3, 5})), permuted(uniform({2, 2, 3, 3}))}},
                        {images({5, 16, 13, 11}, {16, 16, 3, 3}, true), images({30, 3, 9, 9}, {16, 3, 3, 3}),
                         images({2, 32, 9, 10}, {33, 32, 3, 3}), images({2, 64, 8, 8}, {24, 64, 3, 3}),
                         images({3, 130, 5, 4}, {128, 130, 3, 3}, true), images({1, 40, 40, 20}, {12, 40, 3, 3})});
  plain.rejects = {
      {images({32, 3, 32, 32}, {128, 64, 3, 3}),
       "[conv2d] expected input with 64 channels (weight is [128, 64, 3, 3]), got input [32, 3, 32, 32]"},
      {images({3, 32, 32}, {8, 3, 3, 3}), "[conv2d] expected an input of shape [N, C, H, W], got [3, 32, 32]"},
      {images({1, 3, 8, 8}, {8, 27}),
       "[conv2d] expected a weight of shape [out_channels, in_channels / groups, kh, kw], got [8, 27]"},
      {{int_range({1, 3, 8, 8}), int_range({2, 3, 3, 3})}, "[conv2d] expected an input of f32 or f64, got i64"},
      {{uniform({1, 3, 8, 8}), uniform({2, 3, 3, 3}).to(DType::kF32)},
       "[conv2d] expected a weight of the input's dtype f64, got f32"},
      {{uniform({1, 3, 8, 8}), uniform({2, 3, 3, 3}), uniform({3})},
       "[conv2d] expected a bias of shape [2] (weight is [2, 3, 3, 3]), got [3]"},
      {{uniform({1, 3, 8, 8}), uniform({2, 3, 3, 3}), int_range({2})},
       "[conv2d] expected a bias of the input's dtype f64, got i64"},
      {images({1, 3, 8, 2}, {2, 3, 5, 5}),
       "[conv2d] expected an input at least as large as the kernel (weight is [2, 3, 5, 5], padding [1, 1], dilation "
       "[1, 1]), got input [1, 3, 8, 2]"},
      {images({1, 3, 8, 8}, {2, 3, 0, 3}), "[conv2d] expected a weight with sizes of at least 1, got [2, 3, 0, 3]"},
      {images({1, 3, 8, 8}, {2, 3, 3, 3}), "[conv2d] expected a stride of at least 1, got [1, 0]",
       [](const Inputs& in) {
         return conv2d(in[0], in[1], {}, {.stride = {1, 0}});
       }},
      {images({1, 3, 8, 8}, {2, 3, 3, 3}), "[conv2d] expected a padding of at least 0, got [-1, -1]",
       [](const Inputs& in) { return conv2d(in[0], in[1], {}, {.padding = -1}); }},
      {images({1, 3, 8, 8}, {2, 3, 3, 3}), "[conv2d] expected a dilation of at least 1, got [0, 0]",
       [](const Inputs& in) { return conv2d(in[0], in[1], {}, {.dilation = 0}); }},
      {images({1, 3, 8, 8}, {2, 3, 3, 3}), "[conv2d] expected at least 1 group, got 0",
       [](const Inputs& in) { return conv2d(in[0], in[1], {}, {.groups = 0}); }},
      {images({1, 9, 8, 8}, {2, 3, 3, 3}),
       "[conv2d] expected groups that divide the 2 output channels (weight is [2, 3, 3, 3]), got 3",
       [](const Inputs& in) { return conv2d(in[0], in[1], {}, {.groups = 3}); }},
      {images({1, 4, 8, 8}, {2, 3, 3, 3}),
       "[conv2d] expected input with 6 channels (weight is [2, 3, 3, 3], 2 groups), got input [1, 4, 8, 8]",
       [](const Inputs& in) { return conv2d(in[0], in[1], {}, {.groups = 2}); }},
  };
  table.add(plain);
  table.add(entry("3x3 stride 2", {.stride = 2, .padding = 1},
                  {images({2, 3, 6, 7}, {2, 3, 3, 3}, true), images({1, 2, 1, 2}, {3, 2, 3, 3})},
                  {images({5, 16, 14, 12}, {32, 16, 3, 3}), images({2, 32, 15, 16}, {64, 32, 3, 3}, true)}));
  table.add(entry("valid", {}, {images({1, 2, 4, 5}, {3, 2, 3, 2}), images({2, 3, 2, 2}, {2, 3, 2, 2}, true)},
                  {images({2, 20, 30, 40}, {10, 20, 2, 3})}));
  table.add(entry("1x1", {}, {images({2, 3, 2, 3}, {4, 3, 1, 1}, true), images({1, 1, 1, 1}, {1, 1, 1, 1})},
                  {images({5, 33, 20, 11}, {50, 33, 1, 1}, true), images({3, 256, 8, 9}, {640, 256, 1, 1})}));
  table.add(entry("1x1 stride 2", {.stride = 2}, {images({2, 3, 3, 4}, {2, 3, 1, 1}, true)},
                  {images({3, 64, 17, 12}, {96, 64, 1, 1})}));
  table.add(entry("patches", {.stride = 3},
                  {images({2, 2, 6, 6}, {5, 2, 3, 3}, true), images({1, 3, 7, 8}, {2, 3, 3, 3})},
                  {images({9, 3, 33, 30}, {48, 3, 3, 3}, true)}));
  table.add(entry("7x7 stride 2", {.stride = 2, .padding = 3}, {images({1, 3, 9, 8}, {2, 3, 7, 7})},
                  {images({2, 3, 40, 30}, {24, 3, 7, 7}, true)}));
  table.add(entry("other strides", {.stride = {1, 3}, .padding = {2, 0}}, {images({1, 2, 4, 8}, {2, 2, 4, 2}, true)},
                  {images({2, 10, 40, 40}, {12, 10, 4, 2})}));
  table.add(entry("dilated", {.padding = {2, 1}, .dilation = {2, 3}}, {images({1, 2, 5, 7}, {2, 2, 3, 3}, true)},
                  {images({3, 16, 20, 24}, {16, 16, 3, 3})}));
  table.add(entry("dilated stride", {.stride = {2, 4}, .padding = 3, .dilation = {2, 2}},
                  {images({2, 2, 6, 9}, {3, 2, 3, 3}, true)}, {images({3, 8, 30, 41}, {9, 8, 3, 3})}));
  table.add(entry("taps in the padding alone", {.padding = 1, .dilation = 3},
                  {images({1, 2, 2, 2}, {3, 2, 2, 2}, true), images({2, 1, 2, 5}, {2, 1, 2, 3})}));
  table.add(entry("depthwise taps in the padding alone", {.padding = 1, .dilation = 3, .groups = 3},
                  {images({1, 3, 2, 2}, {3, 1, 2, 2}, true)}));
  table.add(entry("groups", {.padding = 1, .groups = 2},
                  {images({2, 4, 4, 3}, {6, 2, 3, 3}, true), images({1, 2, 2, 2}, {2, 1, 3, 3})},
                  {images({2, 32, 14, 13}, {32, 16, 3, 3}), images({2, 34, 14, 13}, {30, 17, 3, 3}, true)}));
  table.add(entry("depthwise", {.padding = 1, .groups = 5},
                  {images({2, 5, 4, 3}, {5, 1, 3, 3}, true), images({1, 5, 3, 3}, {10, 1, 3, 3})}));
  table.add(entry("depthwise wide", {.stride = 2, .padding = 2, .groups = 20}, {images({1, 20, 3, 3}, {20, 1, 5, 5})},
                  {images({4, 20, 30, 25}, {20, 1, 5, 5}, true)}));
  // Every number of channels per group that has kernels of its own, in whole vectors and with a rest, by taps with and
  // without loops of their own.
  table.add(entry("depthwise 3x3", {.padding = 1, .groups = 37}, {images({1, 37, 3, 3}, {37, 1, 3, 3})},
                  {images({3, 37, 9, 15}, {37, 1, 3, 3}, true)}));
  table.add(entry("depthwise 3x3 stride 2", {.stride = 2, .padding = 1, .groups = 37},
                  {images({1, 37, 4, 3}, {37, 1, 3, 3})}, {images({3, 37, 13, 20}, {37, 1, 3, 3}, true)}));
  table.add(entry("depthwise 5x5", {.padding = 2, .groups = 32}, {images({1, 32, 2, 3}, {32, 1, 5, 5})},
                  {images({2, 32, 11, 14}, {32, 1, 5, 5}, true)}));
  table.add(entry("depthwise 7x7", {.padding = 3, .groups = 17}, {images({1, 17, 1, 2}, {17, 1, 7, 7})},
                  {images({2, 17, 13, 15}, {17, 1, 7, 7})}));
  table.add(entry("depthwise 7x7 stride 2", {.stride = 2, .padding = 3, .groups = 17},
                  {images({1, 17, 2, 1}, {17, 1, 7, 7})}, {images({2, 17, 16, 15}, {17, 1, 7, 7})}));
  table.add(entry("depthwise dilated", {.padding = {4, 3}, .dilation = {2, 3}, .groups = 17},
                  {images({1, 17, 3, 2}, {17, 1, 3, 3})}, {images({2, 17, 9, 15}, {17, 1, 3, 3})}));
  table.add(entry("depthwise row", {.stride = {1, 3}, .padding = {0, 1}, .groups = 20},
                  {images({1, 20, 2, 4}, {20, 1, 1, 3})}, {images({2, 20, 3, 32}, {20, 1, 1, 3})}));
  for (const int64_t channels : {2, 4, 8}) {
    const int64_t groups = 20 / channels, all = groups * channels;
    const std::string name = concat("groups of ", channels);
    table.add(
        entry(name, {.padding = 1, .groups = groups},
              {images({1, all, 3, 2}, {all, channels, 3, 3}, true), images({1, all, 2, 1}, {all, channels, 2, 1})},
              {images({2, all, 9, 13}, {all, channels, 3, 3}, true)}));
    table.add(entry(name + " stride 2", {.stride = 2, .padding = 1, .groups = groups},
                    {images({1, all, 4, 3}, {all, channels, 3, 3})},
                    {images({2, all, 10, 19}, {all, channels, 3, 3}, true)}));
    table.add(entry(name + " many", {.padding = 2, .dilation = {1, 2}, .groups = 5 * groups},
                    {images({1, 5 * all, 1, 2}, {5 * all, channels, 3, 3})},
                    {images({2, 5 * all, 6, 9}, {5 * all, channels, 3, 3}, true)}));
  }
  table.add(entry("two outputs per group", {.padding = 1, .groups = 19}, {images({1, 19, 2, 3}, {38, 1, 3, 3}, true)},
                  {images({3, 19, 9, 13}, {38, 1, 3, 3})}));
  table.add(entry("two inputs per group", {.stride = 2, .padding = 1, .groups = 19},
                  {images({1, 38, 2, 3}, {19, 2, 3, 3}, true)}, {images({3, 38, 9, 13}, {19, 2, 3, 3})}));

  const Conv2dOptions same{.padding = 1}, halving{.stride = 2, .padding = 1};
  const Conv2dOptions groups{.padding = 1, .groups = 2}, depthwise{.padding = 1, .groups = 5};
  OpEntry act =
      fused("relu", same, true,
            {with_residual({2, 3, 5, 4}, {4, 3, 3, 3}, same),
             {uniform({1, 2, 4, 4}), uniform({3, 2, 3, 3}), {}},
             {channels_last({2, 2, 3, 3}), uniform({3, 2, 3, 3}), {}, strided(uniform({2, 3, 3, 3}))},
             with_residual({0, 3, 4, 4}, {2, 3, 3, 3}, same)},
            {with_residual({5, 16, 13, 11}, {16, 16, 3, 3}, same), with_residual({2, 64, 8, 8}, {24, 64, 3, 3}, same),
             with_residual({3, 130, 5, 4}, {128, 130, 3, 3}, same)});
  act.rejects = {
      {{uniform({1, 3, 8, 8}), uniform({2, 3, 3, 3}), {}, uniform({1, 2, 8, 7})},
       "[conv2d_act] expected a residual of the result's shape [1, 2, 8, 8], got [1, 2, 8, 7]"},
      {{uniform({1, 3, 8, 8}), uniform({2, 3, 3, 3}), {}, uniform({1, 2, 8, 8}).to(DType::kF32)},
       "[conv2d_act] expected a residual of the input's dtype f64, got f32"},
      {{uniform({1, 4, 8, 8}), uniform({2, 3, 3, 3}), {}},
       "[conv2d_act] expected input with 3 channels (weight is [2, 3, 3, 3]), got input [1, 4, 8, 8]"},
  };
  table.add(act);
  table.add(fused("without relu", halving, false, {with_residual({2, 3, 6, 7}, {2, 3, 3, 3}, halving)},
                  {with_residual({5, 16, 14, 12}, {32, 16, 3, 3}, halving)}));
  table.add(fused("groups", groups, true, {with_residual({2, 4, 4, 3}, {6, 2, 3, 3}, groups)},
                  {with_residual({2, 34, 14, 13}, {30, 17, 3, 3}, groups)}));
  table.add(fused("depthwise", depthwise, true, {with_residual({2, 5, 4, 3}, {5, 1, 3, 3}, depthwise)}));

  table.golden("conv2d", [](const Json& a, const Inputs& in) {
    const auto pair = [&](const char* key) { return Size2(a.at(key).at(0), a.at(key).at(1)); };
    return conv2d(in[0], in[1], in.size() > 2 ? in[2] : Tensor(),
                  {.stride = pair("stride"),
                   .padding = pair("padding"),
                   .dilation = pair("dilation"),
                   .groups = a.at("groups").get<int64_t>()});
  });
}

}  // namespace tern::test
