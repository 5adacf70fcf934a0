#include <cmath>

#include <tern/core/ops/pool.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

// Calls body(i, j) for the positions of x inside window (at[2], at[3]); returns how many positions of the window lie
// in x with its padding.
int64_t over_window(const Array& x, const Dims& at, Size2 kernel, Size2 stride, Size2 padding, Size2 dilation,
                    const std::function<void(int64_t, int64_t)>& body) {
  int64_t count = 0;
  for (int64_t u = 0; u < kernel.h; ++u)
    for (int64_t v = 0; v < kernel.w; ++v) {
      const int64_t i = at[2] * stride.h + u * dilation.h - padding.h;
      const int64_t j = at[3] * stride.w + v * dilation.w - padding.w;
      count += i < x.shape[2] + padding.h && j < x.shape[3] + padding.w;
      if (i >= 0 && j >= 0 && i < x.shape[2] && j < x.shape[3]) body(i, j);
    }
  return count;
}

int64_t pooled(int64_t size, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation, bool ceil_mode) {
  int64_t count = 0;  // windows that end inside input and padding, or start there
  for (int64_t first = -padding;; first += stride, ++count) {
    const int64_t last = first + dilation * (kernel - 1);
    if (last < size + padding) continue;
    if (!ceil_mode || first >= size || last >= size + padding + stride) return count;
  }
}

Array max_pooled(const Array& x, const MaxPool2dOptions& o) {
  const Size2 s{o.stride.h == 0 ? o.kernel_size.h : o.stride.h, o.stride.w == 0 ? o.kernel_size.w : o.stride.w};
  Array y(Shape{x.shape[0], x.shape[1],
                pooled(x.shape[2], o.kernel_size.h, s.h, o.padding.h, o.dilation.h, o.ceil_mode),
                pooled(x.shape[3], o.kernel_size.w, s.w, o.padding.w, o.dilation.w, o.ceil_mode)});
  for_each_index(y.shape, [&](const Dims& at) {
    double best = -INFINITY;
    over_window(x, at, o.kernel_size, s, o.padding, o.dilation, [&](int64_t i, int64_t j) {
      const double v = x(at[0], at[1], i, j);
      if (v > best || std::isnan(v)) best = v;
    });
    y.at(at) = best;
  });
  return y;
}

Array avg_pooled(const Array& x, const AvgPool2dOptions& o) {
  const Size2 s{o.stride.h == 0 ? o.kernel_size.h : o.stride.h, o.stride.w == 0 ? o.kernel_size.w : o.stride.w};
  Array y(Shape{x.shape[0], x.shape[1], pooled(x.shape[2], o.kernel_size.h, s.h, o.padding.h, 1, o.ceil_mode),
                pooled(x.shape[3], o.kernel_size.w, s.w, o.padding.w, 1, o.ceil_mode)});
  for_each_index(y.shape, [&](const Dims& at) {
    double sum = 0;
    int64_t inside = 0;
    const int64_t all = over_window(x, at, o.kernel_size, s, o.padding, 1, [&](int64_t i, int64_t j) {
      sum += x(at[0], at[1], i, j);
      ++inside;
    });
    y.at(at) = sum / static_cast<double>(o.count_include_pad ? all : inside);
  });
  return y;
}

Array adaptive(const Array& x, Size2 size) {
  Array y(Shape{x.shape[0], x.shape[1], size.h, size.w});
  for_each_index(y.shape, [&](const Dims& at) {
    double sum = 0;
    int64_t count = 0;
    for (int64_t i = at[2] * x.shape[2] / size.h; i * size.h < (at[2] + 1) * x.shape[2]; ++i)
      for (int64_t j = at[3] * x.shape[3] / size.w; j * size.w < (at[3] + 1) * x.shape[3]; ++j, ++count)
        sum += x(at[0], at[1], i, j);
    y.at(at) = sum / static_cast<double>(count);
  });
  return y;
}

Array adaptive_max(const Array& x, Size2 size) {
  Array y(Shape{x.shape[0], x.shape[1], size.h, size.w}, -INFINITY);
  for_each_index(y.shape, [&](const Dims& at) {
    for (int64_t i = at[2] * x.shape[2] / size.h; i * size.h < (at[2] + 1) * x.shape[2]; ++i)
      for (int64_t j = at[3] * x.shape[3] / size.w; j * size.w < (at[3] + 1) * x.shape[3]; ++j)
        y.at(at) = std::max(y.at(at), x(at[0], at[1], i, j));
  });
  return y;
}

OpEntry max_entry(const char* variant, const MaxPool2dOptions& o, std::vector<Inputs> samples,
                  std::vector<Inputs> large = {}) {
  return {
      .name = "max_pool2d",
      .variant = variant,
      .call = [o](const Inputs& in) { return max_pool2d(in[0], o); },
      .samples = std::move(samples),
      .large = std::move(large),
      .reference = [o](const Arrays& in) { return max_pooled(in[0], o); },
      .f64 = tol::kExact,
      .f32 = tol::kExact,
      .f32_gradient = tol::kF32Sum,
  };
}

OpEntry avg_entry(const char* variant, const AvgPool2dOptions& o, std::vector<Inputs> samples,
                  std::vector<Inputs> large = {}) {
  return {
      .name = "avg_pool2d",
      .variant = variant,
      .call = [o](const Inputs& in) { return avg_pool2d(in[0], o); },
      .samples = std::move(samples),
      .large = std::move(large),
      .reference = [o](const Arrays& in) { return avg_pooled(in[0], o); },
      .f64 = tol::kF64Sum,
      .f32 = tol::kF32Sum,
  };
}

}  // namespace

TERN_OP_FAMILY(pool) {
  OpEntry max = max_entry("2x2", {.kernel_size = 2},
                          {{distinct({2, 3, 4, 5})},
                           {channels_last(distinct({1, 5, 2, 2}))},
                           {distinct({0, 2, 4, 4})},
                           {strided(distinct({1, 2, 3, 3}))}},
                          {{distinct({6, 16, 33, 40}, 0.001)}, {channels_last(distinct({6, 16, 33, 40}, 0.001))}});
  max.rejects = {
      {{uniform({3, 4, 4})}, "[max_pool2d] expected an input of shape [N, C, H, W], got [3, 4, 4]"},
      {{int_range({1, 1, 4, 4})}, "[max_pool2d] expected f32 or f64, got i64"},
      {{uniform({1, 0, 4, 4})}, "[max_pool2d] expected sizes of at least 1 but for the batch, got input [1, 0, 4, 4]"},
      {{uniform({1, 3, 1, 4})},
       "[max_pool2d] expected an input that a window of kernel_size [2, 2] fits into, got [1, 3, 1, 4]"},
      {{uniform({1, 3, 4, 4})},
       "[max_pool2d] expected a padding of at most half the kernel_size [2, 2], got [2, 0]",
       [](const Inputs& in) {
         return max_pool2d(in[0], {.kernel_size = 2, .padding = {2, 0}});
       }},
      {{uniform({1, 3, 4, 4})},
       "[max_pool2d] expected a padding of at least 0, got [-1, -1]",
       [](const Inputs& in) { return max_pool2d(in[0], {.padding = -1}); }},
      {{uniform({1, 3, 4, 4})},
       "[max_pool2d] expected a kernel_size of at least 1, got [0, 2]",
       [](const Inputs& in) {
         return max_pool2d(in[0], {.kernel_size = {0, 2}, .stride = 1});
       }},
      {{uniform({1, 3, 4, 4})},
       "[max_pool2d] expected a stride of at least 1, got [-2, -2]",
       [](const Inputs& in) { return max_pool2d(in[0], {.stride = -2}); }},
      {{uniform({1, 3, 4, 4})},
       "[max_pool2d] expected a dilation of at least 1, got [0, 0]",
       [](const Inputs& in) { return max_pool2d(in[0], {.dilation = 0}); }},
  };
  table.add(max);
  table.add(max_entry("3x3 stride 2 padded", {.kernel_size = 3, .stride = 2, .padding = 1},
                      {{distinct({1, 2, 6, 5})}, {channels_last(distinct({2, 3, 3, 4}))}, {distinct({1, 1, 1, 1})}}));
  table.add(max_entry("dilated", {.kernel_size = {3, 2}, .stride = 1, .padding = {1, 0}, .dilation = {2, 3}},
                      {{distinct({2, 2, 6, 5})}, {channels_last(distinct({1, 3, 5, 7}))}}));
  table.add(max_entry("ceil mode", {.kernel_size = 3, .stride = 2, .padding = 1, .ceil_mode = true},
                      {{distinct({1, 2, 6, 5})}, {distinct({1, 1, 2, 4})}}));

  OpEntry avg = avg_entry("3x3 stride 2 padded", {.kernel_size = 3, .stride = 2, .padding = 1},
                          {{uniform({2, 3, 6, 5})}, {channels_last({1, 5, 3, 4})}, {uniform({0, 2, 4, 4})}},
                          {{uniform({6, 16, 33, 40})}, {channels_last({6, 16, 33, 40})}});
  avg.rejects = {
      {{uniform({4, 4})}, "[avg_pool2d] expected an input of shape [N, C, H, W], got [4, 4]"},
      {{mask({1, 1, 4, 4})}, "[avg_pool2d] expected f32 or f64, got u8"},
      {{uniform({1, 3, 4, 4})},
       "[avg_pool2d] expected an input that a window of kernel_size [5, 5] fits into, got [1, 3, 4, 4]",
       [](const Inputs& in) { return avg_pool2d(in[0], {.kernel_size = 5}); }},
      {{uniform({1, 3, 4, 4})},
       "[avg_pool2d] expected a padding of at most half the kernel_size [2, 2], got [2, 2]",
       [](const Inputs& in) { return avg_pool2d(in[0], {.kernel_size = 2, .padding = 2}); }},
  };
  table.add(avg);
  table.add(avg_entry("padding not counted",
                      {.kernel_size = {3, 2}, .stride = {1, 2}, .padding = 1, .count_include_pad = false},
                      {{uniform({1, 2, 4, 5})}, {channels_last({2, 3, 3, 4})}}));
  table.add(avg_entry("ceil mode", {.kernel_size = 3, .stride = 2, .padding = 1, .ceil_mode = true},
                      {{uniform({1, 2, 6, 5})}, {uniform({1, 1, 2, 4})}}));
  table.add(avg_entry("ceil mode, padding not counted",
                      {.kernel_size = 2, .ceil_mode = true, .count_include_pad = false}, {{uniform({1, 2, 5, 4})}}));

  table.add({
      .name = "adaptive_avg_pool2d",
      .call =
          [](const Inputs& in) {
            return adaptive_avg_pool2d(in[0], {3, 2});
          },
      .samples = {{uniform({2, 3, 6, 4})},
                  {uniform({1, 2, 7, 5})},
                  {channels_last({1, 3, 2, 1})},
                  {strided(uniform({1, 2, 5, 3}))}},
      .large = {{channels_last({8, 24, 30, 20})}, {uniform({8, 24, 30, 20})}},
      .reference =
          [](const Arrays& in) {
            return adaptive(in[0], {3, 2});
          },
      .rejects = {{{uniform({3, 4, 4})},
                   "[adaptive_avg_pool2d] expected an input of shape [N, C, H, W], got [3, 4, 4]"},
                  {{uniform({1, 3, 4, 4})},
                   "[adaptive_avg_pool2d] expected an output_size of at least 1, got [0, 0]",
                   [](const Inputs& in) { return adaptive_avg_pool2d(in[0], 0); }}},
      .f64 = tol::kF64Sum,
      .f32 = tol::kF32Sum,
  });
  table.add({
      .name = "adaptive_max_pool2d",
      .call =
          [](const Inputs& in) {
            return adaptive_max_pool2d(in[0], {3, 2});
          },
      .samples = {{distinct({2, 3, 6, 4})},
                  {distinct({1, 2, 7, 5})},
                  {channels_last(distinct({1, 3, 2, 1}))},
                  {distinct({0, 2, 3, 3})},
                  {strided(distinct({1, 2, 5, 3}))}},
      .large = {{channels_last(distinct({8, 24, 30, 20}, 0.001))}, {distinct({8, 24, 30, 20}, 0.001)}},
      .reference =
          [](const Arrays& in) {
            return adaptive_max(in[0], {3, 2});
          },
      .rejects = {{{uniform({3, 4, 4})},
                   "[adaptive_max_pool2d] expected an input of shape [N, C, H, W], got [3, 4, 4]"},
                  {{uniform({1, 3, 4, 4})},
                   "[adaptive_max_pool2d] expected an output_size of at least 1, got [0, 0]",
                   [](const Inputs& in) { return adaptive_max_pool2d(in[0], 0); }}},
      .f64 = tol::kExact,
      .f32 = tol::kExact,
      .f32_gradient = tol::kF32Sum,
  });
  table.add({
      .name = "global_avg_pool",
      .call = [](const Inputs& in) { return global_avg_pool(in[0]); },
      .samples =
          {{uniform({2, 3, 4, 5})}, {channels_last({3, 5, 2, 2})}, {uniform({1, 2, 1, 1})}, {uniform({0, 3, 2, 2})}},
      .large = {{channels_last({40, 64, 8, 8})}, {uniform({40, 64, 8, 8})}},
      .reference =
          [](const Arrays& in) {
            Array y = adaptive(in[0], 1);
            y.shape = {in[0].shape[0], in[0].shape[1]};
            return y;
          },
      .rejects = {{{uniform({3, 4})}, "[global_avg_pool] expected an input of shape [N, C, H, W], got [3, 4]"},
                  {{int_range({1, 1, 2, 2})}, "[global_avg_pool] expected f32 or f64, got i64"}},
      .f64 = tol::kF64Sum,
      .f32 = tol::kF32Sum,
  });
  table.add({
      .name = "shortcut_a",
      .call = [](const Inputs& in) { return shortcut_a(in[0], 7, 2); },
      .samples =
          {{uniform({2, 3, 4, 5})}, {channels_last({1, 4, 3, 2})}, {uniform({1, 7, 1, 1})}, {uniform({0, 2, 2, 2})}},
      .large = {{channels_last({30, 5, 32, 32})}, {uniform({30, 5, 32, 32})}},
      .reference =
          [](const Arrays& in) {
            const Shape& s = in[0].shape;
            const int64_t before = (7 - s[1]) / 2;
            Array y(Shape{s[0], 7, (s[2] + 1) / 2, (s[3] + 1) / 2});
            for_each_index(y.shape, [&](const Dims& at) {
              if (at[1] >= before && at[1] < before + s[1])
                y.at(at) = in[0](at[0], at[1] - before, 2 * at[2], 2 * at[3]);
            });
            return y;
          },
      .rejects = {{{uniform({1, 8, 4, 4})},
                   "[shortcut_a] expected at least the input's 8 channels, got out_channels 7"},
                  {{uniform({1, 8, 4, 4})},
                   "[shortcut_a] expected a stride of at least 1, got 0",
                   [](const Inputs& in) { return shortcut_a(in[0], 16, 0); }},
                  {{uniform({8, 4, 4})}, "[shortcut_a] expected an input of shape [N, C, H, W], got [8, 4, 4]"}},
      .f64 = tol::kExact,
      .f32 = tol::kExact,
  });

  const auto pair = [](const Json& a, const char* key) { return Size2(a.at(key).at(0), a.at(key).at(1)); };
  table.golden("max_pool2d", [=](const Json& a, const Inputs& in) {
    return max_pool2d(in[0], {.kernel_size = pair(a, "kernel_size"),
                              .stride = pair(a, "stride"),
                              .padding = pair(a, "padding"),
                              .dilation = pair(a, "dilation"),
                              .ceil_mode = a.at("ceil_mode").get<bool>()});
  });
  table.golden("avg_pool2d", [=](const Json& a, const Inputs& in) {
    return avg_pool2d(in[0], {.kernel_size = pair(a, "kernel_size"),
                              .stride = pair(a, "stride"),
                              .padding = pair(a, "padding"),
                              .ceil_mode = a.at("ceil_mode").get<bool>(),
                              .count_include_pad = a.at("count_include_pad").get<bool>()});
  });
  table.golden("adaptive_avg_pool2d",
               [=](const Json& a, const Inputs& in) { return adaptive_avg_pool2d(in[0], pair(a, "output_size")); });
  table.golden("adaptive_max_pool2d",
               [=](const Json& a, const Inputs& in) { return adaptive_max_pool2d(in[0], pair(a, "output_size")); });
  table.golden("global_avg_pool", [](const Json&, const Inputs& in) { return global_avg_pool(in[0]); });
}

}  // namespace tern::test
