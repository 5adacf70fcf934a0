#include <cmath>

#include <tern/core/ops/extreme.h>

#include "op_table/op_table.h"
#include "op_table/over_axes.h"

namespace tern::test {
namespace {

// Place of the first extreme.
double place_of(const Terms& v, bool largest) {
  size_t best = 0;
  for (size_t i = 1; i < v.size(); ++i) {
    if (std::isnan(v[best])) break;
    if (std::isnan(v[i]) || (largest ? v[i] > v[best] : v[i] < v[best])) best = i;
  }
  return static_cast<double>(best);
}

Tensor values_with_ties() {
  return values({4, 6}, {1,         2,         1,        -1,   2,        1,   //
                         0,         -0.0,      0,        -0.0, 0,        0,   //
                         3,         NAN,       2,        3,    NAN,      -5,  //
                         -INFINITY, -INFINITY, INFINITY, 2,    INFINITY, 0});
}

void add_with_places(OpTable& table) {
  for (const bool largest : {true, false}) {
    const char* name = largest ? "max" : "min";
    const auto extreme_of = largest ? largest_of : smallest_of;
    for (const int64_t axis : {0, 1, -1}) {
      for (const bool keepdim : {false, true}) {
        const auto reference = [=](const Arrays& in) {
          return Arrays{over(in[0], {axis}, keepdim, extreme_of),
                        over(in[0], {axis}, keepdim, [=](const Terms& v) { return place_of(v, largest); })};
        };
        const auto call = [=](const Tensor& x) { return largest ? max(x, axis, keepdim) : min(x, axis, keepdim); };
        const std::string variant = concat("axis ", axis, keepdim ? ", kept" : "");
        table.add({
            .name = name,
            .variant = variant,
            .call =
                [=](const Inputs& in) {
                  const ExtremeResult found = call(in[0]);
                  return std::pair(found.values, found.indices);
                },
            .samples = samples(apart),
            .large = large(apart),
            .reference = reference,
            .rejects = {{{uniform({2, 3})},
                         concat("[", name, "] expected an axis in [-2, 1], got 2"),
                         [=](const Inputs& in) { return (largest ? max(in[0], 2) : min(in[0], 2)).values; }},
                        {{uniform({2, 0})},
                         concat("[", name, "] expected at least one element along axis 1, got shape [2, 0]"),
                         [=](const Inputs& in) { return (largest ? max(in[0], 1) : min(in[0], 1)).values; }}},
            .f64 = tol::kExact,
            .f32 = tol::kExact,
        });
        const std::vector<Inputs> hard = {{values_with_ties()}, {integers({4, 5}, -2, 3)}, {mask({3, 70})}};
        table.add({
            .name = name,
            .variant = variant + ", ties, NaN and integers",
            .call =
                [=](const Inputs& in) {
                  const ExtremeResult found = call(in[0]);
                  return std::pair(found.values, found.indices);
                },
            .samples = hard,
            .reference = reference,
            .differentiable = std::vector<size_t>{},
            .f64 = tol::kExact,
            .f32 = tol::kExact,
        });
        table.add({
            .name = largest ? "argmax" : "argmin",
            .variant = variant,
            .call =
                [=](const Inputs& in) { return largest ? argmax(in[0], axis, keepdim) : argmin(in[0], axis, keepdim); },
            .samples = hard,
            .large = large(apart),
            .reference = [=](const Arrays& in) { return reference(in)[1]; },
            .differentiable = std::vector<size_t>{},
            .f64 = tol::kExact,
            .f32 = tol::kExact,
        });
      }
    }
    table.add({
        .name = largest ? "argmax" : "argmin",
        .variant = "all",
        .call = [=](const Inputs& in) { return largest ? argmax(in[0]) : argmin(in[0]); },
        .samples = samples(apart),
        .large = large(apart),
        .reference =
            [=](const Arrays& in) {
              return over(in[0], {}, false, [=](const Terms& v) { return place_of(v, largest); });
            },
        .rejects = {{{uniform({0})},
                     concat(largest ? "[argmax]" : "[argmin]", " expected at least one element, got ", "shape [0]")}},
        .differentiable = std::vector<size_t>{},
        .f64 = tol::kExact,
        .f32 = tol::kExact,
    });
    table.add({
        .name = name,
        .variant = "all",
        .call = [=](const Inputs& in) { return largest ? max(in[0]) : min(in[0]); },
        .samples = samples(apart),
        .reference = [=](const Arrays& in) { return over(in[0], {}, false, extreme_of); },
        .f64 = tol::kExact,
        .f32 = tol::kExact,
    });
  }
}

}  // namespace

TERN_OP_FAMILY(extreme) {
  add_with_places(table);
  const auto with_places = [](const ExtremeResult& r) { return GoldenRun({r.values}, {{"indices", r.indices}}); };
  table.golden("max_dim", [=](const Json& a, const Inputs& in) {
    return with_places(max(in[0], a.at("dim").get<int64_t>(), golden_keepdim(a)));
  });
  table.golden("min_dim", [=](const Json& a, const Inputs& in) {
    return with_places(min(in[0], a.at("dim").get<int64_t>(), golden_keepdim(a)));
  });
  table.golden("max", [](const Json&, const Inputs& in) { return max(in[0]); });
  table.golden("min", [](const Json&, const Inputs& in) { return min(in[0]); });
  const auto one_axis = [](const Json& a) {
    return a.contains("dim") ? std::optional<int64_t>(a.at("dim").get<int64_t>()) : std::nullopt;
  };
  table.golden("argmax",
               [=](const Json& a, const Inputs& in) { return argmax(in[0], one_axis(a), golden_keepdim(a)); });
  table.golden("argmin",
               [=](const Json& a, const Inputs& in) { return argmin(in[0], one_axis(a), golden_keepdim(a)); });
}

}  // namespace tern::test
