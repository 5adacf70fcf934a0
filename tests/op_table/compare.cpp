#include <cmath>
#include <limits>

#include <tern/core/ops/compare.h>
#include <tern/core/ops/create.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

using Test2 = bool (*)(double, double);

void add_comparison(OpTable& table, const char* name, Tensor (*op)(const Tensor&, const Tensor&), Test2 f) {
  table.add(
      {.name = name,
       .call = [op](const Inputs& in) { return op(in[0], in[1]); },
       .samples = {{values({2, 3}, {1, 2, 3, -0.0, kNan, kInf}), values({2, 3}, {1, 3, 2, 0.0, kNan, kInf})},
                   {values({4}, {0, 1, kNan, 2}), values({2, 1}, {0, 1})},
                   {integers({5, 4}, -2, 2), integers({4}, -2, 2)},
                   {integers({5, 2}, -2, 2), values({2}, {0.5, 1})},
                   {mask({3, 3}), mask({3})},
                   {uniform({0, 2}), uniform({2})},
                   {strided(int_range({3, 2})), int_range({1, 2})},
                   {channels_last({2, 3, 2, 2}), uniform({})}},
       .large = {{uniform({30000}), uniform({30000})}},
       .reference = [f](const Arrays& in) { return zip(in[0], in[1], [f](double a, double b) { return f(a, b); }); },
       .rejects = {{{uniform({2}), uniform({3})},
                    std::string("[") + name + "] expected shapes that broadcast together, got [2] and [3]"},
                   {{uniform({2}).to(DType::kF16), uniform({2}).to(DType::kF16)},
                    std::string("[") + name + "] expected f32, f64 or an integer dtype, got f16"}},
       .differentiable = std::vector<size_t>{},
       .output_dtype = DType::kU8,
       .f64 = tol::kExact,
       .f32 = tol::kExact});
}

void add_with_number(OpTable& table, const char* name, Tensor (*op)(const Tensor&, double), Test2 f) {
  table.add({.name = name,
             .variant = "number",
             .call = [op](const Inputs& in) { return op(in[0], 0.5); },
             .samples = {{values({5}, {0.5, -1, kNan, kInf, 2})}, {integers({6}, -2, 3)}, {mask({2, 2})}},
             .reference = [f](const Arrays& in) { return map(in[0], [f](double a) { return f(a, 0.5); }); },
             .differentiable = std::vector<size_t>{},
             .output_dtype = DType::kU8,
             .f64 = tol::kExact,
             .f32 = tol::kExact});
}

void add_classifier(OpTable& table, const char* name, Tensor (*op)(const Tensor&), bool (*f)(double)) {
  table.add(
      {.name = name,
       .call = [op](const Inputs& in) { return op(in[0]); },
       .samples = {{values({6}, {0, kInf, -kInf, kNan, 1e300, -1})},
                   {int_range({3})},
                   {strided(values({3}, {kNan, 0, kInf}))},
                   {uniform({0})}},
       .reference = [f](const Arrays& in) { return map(in[0], [f](double a) { return f(a); }); },
       .rejects = {{{uniform({2}).to(DType::kBF16)}, std::string("[") + name + "] expected f32 or f64, got bf16"}},
       .differentiable = std::vector<size_t>{},
       .output_dtype = DType::kU8,
       .f64 = tol::kExact,
       .f32 = tol::kExact});
}

Tensor answer(bool v) {
  return full({}, v, DType::kU8);
}

// Functions that answer yes or no.
void add_question(OpTable& table, const char* name, const char* variant, OpFunction call, std::vector<Inputs> samples,
                  std::function<bool(const Arrays&)> f) {
  table.add({.name = name,
             .variant = variant,
             .call = std::move(call),
             .samples = std::move(samples),
             .reference = [f](const Arrays& in) { return Array({}, f(in)); },
             .differentiable = std::vector<size_t>{},
             .output_dtype = DType::kU8,
             .f64 = tol::kExact,
             .f32 = tol::kExact});
}

}  // namespace

TERN_OP_FAMILY(compare) {
  const Test2 equals = [](double a, double b) { return a == b; }, differs = [](double a, double b) { return a != b; },
              below = [](double a, double b) { return a < b; }, not_above = [](double a, double b) { return a <= b; },
              above = [](double a, double b) { return a > b; }, not_below = [](double a, double b) { return a >= b; };
  add_comparison(table, "eq", eq, equals);
  add_comparison(table, "ne", ne, differs);
  add_comparison(table, "lt", lt, below);
  add_comparison(table, "le", le, not_above);
  add_comparison(table, "gt", gt, above);
  add_comparison(table, "ge", ge, not_below);
  add_with_number(table, "eq", eq, equals);
  add_with_number(table, "ne", ne, differs);
  add_with_number(table, "lt", lt, below);
  add_with_number(table, "le", le, not_above);
  add_with_number(table, "gt", gt, above);
  add_with_number(table, "ge", ge, not_below);
  add_comparison(table, "logical_and", logical_and, [](double a, double b) { return a != 0 && b != 0; });
  add_comparison(table, "logical_or", logical_or, [](double a, double b) { return a != 0 || b != 0; });
  add_comparison(table, "logical_xor", logical_xor, [](double a, double b) { return (a != 0) != (b != 0); });
  table.add(
      {.name = "logical_not",
       .call = [](const Inputs& in) { return logical_not(in[0]); },
       .samples = {{values({5}, {0, 1, -0.0, kNan, 0.3})}, {mask({2, 3})}, {int_range({4})}, {uniform({0})}},
       .reference = [](const Arrays& in) { return map(in[0], [](double x) { return x == 0; }); },
       .rejects = {{{uniform({2}).to(DType::kF16)}, "[logical_not] expected f32, f64 or an integer dtype, got f16"}},
       .differentiable = std::vector<size_t>{},
       .output_dtype = DType::kU8,
       .f64 = tol::kExact,
       .f32 = tol::kExact});
  add_classifier(table, "isnan", isnan, [](double x) { return std::isnan(x); });
  // 1e300 is infinite in f32, where the reference sees it after rounding.
  add_classifier(table, "isinf", isinf, [](double x) { return std::isinf(x); });
  add_classifier(table, "isfinite", isfinite, [](double x) { return std::isfinite(x); });

  const Tensor x = uniform({2, 3});
  add_question(
      table, "equal", "", [](const Inputs& in) { return answer(equal(in[0], in[1])); },
      {{x, permuted(x)},
       {x, uniform({2, 3})},
       {x, uniform({3, 2})},
       {values({1}, {kNan}), values({1}, {kNan})},
       {uniform({0}), uniform({0})},
       {uniform({0}), uniform({0, 1})},
       {int_range({3}), int_range({3})}},
      [](const Arrays& in) { return in[0].shape == in[1].shape && in[0].v == in[1].v; });
  const std::vector<Inputs> pairs{{values({3}, {1, 2, kInf}), values({3}, {1.0000001, 2, kInf})},
                                  {values({3}, {1, 2, kInf}), values({3}, {1, 2, -kInf})},
                                  {values({2}, {1, kNan}), values({2}, {1, kNan})},
                                  {values({2}, {1, 5}), values({2}, {1, kInf})},
                                  {values({2}, {1, 1.01}), values({}, {1})},
                                  {uniform({0}), uniform({1})}};
  for (const bool equal_nan : {false, true})
    add_question(
        table, "allclose", equal_nan ? "equal NaN" : "",
        [equal_nan](const Inputs& in) { return answer(allclose(in[0], in[1], 1e-5, 1e-8, equal_nan)); }, pairs,
        [equal_nan](const Arrays& in) {
          bool every = true;
          for (const double good : zip(in[0], in[1], [equal_nan](double a, double b) {
                                     if (std::isnan(a) && std::isnan(b)) return equal_nan;
                                     return a == b ||
                                            (std::isfinite(b) && std::abs(a - b) <= 1e-8 + 1e-5 * std::abs(b));
                                   }).v)
            every &= good != 0;
          return every;
        });
  table.add({.name = "allclose",
             .variant = "errors",
             .call = [](const Inputs& in) { return answer(allclose(in[0], in[1])); },
             .samples = {{x, x}},
             .reference = [](const Arrays&) { return Array({}, 1); },
             .rejects = {{{x, x},
                          "[allclose] expected tolerances of at least 0, got -1 and 0",
                          [](const Inputs& in) { return answer(allclose(in[0], in[1], -1, 0)); }},
                         {{x, int_range({3})}, "[allclose] expected f32 or f64, got i64"}},
             .differentiable = std::vector<size_t>{},
             .output_dtype = DType::kU8});

  for (const auto& [name, op] :
       std::map<const char*, Tensor (*)(const Tensor&, const Tensor&)>{{"eq", eq},
                                                                       {"ne", ne},
                                                                       {"lt", lt},
                                                                       {"le", le},
                                                                       {"gt", gt},
                                                                       {"ge", ge},
                                                                       {"logical_and", logical_and},
                                                                       {"logical_or", logical_or},
                                                                       {"logical_xor", logical_xor}})
    table.golden(name, [op = op](const Json&, const Inputs& in) { return op(in[0], in[1]); });
  for (const auto& [name, op] : std::map<const char*, Tensor (*)(const Tensor&)>{
           {"logical_not", logical_not}, {"isnan", isnan}, {"isinf", isinf}, {"isfinite", isfinite}})
    table.golden(name, [op = op](const Json&, const Inputs& in) { return op(in[0]); });
}

}  // namespace tern::test
