#include <algorithm>
#include <cmath>
#include <numeric>

#include <tern/core/ops/sort.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

// The first k in order along an axis (all for -1): values and indices.
Arrays in_order(const Array& x, int64_t wanted_axis, int64_t wanted_k, bool descending) {
  const int64_t axis = wanted_axis < 0 ? wanted_axis + x.dim() : wanted_axis;
  Shape shape = x.shape, lines = x.shape;
  const int64_t n = x.shape[axis], k = wanted_k < 0 ? n : wanted_k;
  shape[axis] = k;
  lines[axis] = std::min<int64_t>(n, 1);
  Array sorted(shape), where(shape);
  for_each_index(lines, [&](const Dims& line) {
    Dims at = line;
    std::vector<double> v;
    for (at[axis] = 0; at[axis] < n; ++at[axis]) v.push_back(x.at(at));
    std::vector<int64_t> order(v.size());
    std::iota(order.begin(), order.end(), 0);
    std::stable_sort(order.begin(), order.end(), [&](int64_t i, int64_t j) {
      const double a = v[static_cast<size_t>(descending ? j : i)], b = v[static_cast<size_t>(descending ? i : j)];
      return std::isnan(b) ? !std::isnan(a) : a < b;
    });
    for (at[axis] = 0; at[axis] < k; ++at[axis]) {
      where.at(at) = static_cast<double>(order[static_cast<size_t>(at[axis])]);
      sorted.at(at) = v[static_cast<size_t>(order[static_cast<size_t>(at[axis])])];
    }
  });
  return {sorted, where};
}

std::pair<Tensor, Tensor> both(const SortResult& r) {
  return {r.values, r.indices};
}

}  // namespace

TERN_OP_FAMILY(sort) {
  const std::vector<Inputs> samples = {{distinct({4, 5})},
                                       {distinct({3, 2, 4})},
                                       {strided(distinct({6, 3}))},
                                       {permuted(distinct({3, 4}))},
                                       {channels_last(distinct({2, 3, 2, 3}))},
                                       {distinct({3, 1})}};
  for (const bool descending : {false, true}) {
    for (const int64_t axis : {-1, 0}) {
      const std::string variant = concat(descending ? "descending" : "ascending", ", axis ", axis);
      table.add({
          .name = "sort",
          .variant = variant,
          .call = [=](const Inputs& in) { return both(sort(in[0], axis, descending)); },
          .samples = samples,
          .large = {{distinct({70, 90})}, {distinct({3, 5000})}},
          .reference = [=](const Arrays& in) { return in_order(in[0], axis, -1, descending); },
          .rejects = {{{uniform({3})},
                       "[sort] expected an axis in [-1, 0], got 1",
                       [](const Inputs& in) { return sort(in[0], 1).values; }}},
          .f64 = tol::kExact,
          .f32 = tol::kExact,
      });
      table.add({
          .name = "argsort",
          .variant = variant,
          .call = [=](const Inputs& in) { return argsort(in[0], axis, descending); },
          .samples = samples,
          .reference = [=](const Arrays& in) { return in_order(in[0], axis, -1, descending)[1]; },
          .differentiable = std::vector<size_t>{},
          .f64 = tol::kExact,
          .f32 = tol::kExact,
      });
      table.add({
          .name = "topk",
          .variant = concat(descending ? "largest" : "smallest", ", axis ", axis),
          .call = [=](const Inputs& in) { return both(topk(in[0], 2, axis, descending)); },
          .samples = {{distinct({4, 5})}, {strided(distinct({6, 3}))}, {channels_last(distinct({2, 3, 2, 3}))}},
          .large = {{distinct({70, 90})}, {distinct({3, 5000})}},
          .reference = [=](const Arrays& in) { return in_order(in[0], axis, 2, descending); },
          .rejects = {{{uniform({1, 1})},
                       concat("[topk] expected k in [0, 1] (axis ", axis < 0 ? 1 : 0, " of [1, 1]), got 2")}},
          .f64 = tol::kExact,
          .f32 = tol::kExact,
      });
    }
  }
  table.add({
      .name = "topk",
      .variant = "many",
      .call = [](const Inputs& in) { return both(topk(in[0], 40)); },
      .samples = {{distinct({2, 50})}, {strided(distinct({41}))}},
      .reference = [](const Arrays& in) { return in_order(in[0], -1, 40, true); },
      .f64 = tol::kExact,
      .f32 = tol::kExact,
  });
  for (const bool descending : {false, true}) {
    table.add({
        .name = "sort",
        .variant = concat("equal elements and NaN", descending ? ", descending" : ""),
        .call = [=](const Inputs& in) { return both(sort(in[0], 0, descending)); },
        .samples = {{values({7}, {1, 2, 1, -1, 2, 1, -1})},
                    {values({6}, {NAN, 3, -INFINITY, NAN, INFINITY, 3})},
                    {integers({20}, 0, 4)}},
        .reference = [=](const Arrays& in) { return in_order(in[0], 0, -1, descending); },
        .differentiable = std::vector<size_t>{},
        .f64 = tol::kExact,
        .f32 = tol::kExact,
    });
    table.add({
        .name = "topk",
        .variant = concat("equal elements and NaN", descending ? ", largest" : ""),
        .call = [=](const Inputs& in) { return both(topk(in[0], 4, 0, descending)); },
        .samples = {{values({7}, {1, 2, 1, -1, 2, 1, -1})},
                    {values({6}, {NAN, 3, -INFINITY, NAN, INFINITY, 3})},
                    {integers({20}, 0, 4)}},
        .reference = [=](const Arrays& in) { return in_order(in[0], 0, 4, descending); },
        .differentiable = std::vector<size_t>{},
        .f64 = tol::kExact,
        .f32 = tol::kExact,
    });
  }

  const auto golden = [](const SortResult& r) { return GoldenRun({r.values}, {{"indices", r.indices}}); };
  table.golden("sort",
               [=](const Json& a, const Inputs& in) { return golden(sort(in[0], a.at("dim"), a.at("descending"))); });
  table.golden("topk", [=](const Json& a, const Inputs& in) {
    return golden(topk(in[0], a.at("k"), a.at("dim"), a.at("largest")));
  });
  table.golden("topk_values", [](const Json& a, const Inputs& in) {
    return topk(in[0], a.at("k"), a.at("dim"), a.at("largest")).values;
  });
}

}  // namespace tern::test
