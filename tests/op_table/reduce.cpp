#include <algorithm>
#include <cmath>

#include <tern/core/ops/extreme.h>
#include <tern/core/ops/quantile.h>
#include <tern/core/ops/reduce.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

using Terms = std::vector<double>;

Dims all_or(const Dims& axes, int64_t dim) {
  Dims out;
  for (int64_t a = 0; a < dim; ++a) {
    bool wanted = axes.empty();
    for (const int64_t b : axes) wanted = wanted || (b < 0 ? b + dim : b) == a;
    if (wanted) out.push_back(a);
  }
  return out;
}

// f of the elements of each result, in row-major order.
Array over(const Array& x, const Dims& wanted, bool keepdim, const std::function<double(const Terms&)>& f) {
  const Dims axes = all_or(wanted, x.dim());
  const auto reduces = [&](int64_t a) { return std::find(axes.begin(), axes.end(), a) != axes.end(); };
  Shape shape, lines = x.shape;
  for (int64_t a = 0; a < x.dim(); ++a) {
    if (!reduces(a) || keepdim) shape.push_back(reduces(a) ? 1 : x.shape[a]);
    if (reduces(a)) lines[a] = 1;
  }
  Array out(shape);
  int64_t o = 0;
  for_each_index(lines, [&](const Dims& line) {
    Shape inside = x.shape;
    for (int64_t a = 0; a < x.dim(); ++a)
      if (!reduces(a)) inside[a] = 1;
    Terms terms;
    for_each_index(inside, [&](const Dims& at) {
      Dims place = at;
      for (int64_t a = 0; a < x.dim(); ++a) place[a] += line[a];
      terms.push_back(x.at(place));
    });
    out.v[static_cast<size_t>(o++)] = f(terms);
  });
  return out;
}

double sum_of(const Terms& v) {
  double s = 0;
  for (const double x : v) s += x;
  return s;
}
double mean_of(const Terms& v) {
  return sum_of(v) / static_cast<double>(v.size());
}
double variance_of(const Terms& v, int64_t correction) {
  const double m = mean_of(v);
  double s = 0;
  for (const double x : v) s += (x - m) * (x - m);
  return s / std::max(static_cast<double>(v.size()) - static_cast<double>(correction), 0.0);
}
double largest_of(const Terms& v) {
  double best = v[0];
  for (const double x : v) best = x > best || std::isnan(x) ? x : best;
  return best;
}
double smallest_of(const Terms& v) {
  double best = v[0];
  for (const double x : v) best = x < best || std::isnan(x) ? x : best;
  return best;
}
// Place of the first extreme.
double place_of(const Terms& v, bool largest) {
  size_t best = 0;
  for (size_t i = 1; i < v.size(); ++i) {
    if (std::isnan(v[best])) break;
    if (std::isnan(v[i]) || (largest ? v[i] > v[best] : v[i] < v[best])) best = i;
  }
  return static_cast<double>(best);
}
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

// Inputs that between them take every path: rows, columns, several axes, holes, sizes of 0 and 1.
std::vector<Inputs> samples(Tensor (*make)(const Shape&)) {
  return {{make({3, 4})},          {make({2, 3, 5})},        {make({2, 3, 2, 4})}, {channels_last(make({2, 5, 2, 3}))},
          {strided(make({3, 4}))}, {permuted(make({4, 3}))}, {make({1, 1})},       {make({5, 1})}};
}
Tensor usual(const Shape& shape) {
  return uniform(shape, -1, 2);
}
Tensor apart(const Shape& shape) {
  return distinct(shape);
}
std::vector<Inputs> large(Tensor (*make)(const Shape&)) {
  return {{make({1100, 45})}, {channels_last(make({3, 16, 40, 17}))}};
}

struct Reduction {
  const char* name;
  std::function<Tensor(const Tensor&, const Dims&, bool)> call;
  std::function<double(const Terms&)> value;
  Tensor (*make)(const Shape&) = usual;
  std::string variant = {};
  bool empty = true;  // defined over no elements
  size_t least = 0;   // elements below which the result is NaN
  bool takes_integers = false;
  std::optional<DType> dtype = {};
  Tolerance f64 = tol::kF64Sum, f32 = tol::kF32Sum;
};

void add_over_axes(OpTable& table, const Reduction& r) {
  struct Choice {
    Dims axes;
    bool keepdim;
  };
  for (const Choice& choice : {Choice{{}, false}, {{-1}, false}, {{0}, true}, {{0, -1}, false}}) {
    const auto call = r.call;
    const auto value = r.value;
    std::vector<Inputs> all = samples(r.make);
    if (r.empty) all.push_back({r.make({0, 3})});
    all.push_back({r.make({2, 0, 3})});
    if (!r.empty) all.pop_back();
    std::vector<Reject> rejects = {
        {{uniform({2, 3})},
         concat("[", r.name, "] expected an axis in [-2, 1], got 2"),
         [=](const Inputs& in) { return call(in[0], {2}, false); }},
        {{uniform({2, 3})}, concat("[", r.name, "] expected every axis once, got [0, -2]"), [=](const Inputs& in) {
           return call(in[0], {0, -2}, false);
         }}};
    if (!r.takes_integers)
      rejects.push_back({{int_range({3})},
                         concat("[", r.name, "] expected f32 or f64, got i64"),
                         [=](const Inputs& in) { return call(in[0], {}, false); }});
    if (!r.empty)
      rejects.push_back({{uniform({0, 3})},
                         concat("[", r.name, "] expected at least one element to reduce, got shape [0, 3]"),
                         [=](const Inputs& in) { return call(in[0], {0}, false); }});
    table.add({
        .name = r.name,
        .variant = concat(r.variant, "axes ", choice.axes, choice.keepdim ? ", kept" : ""),
        .call = [=](const Inputs& in) { return call(in[0], choice.axes, choice.keepdim); },
        .samples = all,
        .large = large(r.make),
        .reference = [=](const Arrays& in) { return over(in[0], choice.axes, choice.keepdim, value); },
        .avoid =
            [=, least = r.least](const Arrays& in) {
              size_t terms = 0;
              over(in[0], choice.axes, false, [&](const Terms& v) { return static_cast<double>(terms = v.size()); });
              return Arrays{Array(in[0].shape, terms < least ? 1 : 0)};
            },
        .rejects = rejects,
        .differentiable = r.dtype ? std::optional(std::vector<size_t>{}) : std::nullopt,
        .output_dtype = r.dtype,
        .f64 = r.f64,
        .f32 = r.f32,
    });
    if (r.takes_integers)
      table.add({
          .name = r.name,
          .variant = concat("integers, axes ", choice.axes, choice.keepdim ? ", kept" : ""),
          .call = [=](const Inputs& in) { return call(in[0], choice.axes, choice.keepdim); },
          .samples = {{integers({3, 4}, -3, 4)}, {mask({2, 3, 2})}, {strided(integers({3, 2}, -3, 4))}},
          .large = {{integers({900, 70}, 0, 2)}},
          .reference = [=](const Arrays& in) { return over(in[0], choice.axes, choice.keepdim, value); },
          .differentiable = std::vector<size_t>{},
          .f64 = tol::kExact,
          .f32 = tol::kExact,
      });
  }
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

TERN_OP_FAMILY(reduce) {
  const auto plain = [](auto op) {
    return [op](const Tensor& x, const Dims& axes, bool keepdim) -> Tensor { return op(x, axes, keepdim); };
  };
  add_over_axes(table, {.name = "sum", .call = plain(&sum), .value = sum_of, .takes_integers = true});
  add_over_axes(table, {.name = "mean", .call = plain(&mean), .value = mean_of});
  for (const int64_t correction : {0, 1}) {
    const auto value = [=](const Terms& v) { return variance_of(v, correction); };
    if (correction == 1)
      add_over_axes(table,
                    {.name = "var",
                     .call = [](const Tensor& x, const Dims& axes, bool keepdim) { return var(x, axes, 1, keepdim); },
                     .value = value,
                     .least = 2});
    table.add({
        .name = correction == 0 ? "var" : "stddev",
        .variant = concat("correction ", correction),
        .call = [=](const Inputs& in) { return correction == 0 ? var(in[0], {1}, 0) : stddev(in[0], {1}, 1); },
        .samples = {{uniform({3, 7})}, {channels_last({2, 5, 2, 3})}, {strided(uniform({2, 4}))}},
        .large = {{uniform({45, 1100}, 999, 1001)}, {uniform({3, 700, 16}, 999, 1001)}},
        .reference =
            [=](const Arrays& in) {
              return over(in[0], {1}, false, [=](const Terms& v) {
                return correction == 0 ? variance_of(v, 0) : std::sqrt(variance_of(v, 1));
              });
            },
        .rejects = {{{int_range({3, 2})},
                     concat(correction == 0 ? "[var]" : "[stddev]", " expected f32 or f64, got i64")}},
        .f64 = tol::kF64FarFromZero,
        .f32 = tol::kF32Sum,
        .f32_gradient = tol::kF32FarFromZero,
    });
  }
  const auto extremes = {std::pair("amax", true), std::pair("amin", false)};
  for (const auto& [name, largest] : extremes) {
    add_over_axes(table, {.name = name,
                          .call = largest ? plain(&amax) : plain(&amin),
                          .value = largest ? largest_of : smallest_of,
                          .make = apart,
                          .empty = false,
                          .takes_integers = true,
                          .f64 = tol::kExact,
                          .f32 = tol::kExact});
  }
  add_over_axes(table, {.name = "prod",
                        .call = plain(&prod),
                        .value =
                            [](const Terms& v) {
                              double p = 1;
                              for (const double x : v) p *= x;
                              return p;
                            },
                        .make = [](const Shape& shape) { return uniform(shape, 0.9, 1.1); },
                        .takes_integers = true});
  add_over_axes(table, {.name = "logsumexp",
                        .call = plain(&logsumexp),
                        .value =
                            [](const Terms& v) {
                              if (v.empty()) return -kInf;
                              const double top = largest_of(v);
                              double s = 0;
                              for (const double x : v) s += std::exp(x - top);
                              return top + std::log(s);
                            },
                        .make = [](const Shape& shape) { return uniform(shape, -4, 4); }});
  for (const double p : {1.0, 2.0, HUGE_VAL}) {
    add_over_axes(table,
                  {.name = "norm",
                   .call = [=](const Tensor& x, const Dims& axes, bool keepdim) { return norm(x, p, axes, keepdim); },
                   .value =
                       [=](const Terms& v) {
                         double s = 0;
                         for (const double x : v) {
                           if (p == 1) s += std::abs(x);
                           if (p == 2) s += x * x;
                           if (std::isinf(p)) s = std::max(s, std::abs(x));
                         }
                         return p == 2 ? std::sqrt(s) : s;
                       },
                   .make = apart,
                   .variant = concat("p = ", p, ", ")});
  }
  const auto nonzero = [](const Terms& v) {
    double count = 0;
    for (const double x : v) count += x != 0;
    return count;
  };
  const auto some_zeros = [](const Shape& shape) { return mask(shape, 0.7).to(DType::kF64); };
  add_over_axes(table, {.name = "count_nonzero",
                        .call = plain(&count_nonzero),
                        .value = nonzero,
                        .make = some_zeros,
                        .takes_integers = true,
                        .dtype = DType::kI64,
                        .f64 = tol::kExact,
                        .f32 = tol::kExact});
  add_over_axes(table, {.name = "any",
                        .call = plain(&any),
                        .value = [=](const Terms& v) { return static_cast<double>(nonzero(v) > 0); },
                        .make = some_zeros,
                        .takes_integers = true,
                        .dtype = DType::kU8,
                        .f64 = tol::kExact,
                        .f32 = tol::kExact});
  add_over_axes(
      table, {.name = "all",
              .call = plain(&all),
              .value = [=](const Terms& v) { return static_cast<double>(nonzero(v) == static_cast<double>(v.size())); },
              .make = some_zeros,
              .takes_integers = true,
              .dtype = DType::kU8,
              .f64 = tol::kExact,
              .f32 = tol::kExact});
  add_with_places(table);
  add_quantiles(table);

  const auto axes = [](const Json& a) {
    if (!a.contains("dim")) return Dims{};
    return a.at("dim").is_array() ? Dims(a.at("dim").get<std::vector<int64_t>>()) : Dims{a.at("dim").get<int64_t>()};
  };
  const auto keepdim = [](const Json& a) { return a.value("keepdim", false); };
  const auto golden = [&](const char* name, auto op) {
    table.golden(name, [=](const Json& a, const Inputs& in) { return op(in[0], axes(a), keepdim(a)); });
  };
  golden("sum", plain(&sum));
  golden("mean", plain(&mean));
  golden("amax", plain(&amax));
  golden("amin", plain(&amin));
  golden("logsumexp", plain(&logsumexp));
  golden("prod", plain(&prod));
  golden("median", plain(&median));
  golden("any", plain(&any));
  golden("all", plain(&all));
  golden("count_nonzero", plain(&count_nonzero));
  table.golden("norm", [=](const Json& a, const Inputs& in) {
    const double p = a.at("p") == "1" ? 1 : a.at("p") == "2" ? 2 : kInf;
    return norm(in[0], p, axes(a), keepdim(a));
  });
  table.golden(
      "var",
      [=](const Json& a, const Inputs& in) {
        return var(in[0], axes(a), a.at("unbiased").get<bool>() ? 1 : 0, keepdim(a));
      },
      tol::kF64FarFromZero);
  table.golden("std", [=](const Json& a, const Inputs& in) {
    return stddev(in[0], axes(a), a.at("unbiased").get<bool>() ? 1 : 0, keepdim(a));
  });
  const auto with_places = [](const ExtremeResult& r) { return GoldenRun({r.values}, {{"indices", r.indices}}); };
  table.golden("max_dim", [=](const Json& a, const Inputs& in) {
    return with_places(max(in[0], a.at("dim").get<int64_t>(), keepdim(a)));
  });
  table.golden("min_dim", [=](const Json& a, const Inputs& in) {
    return with_places(min(in[0], a.at("dim").get<int64_t>(), keepdim(a)));
  });
  table.golden("max", [](const Json&, const Inputs& in) { return max(in[0]); });
  table.golden("min", [](const Json&, const Inputs& in) { return min(in[0]); });
  const auto one_axis = [](const Json& a) {
    return a.contains("dim") ? std::optional<int64_t>(a.at("dim").get<int64_t>()) : std::nullopt;
  };
  table.golden("argmax", [=](const Json& a, const Inputs& in) { return argmax(in[0], one_axis(a), keepdim(a)); });
  table.golden("argmin", [=](const Json& a, const Inputs& in) { return argmin(in[0], one_axis(a), keepdim(a)); });
  table.golden("quantile", [=](const Json& a, const Inputs& in) {
    const std::string name = a.at("interpolation");
    const Interpolation how = name == "linear"     ? Interpolation::kLinear
                              : name == "lower"    ? Interpolation::kLower
                              : name == "higher"   ? Interpolation::kHigher
                              : name == "midpoint" ? Interpolation::kMidpoint
                                                   : Interpolation::kNearest;
    if (a.at("q").is_array()) return quantile(in[0], a.at("q").get<std::vector<double>>(), axes(a), keepdim(a), how);
    return quantile(in[0], a.at("q").get<double>(), axes(a), keepdim(a), how);
  });
}

}  // namespace tern::test
