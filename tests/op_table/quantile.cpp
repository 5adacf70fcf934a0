#include <algorithm>
#include <cmath>

#include <tern/core/ops/quantile.h>

#include "op_table/op_table.h"
#include "op_table/over_axes.h"

namespace tern::test {
namespace {

double quantile_of(Terms v, double q, Interpolation how) {
  for (const double x : v)
    if (std::isnan(x)) return x;
  std::sort(v.begin(), v.end());
  const double t = q * static_cast<double>(v.size() - 1);
  const double low = v[static_cast<size_t>(std::floor(t))], high = v[static_cast<size_t>(std::ceil(t))];
  switch (how) {
    case Interpolation::kLinear:
      return low + (t - std::floor(t)) * (high - low);
    case Interpolation::kLower:
      return low;
    case Interpolation::kHigher:
      return high;
    case Interpolation::kMidpoint:
      return (low + high) / 2;
    case Interpolation::kNearest:
      return v[static_cast<size_t>(std::nearbyint(t))];
  }
  return NAN;
}

void add_quantiles(OpTable& table) {
  for (const Interpolation how : {Interpolation::kLinear, Interpolation::kLower, Interpolation::kHigher,
                                  Interpolation::kMidpoint, Interpolation::kNearest}) {
    for (const double q : {0.0, 0.3, 0.99, 1.0}) {
      table.add({
          .name = "quantile",
          .variant = concat(q, ", interpolation ", static_cast<int>(how)),
          .call = [=](const Inputs& in) { return quantile(in[0], q, {-1}, false, how); },
          .samples = samples(apart),
          .large = {{distinct({3, 40000}, 1e-4)}, {distinct({1100, 45})}},
          .reference =
              [=](const Arrays& in) {
                return over(in[0], {-1}, false, [=](const Terms& v) { return quantile_of(v, q, how); });
              },
          .rejects = {{{uniform({3})},
                       "[quantile] expected q in [0, 1], got 1.5",
                       [](const Inputs& in) { return quantile(in[0], 1.5); }},
                      {{uniform({0, 3})},
                       "[quantile] expected at least one element to reduce, got shape [0, 3]",
                       [](const Inputs& in) { return quantile(in[0], 0.5, {0}); }},
                      {{int_range({3})}, "[quantile] expected f32 or f64, got i64"}},
          .f64 = tol::kF64,
          .f32 = tol::kF32Sum,
      });
    }
  }
  for (const Dims& axes : {Dims{}, Dims{0}, Dims{0, -1}}) {
    table.add({
        .name = "quantile",
        .variant = concat("several, axes ", axes),
        .call =
            [=](const Inputs& in) {
              return quantile(in[0], std::vector<double>{0.1, 0.5, 0.77}, axes, true);
            },
        .samples = samples(apart),
        .reference =
            [=](const Arrays& in) {
              Array out;
              for (const double q : {0.1, 0.5, 0.77}) {
                const Array one =
                    over(in[0], axes, true, [=](const Terms& v) { return quantile_of(v, q, Interpolation::kLinear); });
                if (!out.defined) {
                  Shape shape = one.shape;
                  shape.insert(0, 3);
                  out = Array(shape);
                  out.v.clear();
                }
                out.v.insert(out.v.end(), one.v.begin(), one.v.end());
              }
              return out;
            },
        .rejects = {{{uniform({3})},
                     "[quantile] expected at least one q, got none",
                     [](const Inputs& in) { return quantile(in[0], std::vector<double>{}); }}},
        .f64 = tol::kF64,
        .f32 = tol::kF32Sum,
    });
  }
  table.add({
      .name = "quantile",
      .variant = "equal elements, zeros of both signs, infinities and NaN",
      .call = [](const Inputs& in) { return quantile(in[0], 0.4, {-1}); },
      .samples = {{values({5, 6}, {1,         2,         1,     -1,     2,        1,         //
                                   0,         -0.0,      0,     -0.0,   -1,       1,         //
                                   NAN,       1,         2,     3,      -NAN,     5,         //
                                   -INFINITY, -INFINITY, 1,     2,      INFINITY, INFINITY,  //
                                   1e-300,    -1e-300,   1e300, -1e300, 5,        -5})}},
      .reference =
          [](const Arrays& in) {
            return over(in[0], {-1}, false, [](const Terms& v) { return quantile_of(v, 0.4, Interpolation::kLinear); });
          },
      .differentiable = std::vector<size_t>{},
      .f64 = tol::kF64,
      .f32 = tol::kF32Sum,
  });
  table.add({
      .name = "median",
      .call = [](const Inputs& in) { return median(in[0], {-1}); },
      .samples = samples(apart),
      .reference =
          [](const Arrays& in) {
            return over(in[0], {-1}, false, [](const Terms& v) { return quantile_of(v, 0.5, Interpolation::kLower); });
          },
      .rejects = {{{uniform({2, 0})}, "[median] expected at least one element to reduce, got shape [2, 0]"}},
      .f64 = tol::kExact,
      .f32 = tol::kExact,
  });
}

}  // namespace

TERN_OP_FAMILY(quantile) {
  add_quantiles(table);
  table.golden("median",
               [](const Json& a, const Inputs& in) { return median(in[0], golden_axes(a), golden_keepdim(a)); });
  table.golden("quantile", [=](const Json& a, const Inputs& in) {
    const std::string name = a.at("interpolation");
    const Interpolation how = name == "linear"     ? Interpolation::kLinear
                              : name == "lower"    ? Interpolation::kLower
                              : name == "higher"   ? Interpolation::kHigher
                              : name == "midpoint" ? Interpolation::kMidpoint
                                                   : Interpolation::kNearest;
    if (a.at("q").is_array())
      return quantile(in[0], a.at("q").get<std::vector<double>>(), golden_axes(a), golden_keepdim(a), how);
    return quantile(in[0], a.at("q").get<double>(), golden_axes(a), golden_keepdim(a), how);
  });
}

}  // namespace tern::test
