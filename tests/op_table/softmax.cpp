#include <cmath>

#include <tern/core/ops/softmax.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

Array softmax_of(const Array& x, int64_t axis, bool logarithm) {
  const int64_t a = axis < 0 ? axis + x.dim() : axis;
  Array out(x.shape);
  if (x.dim() == 0) {
    out.v[0] = logarithm ? 0 : 1;
    return out;
  }
  Shape lines = x.shape;
  lines[a] = 1;
  for_each_index(lines, [&](const Dims& line) {
    Dims at = line;
    double top = -HUGE_VAL, sum = 0;
    for (at[a] = 0; at[a] < x.shape[a]; ++at[a]) top = std::max(top, x.at(at));
    for (at[a] = 0; at[a] < x.shape[a]; ++at[a]) sum += std::exp(x.at(at) - top);
    for (at[a] = 0; at[a] < x.shape[a]; ++at[a])
      out.at(at) = logarithm ? x.at(at) - top - std::log(sum) : std::exp(x.at(at) - top) / sum;
  });
  return out;
}

}  // namespace

TERN_OP_FAMILY(softmax) {
  const Inputs masked = {values({2, 5}, {1, -HUGE_VAL, 0.5, 2, -HUGE_VAL, -HUGE_VAL, 3, -1, -HUGE_VAL, 0})};
  for (const int64_t axis : {-1, 0, 1}) {
    for (const bool logarithm : {false, true}) {
      table.add({
          .name = logarithm ? "log_softmax" : "softmax",
          .variant = "axis " + std::to_string(axis),
          .call = [=](const Inputs& in) { return logarithm ? log_softmax(in[0], axis) : softmax(in[0], axis); },
          .samples = {{uniform({3, 4}, -3, 3)},
                      {uniform({2, 37}, -5, 5)},
                      {uniform({2, 5, 3}, -1, 1)},
                      {channels_last(uniform({2, 3, 2, 2}, -2, 2))},
                      {strided(uniform({3, 5}))},
                      {permuted(uniform({4, 3}))},
                      {uniform({1, 1})},
                      {uniform({0, 3})}},
          .large = {{uniform({70, 700}, -20, 20)}, {uniform({3, 500, 41}, -20, 20)}, {uniform({2, 9000}, -50, 50)}},
          .reference = [=](const Arrays& in) { return softmax_of(in[0], axis, logarithm); },
          .rejects = {{{int_range({3, 4})},
                       concat(logarithm ? "[log_softmax]" : "[softmax]", " expected f32 or f64, got i64")},
                      {{uniform({3})},
                       concat(logarithm ? "[log_softmax]" : "[softmax]", " expected an axis in [-1, 0], got 3"),
                       [=](const Inputs& in) { return logarithm ? log_softmax(in[0], 3) : softmax(in[0], 3); }}},
          .f64 = tol::kF64Sum,
          .f32 = tol::kF32Function,
          .f32_gradient = tol::kF32Sum,
          .keeps_format = true,
      });
    }
  }
  table.add({
      .name = "softmax",
      .variant = "masked by minus infinity",
      .call = [](const Inputs& in) { return softmax(in[0], -1); },
      .samples = {masked},
      .reference = [](const Arrays& in) { return softmax_of(in[0], -1, false); },
      .avoid = [](const Arrays& in) { return Arrays{map(in[0], [](double v) { return std::isinf(v); })}; },
      .f64 = tol::kF64Sum,
      .f32 = tol::kF32Function,
  });

  table.add({
      .name = "softmin",
      .call = [](const Inputs& in) { return softmin(in[0], 1); },
      .samples = {{uniform({3, 4}, -3, 3)}, {channels_last(uniform({2, 3, 2, 2}, -2, 2))}, {strided(uniform({3, 5}))}},
      .large = {{uniform({70, 700}, -20, 20)}},
      .reference = [](const Arrays& in) { return softmax_of(map(in[0], [](double v) { return -v; }), 1, false); },
      .rejects = {{{int_range({3, 4})}, "[softmin] expected f32 or f64, got i64"},
                  {{uniform({3})}, "[softmin] expected an axis in [-1, 0], got 1"}},
      .f64 = tol::kF64Sum,
      .f32 = tol::kF32Function,
      .f32_gradient = tol::kF32Sum,
      .keeps_format = true,
  });

  table.golden("softmin", [](const Json& a, const Inputs& in) { return softmin(in[0], a.at("dim")); });
  table.golden("softmax", [](const Json& a, const Inputs& in) { return softmax(in[0], a.at("dim")); });
  table.golden("log_softmax", [](const Json& a, const Inputs& in) { return log_softmax(in[0], a.at("dim")); });
}

}  // namespace tern::test
