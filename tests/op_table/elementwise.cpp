#include <cmath>
#include <limits>

#include <tern/core/ops/elementwise.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

using Function = double (*)(double);
using Function2 = double (*)(double, double);

// Shapes and layouts that every function of one tensor meets, with values in [low, high).
std::vector<Inputs> shapes(double low, double high) {
  return {{uniform({2, 3}, low, high)},
          {uniform({}, low, high)},
          {uniform({0, 4}, low, high)},
          {uniform({1, 1}, low, high)},
          {strided(uniform({3, 5}, low, high))},
          {permuted(uniform({2, 3, 4}, low, high))},
          {channels_last(uniform({2, 3, 4, 5}, low, high))},
          {uniform({1, 3}, low, high).expand({4, 3})}};
}

// The true nearest even integer, without the library's own rounding.
double nearest_even(double x) {
  const double below = std::floor(x), rest = x - below;
  if (rest != 0.5) return rest < 0.5 ? below : below + 1;
  return std::fmod(below, 2.0) == 0 ? below : below + 1;
}

struct Unary {
  const char* name;
  Tensor (*op)(const Tensor&);
  Function reference;
  double low, high;
  Tolerance f32 = tol::kF32;
  bool integers = false;
  double kink_distance = 0;                                             // of central differences from 0
  Inputs special = {values({6}, {0.0, -0.0, kInf, -kInf, kNan, 1.0})};  // forward only
};

void add_unary(OpTable& table, const Unary& u) {
  OpEntry entry{
      .name = u.name,
      .call = [op = u.op](const Inputs& in) { return op(in[0]); },
      .samples = shapes(u.low, u.high),
      .large = {{uniform({40000}, u.low, u.high)}, {uniform({3, 5, 41, 67}, u.low, u.high).permute({0, 2, 3, 1})}},
      .reference = [f = u.reference](const Arrays& in) { return map(in[0], f); },
      .f32 = u.f32,
      .keeps_format = true,
  };
  if (u.kink_distance > 0)
    entry.avoid = [d = u.kink_distance](const Arrays& in) {
      return Arrays{map(in[0], [d](double x) { return std::abs(x) < d; })};
    };
  if (!u.integers)
    entry.rejects = {{{int_range({3})}, std::string("[") + u.name + "] expected f32 or f64, got i64"},
                     {{uniform({2}).to(DType::kBF16)}, std::string("[") + u.name + "] expected f32 or f64, got bf16"}};
  else
    entry.rejects = {{{uniform({2}).to(DType::kBF16)},
                      std::string("[") + u.name + "] expected f32, f64 or an integer dtype, got bf16"}};
  table.add(entry);

  entry.variant = "limits";
  entry.samples = {u.special};
  entry.large = {};
  entry.rejects = {};
  entry.differentiable = std::vector<size_t>{};
  entry.avoid = {};
  table.add(entry);

  if (!u.integers) return;
  entry.variant = "integers";
  entry.samples = {{int_range({2, 5})}, {strided(integers({3, 4}, -9, 9))}};
  entry.output_dtype = DType::kI64;
  entry.large = {{integers({20000}, -100, 100)}};
  table.add(entry);
}

struct Binary {
  const char* name;
  Tensor (*op)(const Tensor&, const Tensor&);
  Function2 reference;
  double low = -2, high = 2, low2 = -2, high2 = 2;
  Tolerance f32 = tol::kF32;
  bool integers = true;
  bool kink = false;  // where both operands meet
};

void add_binary(OpTable& table, const Binary& b) {
  const auto x = [&](const Shape& s) { return uniform(s, b.low, b.high); };
  const auto y = [&](const Shape& s) { return uniform(s, b.low2, b.high2); };
  OpEntry entry{
      .name = b.name,
      .call = [op = b.op](const Inputs& in) { return op(in[0], in[1]); },
      .samples = {{x({2, 3}), y({2, 3})},
                  {x({}), y({})},
                  {x({4, 1}), y({3})},
                  {x({3}), y({2, 1, 3})},
                  {x({2, 3, 2}), y({})},
                  {x({1}), y({2, 2})},
                  {x({0, 3}), y({1, 3})},
                  {strided(x({3, 4})), permuted(y({3, 4}))},
                  {channels_last(x({2, 3, 4, 2})), channels_last(y({2, 3, 4, 2}))},
                  {channels_last(x({2, 3, 2, 2})), y({1, 3, 1, 1})},
                  {x({2, 1, 3}).expand({2, 2, 3}), y({2, 2, 1}).expand({2, 2, 3})}},
      .large = {{x({40000}), y({40000})}, {x({200, 130}), y({130})}, {x({3, 7, 50, 40}), y({7, 1, 1})}},
      .reference = [f = b.reference](const Arrays& in) { return zip(in[0], in[1], f); },
      .rejects = {{{uniform({2, 3}), uniform({2, 4})},
                   std::string("[") + b.name + "] expected shapes that broadcast together, got [2, 3] and [2, 4]"}},
      .f32 = b.f32,
      .f32_gradient = tol::kF32Sum,
      .keeps_format = true,
  };
  entry.f64 = tol::kF64Sum;  // gradients of broadcast operands are sums
  if (b.kink)
    entry.avoid = [](const Arrays& in) {
      const auto touch = [&](const Array& of, const Array& other) {
        Array out(of.shape);
        const Array all = zip(of, other, [](double p, double q) { return std::abs(p - q) < 1e-4 ? 1.0 : 0.0; });
        double any = 0;
        for (const double v : all.v) any += v;
        return map(out, [any](double) { return any; });
      };
      return Arrays{touch(in[0], in[1]), touch(in[1], in[0])};
    };
  if (b.integers)
    entry.rejects.push_back({{uniform({2}).to(DType::kBF16), uniform({2}).to(DType::kBF16)},
                             std::string("[") + b.name + "] expected f32, f64 or an integer dtype, got bf16"});
  table.add(entry);
  if (!b.integers) return;
  entry.variant = "integers";
  entry.samples = {{integers({4, 3}, -20, 20), integers({3}, -20, 20)}};
  entry.large = {};
  entry.rejects = {};
  entry.avoid = {};
  entry.output_dtype = DType::kI64;
  table.add(entry);
}

// A function of a tensor and a number.
void add_scalar(OpTable& table, const char* name, const char* variant, OpFunction call, std::function<double(double)> f,
                double low, double high, Tolerance f32 = tol::kF32, std::vector<Reject> rejects = {}) {
  table.add({.name = name,
             .variant = variant,
             .call = std::move(call),
             .samples = shapes(low, high),
             .large = {{uniform({40000}, low, high)}},
             .reference = [f](const Arrays& in) { return map(in[0], f); },
             .rejects = std::move(rejects),
             .f32 = f32,
             .keeps_format = true});
}

}  // namespace

TERN_OP_FAMILY(elementwise) {
  add_binary(table, {"add", add, [](double a, double b) { return a + b; }});
  add_binary(table, {"sub", sub, [](double a, double b) { return a - b; }});
  add_binary(table, {"mul", mul, [](double a, double b) { return a * b; }});
  add_binary(table,
             {.name = "maximum",
              .op = maximum,
              .reference = [](double a, double b) { return std::isnan(a) || std::isnan(b) ? kNan : std::max(a, b); },
              .kink = true});
  add_binary(table,
             {.name = "minimum",
              .op = minimum,
              .reference = [](double a, double b) { return std::isnan(a) || std::isnan(b) ? kNan : std::min(a, b); },
              .kink = true});
  add_binary(table, {.name = "div",
                     .op = div,
                     .reference = [](double a, double b) { return a / b; },
                     .low2 = 0.5,
                     .high2 = 3,
                     .integers = false});
  add_binary(table, {.name = "pow",
                     .op = pow,
                     .reference = [](double a, double b) { return std::pow(a, b); },
                     .low = 0.3,
                     .high = 2,
                     .integers = false});
  for (const auto& [name, op, f] :
       std::initializer_list<std::tuple<const char*, Tensor (*)(const Tensor&, const Tensor&), Function2>>{
           {"maximum", maximum,
            [](double a, double b) { return std::isnan(a) || std::isnan(b) ? kNan : std::max(a, b); }},
           {"minimum", minimum,
            [](double a, double b) { return std::isnan(a) || std::isnan(b) ? kNan : std::min(a, b); }}})
    table.add({.name = name,
               .variant = "NaN on either side",
               .call = [op = op](const Inputs& in) { return op(in[0], in[1]); },
               .samples = {{values({5}, {kNan, 1, kNan, kInf, -kInf}), values({5}, {1, kNan, kNan, 2, 2})}},
               .reference = [f = f](const Arrays& in) { return zip(in[0], in[1], f); },
               .differentiable = std::vector<size_t>{}});
  table.add({.name = "div",
             .variant = "integers give f32",
             .call = [](const Inputs& in) { return div(in[0], in[1]); },
             .samples = {{integers({4, 3}, -9, 9), integers({3}, 1, 9)}},
             .reference = [](const Arrays& in) { return zip(in[0], in[1], [](double a, double b) { return a / b; }); },
             .output_dtype = DType::kF32,
             .f64 = tol::kF32});
  table.add({.name = "add",
             .variant = "integers with floats",
             .call = [](const Inputs& in) { return add(in[0], in[1]); },
             .samples = {{integers({4, 3}, -9, 9), uniform({3})}, {uniform({2, 2}), mask({2, 2})}},
             .reference = [](const Arrays& in) { return zip(in[0], in[1], [](double a, double b) { return a + b; }); },
             .f64 = tol::kF64Sum,
             .f32_gradient = tol::kF32Sum});

  const std::vector<Reject> fractions{{{int_range({3})}, "[add] expected a number that i64 can hold, got 0.5"},
                                      {{mask({3})},
                                       "[add] expected a number that u8 can hold, got 256",
                                       [](const Inputs& in) { return add(in[0], 256); }},
                                      {{int_range({3})},
                                       "[add] expected a number that i64 can hold, got inf",
                                       [](const Inputs& in) { return add(in[0], kInf); }},
                                      {{int_range({3})},
                                       "[sub] expected a number that i64 can hold, got 0.5",
                                       [](const Inputs& in) { return sub(in[0], 0.5); }},
                                      {{int_range({3})},
                                       "[mul] expected a number that i64 can hold, got -inf",
                                       [](const Inputs& in) { return mul(in[0], -kInf); }}};
  add_scalar(
      table, "add", "number", [](const Inputs& in) { return add(in[0], 0.5); }, [](double x) { return x + 0.5; }, -2, 2,
      tol::kF32, fractions);
  add_scalar(
      table, "sub", "number", [](const Inputs& in) { return sub(in[0], 0.5); }, [](double x) { return x - 0.5; }, -2,
      2);
  table.add({.name = "sub",
             .variant = "number from bytes",
             .call = [](const Inputs& in) { return sub(in[0], 1); },
             .samples = {{mask({5}, 1)}, {strided(mask({2, 3}, 1))}, {int_range({4})}},
             .reference = [](const Arrays& in) { return map(in[0], [](double x) { return x - 1; }); }});
  add_scalar(
      table, "sub", "from a number", [](const Inputs& in) { return sub(0.5, in[0]); }, [](double x) { return 0.5 - x; },
      -2, 2);
  add_scalar(
      table, "mul", "number", [](const Inputs& in) { return mul(in[0], -1.5); }, [](double x) { return x * -1.5; }, -2,
      2);
  add_scalar(
      table, "div", "number", [](const Inputs& in) { return div(in[0], -3); }, [](double x) { return x / -3; }, -2, 2);
  add_scalar(
      table, "div", "of a number", [](const Inputs& in) { return div(2.5, in[0]); }, [](double x) { return 2.5 / x; },
      0.5, 2);
  for (const double p : {0.0, 1.0, 2.0, 3.0, -1.0, -2.0, 0.5, -0.5, 1.7, -2.3}) {
    const std::string variant = "number " + std::to_string(p);
    add_scalar(
        table, "pow", variant.c_str(), [p](const Inputs& in) { return pow(in[0], p); },
        [p](double x) { return std::pow(x, p); }, 0.4, 2, tol::kF32Function,
        p == 1.7 ? std::vector<Reject>{{{int_range({3})}, "[pow] expected f32 or f64, got i64"}}
                 : std::vector<Reject>{});
  }
  add_scalar(
      table, "pow", "number 3 of negatives", [](const Inputs& in) { return pow(in[0], 3); },
      [](double x) { return x * x * x; }, -2, -0.5, tol::kF32Function);
  add_scalar(
      table, "pow", "of a number", [](const Inputs& in) { return pow(1.7, in[0]); },
      [](double x) { return std::pow(1.7, x); }, -2, 2, tol::kF32Function);
  add_scalar(
      table, "pow", "of 0", [](const Inputs& in) { return pow(0.0, in[0]); }, [](double) { return 0.0; }, 0.1, 2);

  const Tolerance function = tol::kF32Function;
  add_unary(
      table,
      {.name = "neg", .op = neg, .reference = [](double x) { return -x; }, .low = -2, .high = 2, .integers = true});
  add_unary(table, {.name = "abs",
                    .op = abs,
                    .reference = [](double x) { return std::abs(x); },
                    .low = -2,
                    .high = 2,
                    .integers = true,
                    .kink_distance = 1e-4});
  add_unary(table, {.name = "sign",
                    .op = sign,
                    .reference = [](double x) { return static_cast<double>((x > 0) - (x < 0)); },
                    .low = -2,
                    .high = 2,
                    .integers = true,
                    .kink_distance = 1e-4});
  add_unary(table, {.name = "square",
                    .op = square,
                    .reference = [](double x) { return x * x; },
                    .low = -2,
                    .high = 2,
                    .integers = true});
  const Inputs wide = {values({9}, {0.0, -0.0, kInf, -kInf, kNan, -200.0, 80.0, -30.0, 30.0})};
  add_unary(table, {"exp", exp, [](double x) { return std::exp(x); }, -3, 3, function});
  add_unary(table, {"expm1", expm1, [](double x) { return std::expm1(x); }, -3, 3, function, false, 0, wide});
  const Inputs logs = {values({9}, {0.0, -0.0, kInf, -kInf, kNan, -1.0, 1.0, 1e-30, 1e30})};
  add_unary(table, {"log", log, [](double x) { return std::log(x); }, 0.2, 4, function, false, 0, logs});
  add_unary(table, {"log2", log2, [](double x) { return std::log2(x); }, 0.2, 4, function, false, 0, logs});
  add_unary(table, {"log1p",
                    log1p,
                    [](double x) { return std::log1p(x); },
                    -0.7,
                    3,
                    function,
                    false,
                    0,
                    {values({9}, {0.0, -0.0, kInf, -kInf, kNan, -1.0, -2.0, 1e-10, 1e30})}});
  add_unary(table, {"sqrt", sqrt, [](double x) { return std::sqrt(x); }, 0.2, 4, tol::kF32, false, 0, logs});
  add_unary(table, {"rsqrt", rsqrt, [](double x) { return 1 / std::sqrt(x); }, 0.2, 4, tol::kF32, false, 0, logs});
  add_unary(table, {"reciprocal", reciprocal, [](double x) { return 1 / x; }, 0.3, 3});
  add_unary(table, {"sin",
                    sin,
                    [](double x) { return std::sin(x); },
                    -9,
                    9,
                    function,
                    false,
                    0,
                    {values({6}, {0.0, -0.0, kInf, kNan, 12345.0, 16777216.0})}});
  add_unary(table, {"cos",
                    cos,
                    [](double x) { return std::cos(x); },
                    -9,
                    9,
                    function,
                    false,
                    0,
                    {values({6}, {0.0, -0.0, kInf, kNan, 12345.0, 16777216.0})}});
  add_unary(table, {"atan", atan, [](double x) { return std::atan(x); }, -4, 4});
  add_unary(table, {"erf", erf, [](double x) { return std::erf(x); }, -3, 3, function, false, 0, wide});
  const Inputs halves = {values({9}, {0.5, 1.5, 2.5, -0.5, -1.5, -2.5, kInf, kNan, 0.49999997})};
  // Steps: samples keep away from the integers and halves by construction of the reference's interval.
  const auto step = [&](const char* name, Tensor (*op)(const Tensor&), Function f, double low, double high) {
    add_unary(table, {name, op, f, low, high, tol::kExact, false, 0, halves});
  };
  step(
      "floor", floor, [](double x) { return std::floor(x); }, 1.01, 1.99);
  step(
      "ceil", ceil, [](double x) { return std::ceil(x); }, -1.99, -1.01);
  step(
      "trunc", trunc, [](double x) { return std::trunc(x); }, -2.99, -2.01);
  step("round", round, nearest_even, 1.51, 2.49);

  add_scalar(
      table, "clamp", "both", [](const Inputs& in) { return clamp(in[0], -0.7, 0.9); },
      [](double x) { return std::min(std::max(x, -0.7), 0.9); }, -2, 2, tol::kF32,
      {{{uniform({2})},
        "[clamp] expected a lower or an upper bound, got neither",
        [](const Inputs& in) { return clamp(in[0], std::nullopt, std::nullopt); }},
       {{uniform({2})},
        "[clamp] expected bounds that are numbers, got NaN",
        [](const Inputs& in) { return clamp(in[0], kNan, std::nullopt); }},
       {{int_range({2})}, "[clamp] expected a number that i64 can hold, got -0.7"}});
  add_scalar(
      table, "clamp", "crossed", [](const Inputs& in) { return clamp(in[0], 0.5, -0.5); }, [](double) { return -0.5; },
      -2, 0.4);
  add_scalar(
      table, "clamp_min", "", [](const Inputs& in) { return clamp_min(in[0], -0.3); },
      [](double x) { return std::max(x, -0.3); }, -2, 2);
  add_scalar(
      table, "clamp_max", "", [](const Inputs& in) { return clamp_max(in[0], 0.4); },
      [](double x) { return std::min(x, 0.4); }, -2, 2);
  table.add({.name = "clamp",
             .variant = "integers and NaN",
             .call = [](const Inputs& in) { return clamp(in[0], -2, 3); },
             .samples = {{int_range({9})}, {values({5}, {kNan, kInf, -kInf, 3, -2})}},
             .reference =
                 [](const Arrays& in) {
                   return map(in[0], [](double x) { return std::isnan(x) ? x : std::min(std::max(x, -2.0), 3.0); });
                 },
             .rejects = {},
             .differentiable = std::vector<size_t>{}});
  table.add({.name = "clamp_max",
             .variant = "integers",
             .call = [](const Inputs& in) { return clamp_max(in[0], 3); },
             .samples = {{int_range({9})}, {integers({5}, -20, 20)}},
             .reference = [](const Arrays& in) { return map(in[0], [](double x) { return std::min(x, 3.0); }); },
             .output_dtype = DType::kI64});

  const auto pick = [](const Array& c, const Array& a, const Array& b) {
    const Array chosen = zip(c, a, [](double k, double x) { return k != 0 ? x : kNan; });
    return zip(
        zip(chosen, b, [](double x, double) { return x; }),
        zip(zip(c, a, [](double k, double) { return k; }), b, [](double k, double y) { return k != 0 ? kNan : y; }),
        [](double x, double y) { return std::isnan(x) ? y : x; });
  };
  table.add({.name = "where",
             .call = [](const Inputs& in) { return where(in[0], in[1], in[2]); },
             .samples = {{mask({2, 3}), uniform({2, 3}), uniform({2, 3})},
                         {mask({3}), uniform({2, 1}), uniform({})},
                         {strided(mask({2, 3})), permuted(uniform({2, 3})), uniform({3})},
                         {mask({2, 1, 2, 2}), channels_last({2, 3, 2, 2}), channels_last({2, 3, 2, 2})},
                         {mask({0}), uniform({0}), uniform({1})}},
             .large = {{mask({30000}), uniform({30000}), uniform({30000})}},
             .reference = [=](const Arrays& in) { return pick(in[0], in[1], in[2]); },
             .rejects = {{{uniform({2}), uniform({2}), uniform({2})}, "[where] expected a u8 condition, got f64"},
                         {{mask({2}), int_range({2})},
                          "[where] expected a number that i64 can hold, got inf",
                          [](const Inputs& in) { return where(in[0], in[1], kInf); }},
                         {{mask({2}), uniform({3}), uniform({3})},
                          "[where] expected shapes that broadcast together, got [2] and [3]"}},
             .f64 = tol::kF64Sum,
             .f32_gradient = tol::kF32Sum});
  table.add({.name = "where",
             .variant = "number second",
             .call = [](const Inputs& in) { return where(in[0], in[1], -2.5); },
             .samples = {{mask({2, 3}), uniform({2, 3})}, {mask({3}), uniform({2, 1})}},
             .reference = [=](const Arrays& in) { return pick(in[0], in[1], Array({}, -2.5)); },
             .f64 = tol::kF64Sum,
             .f32_gradient = tol::kF32Sum});
  table.add({.name = "where",
             .variant = "number first",
             .call = [](const Inputs& in) { return where(in[0], -2.5, in[1]); },
             .samples = {{mask({2, 3}), uniform({2, 3})}, {mask({3}), uniform({2, 1})}},
             .reference = [=](const Arrays& in) { return pick(in[0], Array({}, -2.5), in[1]); },
             .f64 = tol::kF64Sum,
             .f32_gradient = tol::kF32Sum});
  table.add({.name = "masked_fill",
             .call = [](const Inputs& in) { return masked_fill(in[0], in[1], -3.5); },
             .samples = {{uniform({2, 3}), mask({2, 3})},
                         {channels_last({2, 3, 2, 2}), mask({2, 1, 2, 2})},
                         {uniform({4}), mask({2, 1})},
                         {uniform({0, 2}), mask({2})}},
             .large = {{uniform({150, 200}), mask({200})}},
             .reference = [=](const Arrays& in) { return pick(in[1], Array({}, -3.5), in[0]); },
             .rejects = {{{uniform({2}), int_range({2})}, "[masked_fill] expected a u8 condition, got i64"},
                         {{int_range({2}), mask({2})}, "[masked_fill] expected a number that i64 can hold, got -3.5"},
                         {{int_range({2}), mask({2})},
                          "[masked_fill] expected a number that i64 can hold, got -inf",
                          [](const Inputs& in) { return masked_fill(in[0], in[1], -kInf); }}},
             .f64 = tol::kF64Sum,
             .f32_gradient = tol::kF32Sum,
             .keeps_format = true});

  const auto between = [](const Array& a, const Array& b, const Array& w) {
    const Array rise =
        zip(zip(b, a, [](double y, double x) { return y - x; }), w, [](double d, double share) { return d * share; });
    return zip(a, rise, [](double x, double r) { return x + r; });
  };
  table.add({.name = "lerp",
             .call = [](const Inputs& in) { return lerp(in[0], in[1], in[2]); },
             .samples = {{uniform({2, 3}), uniform({2, 3}), uniform({2, 3}, 0, 1)},
                         {uniform({2, 1}), uniform({3}), uniform({}, 0, 1)},
                         {strided(uniform({2, 3})), permuted(uniform({2, 3})), uniform({3}, -1, 2)},
                         {channels_last({2, 3, 2, 2}), channels_last({2, 3, 2, 2}), uniform({3, 1, 1}, 0, 1)},
                         {uniform({0}), uniform({1}), uniform({1})}},
             .large = {{uniform({40000}), uniform({40000}), uniform({40000}, 0, 1)}},
             .reference = [=](const Arrays& in) { return between(in[0], in[1], in[2]); },
             .rejects = {{{uniform({2}), uniform({2}), uniform({2}).to(DType::kF32)},
                          "[lerp] expected tensors of one dtype, got f64, f64 and a weight of f32"},
                         {{int_range({2}), int_range({2}), int_range({2})}, "[lerp] expected f32 or f64, got i64"},
                         {{uniform({2}), uniform({3}), uniform({})},
                          "[lerp] expected shapes that broadcast together, got [2] and [3]"}},
             .f64 = tol::kF64Sum,
             .f32_gradient = tol::kF32Sum,
             .keeps_format = true});
  for (const double weight : {0.25, 0.8})
    table.add({.name = "lerp",
               .variant = concat("number ", weight),
               .call = [=](const Inputs& in) { return lerp(in[0], in[1], weight); },
               .samples = {{uniform({2, 3}), uniform({2, 3})}, {channels_last({2, 3, 2, 2}), uniform({3, 1, 1})}},
               .reference = [=](const Arrays& in) { return between(in[0], in[1], Array({}, weight)); },
               .f64 = tol::kF64Sum,
               .f32_gradient = tol::kF32Sum,
               .keeps_format = true});
  table.golden("lerp", [](const Json&, const Inputs& in) { return lerp(in[0], in[1], in[2]); });

  const auto golden_unary = [&](const char* name, Tensor (*op)(const Tensor&)) {
    table.golden(name, [op](const Json&, const Inputs& in) { return op(in[0]); });
  };
  for (const auto& [name, op] : std::map<const char*, Tensor (*)(const Tensor&)>{
           {"neg", neg},     {"abs", abs},     {"square", square}, {"exp", exp},     {"expm1", expm1},
           {"sin", sin},     {"cos", cos},     {"erf", erf},       {"atan", atan},   {"log", log},
           {"log2", log2},   {"log1p", log1p}, {"sqrt", sqrt},     {"rsqrt", rsqrt}, {"sign", sign},
           {"round", round}, {"floor", floor}, {"ceil", ceil},     {"trunc", trunc}, {"reciprocal", reciprocal}})
    golden_unary(name, op);
  const auto golden_binary = [&](const char* name, Tensor (*op)(const Tensor&, const Tensor&)) {
    table.golden(name, [op](const Json&, const Inputs& in) { return op(in[0], in[1]); });
  };
  golden_binary("add", add);
  golden_binary("sub", sub);
  golden_binary("mul", mul);
  golden_binary("div", div);
  golden_binary("pow", pow);
  golden_binary("maximum", maximum);
  golden_binary("minimum", minimum);
  table.golden("pow_scalar",
               [](const Json& a, const Inputs& in) { return pow(in[0], a.at("exponent").get<double>()); });
  table.golden("scalar_pow", [](const Json& a, const Inputs& in) { return pow(a.at("base").get<double>(), in[0]); });
  const auto golden_number = [&](const char* name, Tensor (*op)(const Tensor&, double)) {
    table.golden(name, [op](const Json& a, const Inputs& in) { return op(in[0], a.at("number").get<double>()); });
  };
  golden_number("add_scalar", add);
  golden_number("mul_scalar", mul);
  golden_number("div_scalar", div);
  table.golden("scalar_sub", [](const Json& a, const Inputs& in) { return sub(a.at("number").get<double>(), in[0]); });
  table.golden("scalar_div", [](const Json& a, const Inputs& in) { return div(a.at("number").get<double>(), in[0]); });
  table.golden("clamp", [](const Json& a, const Inputs& in) {
    const auto bound = [&](const char* key) {
      return a.contains(key) ? std::optional<double>(a.at(key).get<double>()) : std::nullopt;
    };
    return clamp(in[0], bound("min"), bound("max"));
  });
  table.golden("where", [](const Json&, const Inputs& in) { return where(in[0], in[1], in[2]); });
  table.golden("masked_fill",
               [](const Json& a, const Inputs& in) { return masked_fill(in[0], in[1], a.at("value").get<double>()); });
}

}  // namespace tern::test
