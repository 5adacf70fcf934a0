#include <algorithm>
#include <cmath>

#include <tern/core/ops/pool1d.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

// Of window i of each line, first(i) .. last(i), dilated: the largest value or the sum of what lies inside over
// divisor(i).
struct Window {
  int64_t first = 0, last = 0, dilation = 1, divisor = 1;
};
Array pooled(const Array& x, int64_t windows, bool largest, const std::function<Window(int64_t)>& window) {
  Array y(Shape{x.shape[0], x.shape[1], windows}, largest ? -INFINITY : 0.0);
  for_each_index(y.shape, [&](const Dims& at) {
    const Window w = window(at[2]);
    for (int64_t i = w.first; i <= w.last; i += w.dilation) {
      if (i < 0 || i >= x.shape[2]) continue;
      const double v = x(at[0], at[1], i);
      y.at(at) = largest ? std::max(y.at(at), v) : y.at(at) + v / static_cast<double>(w.divisor);
    }
  });
  return y;
}

Array covered(const Array& x, int64_t windows, bool largest) {
  const int64_t length = x.shape[2];
  return pooled(x, windows, largest, [=](int64_t i) {
    const int64_t first = i * length / windows, end = ((i + 1) * length + windows - 1) / windows;
    return Window{first, end - 1, 1, end - first};
  });
}

OpEntry entry(const char* name, OpFunction call, Reference reference, std::vector<Reject> rejects, bool largest) {
  const auto sample = [&](const Shape& shape) { return largest ? distinct(shape, 0.01) : uniform(shape); };
  return {
      .name = name,
      .call = std::move(call),
      .samples = {{sample({2, 3, 8})},
                  {permuted(sample({1, 2, 5}))},
                  {sample({0, 2, 4})},
                  {strided(sample({1, 1, 6}))}},
      .large = {{sample({20, 30, 50})}},
      .reference = std::move(reference),
      .rejects = std::move(rejects),
      .f64 = tol::kF64Sum,
      .f32 = tol::kF32Sum,
  };
}

}  // namespace

TERN_OP_FAMILY(pool1d) {
  const MaxPool1dOptions max{.kernel_size = 3, .stride = 2, .padding = 1};
  table.add(entry(
      "max_pool1d", [=](const Inputs& in) { return max_pool1d(in[0], max); },
      [](const Arrays& in) {
        return pooled(in[0], (in[0].shape[2] - 1) / 2 + 1, true, [](int64_t i) {
          return Window{2 * i - 1, 2 * i + 1, 1, 1};
        });
      },
      {{{uniform({3, 4})}, "[max_pool1d] expected an input of shape [N, C, L], got [3, 4]"},
       {{uniform({1, 3, 4})},
        "[max_pool2d] expected an input that a window of kernel_size [1, 9] fits into, got [1, 3, 1, 4]",
        [](const Inputs& in) { return max_pool1d(in[0], {.kernel_size = 9}); }}},
      true));
  const AvgPool1dOptions avg{.kernel_size = 3, .stride = 1, .padding = 1, .count_include_pad = false};
  table.add(entry(
      "avg_pool1d", [=](const Inputs& in) { return avg_pool1d(in[0], avg); },
      [](const Arrays& in) {
        const int64_t length = in[0].shape[2];
        return pooled(in[0], length, false, [=](int64_t i) {
          return Window{i - 1, i + 1, 1, std::min(i + 1, length - 1) - std::max<int64_t>(i - 1, 0) + 1};
        });
      },
      {{{uniform({3, 4})}, "[avg_pool1d] expected an input of shape [N, C, L], got [3, 4]"}}, false));
  table.add(entry(
      "adaptive_avg_pool1d", [](const Inputs& in) { return adaptive_avg_pool1d(in[0], 3); },
      [](const Arrays& in) { return covered(in[0], 3, false); },
      {{{uniform({3, 4})}, "[adaptive_avg_pool1d] expected an input of shape [N, C, L], got [3, 4]"}}, false));
  table.add(entry(
      "adaptive_max_pool1d", [](const Inputs& in) { return adaptive_max_pool1d(in[0], 3); },
      [](const Arrays& in) { return covered(in[0], 3, true); },
      {{{uniform({3, 4})}, "[adaptive_max_pool1d] expected an input of shape [N, C, L], got [3, 4]"}}, true));

  table.golden("max_pool1d", [](const Json& a, const Inputs& in) {
    return max_pool1d(in[0], {.kernel_size = a.at("kernel_size"),
                              .stride = a.at("stride"),
                              .padding = a.at("padding"),
                              .dilation = a.at("dilation"),
                              .ceil_mode = a.at("ceil_mode")});
  });
  table.golden("avg_pool1d", [](const Json& a, const Inputs& in) {
    return avg_pool1d(in[0], {.kernel_size = a.at("kernel_size"),
                              .stride = a.at("stride"),
                              .padding = a.at("padding"),
                              .ceil_mode = a.at("ceil_mode"),
                              .count_include_pad = a.at("count_include_pad")});
  });
  table.golden("adaptive_avg_pool1d",
               [](const Json& a, const Inputs& in) { return adaptive_avg_pool1d(in[0], a.at("output_size")); });
  table.golden("adaptive_max_pool1d",
               [](const Json& a, const Inputs& in) { return adaptive_max_pool1d(in[0], a.at("output_size")); });
}

}  // namespace tern::test
