#include <algorithm>
#include <cmath>

#include <tern/core/ops/resample.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

using Mode = InterpolationMode;

double cubic(double d) {  // Keys' kernel with a = -0.75
  const double a = -0.75;
  d = std::abs(d);
  if (d <= 1) return (a + 2) * d * d * d - (a + 3) * d * d + 1;
  return d < 2 ? a * (d * d * d - 5 * d * d + 8 * d - 4) : 0;
}

// The weight of position k of the input, continued beyond its borders, in position i of the result.
double weight(Mode mode, double at, int64_t k) {
  const double d = at - static_cast<double>(k);
  if (mode == Mode::kNearest) return d >= 0 && d < 1;
  return mode == Mode::kBilinear ? std::max(1 - std::abs(d), 0.0) : cubic(d);
}

Array interpolated(const Array& x, const InterpolateOptions& o) {
  Shape shape = x.shape;
  double ratio[2] = {}, half = o.mode == Mode::kNearest || o.align_corners ? 0 : 0.5;
  for (int64_t a = 0; a < 2; ++a) {
    const double in = static_cast<double>(x.shape[2 + a]);
    const double factor = !o.scale_factor ? 0 : a == 0 ? o.scale_factor->h : o.scale_factor->w;
    shape[2 + a] = o.size ? (a == 0 ? o.size->h : o.size->w) : static_cast<int64_t>(std::floor(in * factor));
    const double out = static_cast<double>(shape[2 + a]);
    ratio[a] = o.scale_factor ? 1 / factor : in / out;
    if (o.align_corners) ratio[a] = out > 1 ? (in - 1) / (out - 1) : 0;
  }
  Array y(shape);
  for_each_index(shape, [&](const Dims& at) {
    double place[2];
    for (int64_t a = 0; a < 2; ++a) {
      place[a] = ratio[a] * (static_cast<double>(at[2 + a]) + half) - half;
      if (o.mode == Mode::kBilinear) place[a] = std::max(place[a], 0.0);
    }
    const auto first = [&](int64_t a) { return static_cast<int64_t>(std::floor(place[a])) - 2; };
    for (int64_t u = first(0); u < first(0) + 6; ++u)
      for (int64_t v = first(1); v < first(1) + 6; ++v)
        y.at(at) +=
            weight(o.mode, place[0], u) * weight(o.mode, place[1], v) *
            x(at[0], at[1], std::clamp<int64_t>(u, 0, x.shape[2] - 1), std::clamp<int64_t>(v, 0, x.shape[3] - 1));
  });
  return y;
}

OpEntry entry(const char* variant, const InterpolateOptions& o, std::vector<Inputs> samples,
              std::vector<Inputs> large = {}) {
  return {
      .name = "interpolate",
      .variant = variant,
      .call = [o](const Inputs& in) { return interpolate(in[0], o); },
      .samples = std::move(samples),
      .large = std::move(large),
      .reference = [o](const Arrays& in) { return interpolated(in[0], o); },
      .f64 = tol::kF64Sum,
      .f32 = tol::kF32Sum,
  };
}

// The pixel of an axis of `size` that stands at position i, outside too.
int64_t mirrored(int64_t i, int64_t size) {
  while (i < 0 || i >= size) i = i < 0 ? -i : 2 * (size - 1) - i;
  return i;
}
int64_t repeated(int64_t i, int64_t size) {
  return std::clamp<int64_t>(i, 0, size - 1);
}

Array padded(const Array& x, const Sides& p, int64_t (*source)(int64_t, int64_t)) {
  Array y(Shape{x.shape[0], x.shape[1], x.shape[2] + p.top + p.bottom, x.shape[3] + p.left + p.right});
  for_each_index(y.shape, [&](const Dims& at) {
    y.at(at) = x(at[0], at[1], source(at[2] - p.top, x.shape[2]), source(at[3] - p.left, x.shape[3]));
  });
  return y;
}

}  // namespace

TERN_OP_FAMILY(resample) {
  const std::vector<Inputs> samples{{uniform({2, 3, 4, 5})},
                                    {channels_last({1, 5, 3, 2})},
                                    {uniform({0, 2, 3, 3})},
                                    {strided(uniform({1, 2, 2, 3}))},
                                    {uniform({1, 1, 1, 1})}};
  const std::vector<Inputs> large{{uniform({2, 9, 30, 17})}, {channels_last({2, 20, 17, 12})}};
  OpEntry nearest = entry("nearest, twice", {.scale_factor = 2}, samples, large);
  const auto with = [](const InterpolateOptions& o) { return [o](const Inputs& in) { return interpolate(in[0], o); }; };
  nearest.rejects = {
      {{uniform({3, 4, 4})}, "[interpolate] expected an input of shape [N, C, H, W], got [3, 4, 4]"},
      {{int_range({1, 1, 4, 4})}, "[interpolate] expected f32 or f64, got i64"},
      {{uniform({1, 2, 0, 4})}, "[interpolate] expected sizes of at least 1 but for the batch, got input [1, 2, 0, 4]"},
      {{uniform({1, 1, 4, 4})}, "[interpolate] expected either a size or a scale_factor, got neither", with({})},
      {{uniform({1, 1, 4, 4})},
       "[interpolate] expected either a size or a scale_factor, got both",
       with({.size = 2, .scale_factor = 2})},
      {{uniform({1, 1, 4, 4})},
       "[interpolate] expected align_corners with bilinear or bicubic interpolation only, got it with nearest",
       with({.size = 2, .align_corners = true})},
      {{uniform({1, 1, 4, 4})},
       "[interpolate] expected a size of at least 1 and below 2^24, got [0, 2] from input [1, 1, 4, 4]",
       with({.size = Size2(0, 2)})},
      {{uniform({1, 1, 4, 4})},
       "[interpolate] expected a size of at least 1 and below 2^24, got [0, 0] from input [1, 1, 4, 4]",
       with({.scale_factor = 0.2})},
      {{uniform({1, 1, 4, 4})},
       "[interpolate] expected a scale_factor above 0, got [nan, 1]",
       with({.scale_factor = ScaleFactor(kNan, 1)})},
  };
  table.add(nearest);
  table.add(entry("nearest, to a size", {.size = Size2(3, 7)}, samples));
  table.add(entry("bilinear, twice", {.scale_factor = 2, .mode = Mode::kBilinear}, samples, large));
  table.add(entry("bilinear, to a size", {.size = Size2(3, 7), .mode = Mode::kBilinear}, samples));
  table.add(entry("bilinear, by fractions", {.scale_factor = ScaleFactor(1.6, 2.3), .mode = Mode::kBilinear}, samples));
  table.add(entry("bilinear, corners aligned", {.size = Size2(1, 6), .mode = Mode::kBilinear, .align_corners = true},
                  samples, large));
  table.add(entry("bicubic, twice", {.scale_factor = 2, .mode = Mode::kBicubic}, samples, large));
  table.add(entry("bicubic, to a size", {.size = Size2(3, 7), .mode = Mode::kBicubic}, samples));
  table.add(
      entry("bicubic, corners aligned", {.size = Size2(5, 4), .mode = Mode::kBicubic, .align_corners = true}, samples));

  const std::vector<Inputs> padding{{uniform({2, 3, 4, 3})}, {channels_last({1, 5, 3, 4})}, {uniform({0, 2, 3, 3})}};
  const Sides sides{2, 1, 0, 2};
  table.add({
      .name = "reflection_pad2d",
      .call = [=](const Inputs& in) { return reflection_pad2d(in[0], sides); },
      .samples = padding,
      .large = large,
      .reference = [=](const Arrays& in) { return padded(in[0], sides, mirrored); },
      .rejects = {{{uniform({3, 4, 4})}, "[reflection_pad2d] expected an input of shape [N, C, H, W], got [3, 4, 4]"},
                  {{int_range({1, 1, 4, 4})}, "[reflection_pad2d] expected f32 or f64, got i64"},
                  {{uniform({1, 1, 2, 4})},
                   "[reflection_pad2d] expected amounts from 0 to 3 on the left and right and to 1 at the top and "
                   "bottom, got [2, 1, 0, 2]"}},
      .f64 = tol::kF64Sum,
      .f32 = tol::kF32Sum,
  });
  table.add({
      .name = "replication_pad2d",
      .call = [=](const Inputs& in) { return replication_pad2d(in[0], sides); },
      .samples = {{uniform({2, 3, 4, 3})}, {channels_last({1, 5, 1, 2})}, {uniform({0, 2, 3, 3})}},
      .large = large,
      .reference = [=](const Arrays& in) { return padded(in[0], sides, repeated); },
      .rejects = {{{uniform({3, 4, 4})}, "[replication_pad2d] expected an input of shape [N, C, H, W], got [3, 4, 4]"},
                  {{uniform({1, 1, 2, 4})},
                   "[replication_pad2d] expected amounts from 0 to 16777216 on the left and right and to 16777216 at "
                   "the top and bottom, got [-1, -1, -1, -1]",
                   [](const Inputs& in) { return replication_pad2d(in[0], -1); }}},
      .f64 = tol::kF64Sum,
      .f32 = tol::kF32Sum,
  });

  table.golden("interpolate", [](const Json& a, const Inputs& in) {
    const std::string mode = a.at("mode");
    InterpolateOptions o{.mode = mode == "nearest"    ? Mode::kNearest
                                 : mode == "bilinear" ? Mode::kBilinear
                                                      : Mode::kBicubic,
                         .align_corners = a.at("align_corners")};
    if (a.contains("size")) o.size = Size2(a.at("size").at(0), a.at("size").at(1));
    if (a.contains("scale_factor")) {
      const auto& factor = a.at("scale_factor");
      o.scale_factor = factor.is_array() ? ScaleFactor(factor.at(0).get<double>(), factor.at(1).get<double>())
                                         : ScaleFactor(factor.get<double>());
    }
    return interpolate(in[0], o);
  });
  const auto golden_padding = [](const Json& a) {
    const auto& p = a.at("padding");
    return Sides(p.at(0), p.at(1), p.at(2), p.at(3));
  };
  table.golden("reflection_pad2d",
               [=](const Json& a, const Inputs& in) { return reflection_pad2d(in[0], golden_padding(a)); });
  table.golden("replication_pad2d",
               [=](const Json& a, const Inputs& in) { return replication_pad2d(in[0], golden_padding(a)); });
}

}  // namespace tern::test
