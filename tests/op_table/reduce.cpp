#include <algorithm>
#include <cmath>

#include <tern/core/ops/reduce.h>

#include "op_table/op_table.h"
#include "op_table/over_axes.h"

namespace tern::test {
namespace {

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
Tensor usual(const Shape& shape) {
  return uniform(shape, -1, 2);
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

  const auto golden = [&](const char* name, auto op) {
    table.golden(name, [=](const Json& a, const Inputs& in) { return op(in[0], golden_axes(a), golden_keepdim(a)); });
  };
  golden("sum", plain(&sum));
  golden("mean", plain(&mean));
  golden("amax", plain(&amax));
  golden("amin", plain(&amin));
  golden("logsumexp", plain(&logsumexp));
  golden("prod", plain(&prod));
  golden("any", plain(&any));
  golden("all", plain(&all));
  golden("count_nonzero", plain(&count_nonzero));
  table.golden("norm", [=](const Json& a, const Inputs& in) {
    const double p = a.at("p") == "1" ? 1 : a.at("p") == "2" ? 2 : kInf;
    return norm(in[0], p, golden_axes(a), golden_keepdim(a));
  });
  table.golden(
      "var",
      [=](const Json& a, const Inputs& in) {
        return var(in[0], golden_axes(a), a.at("unbiased").get<bool>() ? 1 : 0, golden_keepdim(a));
      },
      tol::kF64FarFromZero);
  table.golden("std", [=](const Json& a, const Inputs& in) {
    return stddev(in[0], golden_axes(a), a.at("unbiased").get<bool>() ? 1 : 0, golden_keepdim(a));
  });
}

}  // namespace tern::test
