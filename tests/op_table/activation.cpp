#include <cmath>
#include <limits>

#include <tern/core/ops/activation.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

double logistic(double x) {
  return 1 / (1 + std::exp(-x));
}
double hard(double x) {
  return std::min(std::max(x + 3, 0.0), 6.0) / 6;
}

// kinks: where the derivative jumps. limits: values at -inf, inf, NaN.
void add_activation(OpTable& table, const char* name, const char* variant, const OpFunction& call,
                    const std::function<double(double)>& f, const std::vector<double>& kinks = {},
                    const std::vector<double>& specials = {-kInf, kInf, kNan, 0.0, -60.0, 60.0}) {
  OpEntry entry{
      .name = name,
      .variant = variant,
      .call = call,
      .samples = {{uniform({3, 4}, -5, 8)},
                  {uniform({}, -3, 3)},
                  {uniform({0, 4})},
                  {strided(uniform({3, 5}, -4, 4))},
                  {permuted(uniform({2, 3, 2}, -8, 8))},
                  {channels_last(uniform({2, 3, 4, 2}, -4, 4))},
                  {uniform({1, 3}, -2, 2).expand({4, 3})}},
      .large = {{uniform({40001}, -8, 8)}, {channels_last(uniform({2, 7, 40, 40}, -4, 4))}},
      .reference = [f](const Arrays& in) { return map(in[0], f); },
      .avoid =
          [kinks](const Arrays& in) {
            return Arrays{map(in[0], [&](double x) {
              for (const double k : kinks)
                if (std::abs(x - k) < 1e-4) return 1.0;
              return 0.0;
            })};
          },
      .rejects = {{{int_range({3})}, std::string("[") + name + "] expected f32 or f64, got i64"},
                  {{uniform({3}).to(DType::kF16)}, std::string("[") + name + "] expected f32 or f64, got f16"}},
      .f32 = tol::kF32Function,
      .f32_gradient = tol::kF32Derivative,
      .keeps_format = true,
  };
  table.add(entry);
  entry.variant += std::string(variant).empty() ? "limits" : ", limits";
  entry.samples = {{values({static_cast<int64_t>(specials.size())}, specials)}};
  entry.large = {};
  entry.rejects = {};
  entry.avoid = {};
  entry.differentiable = std::vector<size_t>{};
  table.add(entry);
}

void add_pair(OpTable& table, const char* name, Tensor (*op)(const Tensor&, const Tensor&), double (*f)(double, double),
              bool kink) {
  OpEntry entry{
      .name = name,
      .call = [op](const Inputs& in) { return op(in[0], in[1]); },
      .samples = {{uniform({3, 4}, -4, 4), uniform({3, 4}, -2, 2)},
                  {uniform({0, 4}), uniform({0, 4})},
                  {uniform({}), uniform({})},
                  {strided(uniform({2, 5}, -4, 4)), permuted(uniform({2, 5}))},
                  {channels_last({2, 3, 4, 2}), channels_last({2, 3, 4, 2})},
                  {channels_last({2, 3, 2, 2}), uniform({2, 3, 2, 2})}},
      .large = {{uniform({40001}, -8, 8), uniform({40001})}},
      .reference = [f](const Arrays& in) { return zip(in[0], in[1], f); },
      .rejects = {{{uniform({2, 3}), uniform({3})},
                   std::string("[") + name + "] expected two tensors of one shape, got [2, 3] and [3]"},
                  {{uniform({3}), uniform({3}).to(DType::kF32)},
                   std::string("[") + name + "] expected two tensors of one dtype, got f64 and f32"},
                  {{int_range({3}), int_range({3})}, std::string("[") + name + "] expected f32 or f64, got i64"}},
      .f32 = tol::kF32Function,
      .f32_gradient = tol::kF32Derivative,
      .keeps_format = true,
  };
  if (kink)
    entry.avoid = [](const Arrays& in) {
      const Array near = zip(in[0], in[1], [](double a, double b) { return std::abs(a + b) < 1e-4 ? 1.0 : 0.0; });
      return Arrays{near, near};
    };
  table.add(entry);
}

// Settings that are refused.
void add_refusals(OpTable& table) {
  const auto refusal = [&](const char* name, Tensor (*call)(const Tensor&), Tensor (*wrong)(const Tensor&),
                           double (*f)(double), const char* message) {
    table.add({.name = name,
               .variant = "settings",
               .call = [call](const Inputs& in) { return call(in[0]); },
               .samples = {{uniform({3}, 1, 2)}},
               .reference = [f](const Arrays& in) { return map(in[0], f); },
               .rejects = {{{uniform({2})}, message, [wrong](const Inputs& in) { return wrong(in[0]); }}},
               .f32 = tol::kF32Function});
  };
  refusal(
      "celu", [](const Tensor& x) { return celu(x); }, [](const Tensor& x) { return celu(x, 0); },
      [](double x) { return x; }, "[celu] expected an alpha other than 0, got 0");
  refusal(
      "hardtanh", [](const Tensor& x) { return hardtanh(x); }, [](const Tensor& x) { return hardtanh(x, 1, -1); },
      [](double) { return 1.0; }, "[hardtanh] expected bounds in order, got 1 and -1");
  refusal(
      "softshrink", [](const Tensor& x) { return softshrink(x); }, [](const Tensor& x) { return softshrink(x, -1); },
      [](double x) { return x - 0.5; }, "[softshrink] expected a lambd of at least 0, got -1");
}

void add_prelu(OpTable& table) {
  table.add({
      .name = "prelu",
      .call = [](const Inputs& in) { return prelu(in[0], in[1]); },
      .samples = {{uniform({3, 4}), uniform({1})},
                  {uniform({3, 4}), uniform({4})},
                  {uniform({2, 3, 4}), strided(uniform({3}))},
                  {channels_last({2, 3, 4, 2}), uniform({3})},
                  {channels_last({2, 3, 2, 2}), uniform({})},
                  {uniform({5}), uniform({1})},
                  {uniform({}), uniform({1})},
                  {strided(uniform({3, 5})), uniform({5})},
                  {uniform({0, 4}), uniform({4})}},
      .large = {{uniform({200, 201}), uniform({201})}, {channels_last(uniform({2, 7, 40, 40})), uniform({7})}},
      .reference =
          [](const Arrays& in) {
            Array slope = in[1];
            slope.shape = Shape(in[0].dim(), 1);
            if (slope.numel() != 1) slope.shape[1] = slope.numel();
            return zip(in[0], slope, [](double x, double w) { return x > 0 ? x : w * x; });
          },
      .avoid =
          [](const Arrays& in) { return Arrays{map(in[0], [](double x) { return std::abs(x) < 1e-4 ? 1.0 : 0.0; })}; },
      .rejects = {{{uniform({2, 3}), uniform({2})},
                   "[prelu] expected a weight of shape [1] or [3] for input [2, 3], got [2]"},
                  {{uniform({3}), uniform({3})},
                   "[prelu] expected a weight of shape [1] or [1] for input [3], got [3]"},
                  {{uniform({2, 3}), uniform({3, 1})},
                   "[prelu] expected a weight of shape [1] or [3] for input [2, 3], got [3, 1]"},
                  {{uniform({3}), uniform({1}).to(DType::kF32)}, "[prelu] expected a weight of f64, got f32"},
                  {{int_range({3}), int_range({1})}, "[prelu] expected f32 or f64, got i64"}},
      .f64 = tol::kF64Sum,
      .f32_gradient = tol::kF32Sum,
      .keeps_format = true,
  });
}

void add_glu(OpTable& table) {
  for (const int64_t axis : {int64_t{-1}, int64_t{0}, int64_t{1}}) {
    const Shape shape = axis < 0 ? Shape{3, 6} : axis == 0 ? Shape{4, 3} : Shape{2, 4, 3, 2};
    table.add({
        .name = "glu",
        .variant = concat("axis ", axis),
        .call = [axis](const Inputs& in) { return glu(in[0], axis); },
        .samples = {{uniform(shape, -4, 4)},
                    {strided(uniform(shape, -4, 4))},
                    {permuted(uniform(shape, -4, 4))},
                    {channels_last(uniform({2, 4, 2, 2}, -4, 4))},
                    {uniform({0, 2})}},
        .large = {{uniform({200, 202}, -8, 8)}},
        .reference =
            [axis](const Arrays& in) {
              const Array& x = in[0];
              const int64_t a = axis < 0 ? axis + x.dim() : axis;
              Shape half = x.shape;
              half[a] /= 2;
              Array out(half);
              for_each_index(half, [&](const Dims& at) {
                Dims gate = at;
                gate[a] += half[a];
                out.at(at) = x.at(at) * logistic(x.at(gate));
              });
              return out;
            },
        .rejects = {{{uniform({3, 3})},
                     concat("[glu] expected an even size along axis ", axis < 0 ? 1 : axis, ", got [3, 3]")},
                    {{uniform({})}, "[glu] expected at least one axis, got a scalar"},
                    {{int_range({4, 4})}, "[glu] expected f32 or f64, got i64"}},
        .f32 = tol::kF32Function,
        .f32_gradient = tol::kF32Derivative,
    });
  }
}

}  // namespace

TERN_OP_FAMILY(activation) {
  const auto one = [](Tensor (*op)(const Tensor&)) { return [op](const Inputs& in) { return op(in[0]); }; };
  const auto positive = [](double x) { return std::isnan(x) ? x : std::max(x, 0.0); };
  add_activation(table, "relu", "", one(relu), positive, {0});
  add_activation(table, "relu6", "", one(relu6),
                 [](double x) { return std::isnan(x) ? x : std::min(std::max(x, 0.0), 6.0); }, {0, 6});
  add_activation(
      table, "leaky_relu", "", [](const Inputs& in) { return leaky_relu(in[0]); },
      [](double x) { return x > 0 ? x : 0.01 * x; }, {0});
  add_activation(
      table, "leaky_relu", "slope 0.2", [](const Inputs& in) { return leaky_relu(in[0], 0.2); },
      [](double x) { return x > 0 ? x : 0.2 * x; }, {0});
  add_activation(
      table, "elu", "", [](const Inputs& in) { return elu(in[0]); },
      [](double x) { return x > 0 ? x : std::expm1(x); });
  add_activation(
      table, "elu", "alpha 1.7", [](const Inputs& in) { return elu(in[0], 1.7); },
      [](double x) { return x > 0 ? x : 1.7 * std::expm1(x); }, {0});
  // At -inf both forms are -inf * 0, NaN, as in PyTorch.
  add_activation(
      table, "gelu", "erf", [](const Inputs& in) { return gelu(in[0]); },
      [](double x) { return 0.5 * x * (1 + std::erf(x / std::sqrt(2.0))); });
  add_activation(
      table, "gelu", "tanh", [](const Inputs& in) { return gelu(in[0], Gelu::kTanh); },
      [](double x) { return 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x))); });
  add_activation(table, "sigmoid", "", one(sigmoid), logistic);
  add_activation(table, "logsigmoid", "", one(logsigmoid),
                 [](double x) { return std::isnan(x) ? x : std::min(x, 0.0) - std::log1p(std::exp(-std::abs(x))); });
  add_activation(table, "tanh", "", one(tanh), [](double x) { return std::tanh(x); });
  add_activation(table, "silu", "", one(silu), [](double x) { return x * logistic(x); });
  add_activation(table, "hardsigmoid", "", one(hardsigmoid), [](double x) { return std::isnan(x) ? x : hard(x); },
                 {-3, 3});
  add_activation(table, "hardswish", "", one(hardswish), [](double x) { return std::isnan(x) ? x : x * hard(x); },
                 {-3, 3});
  add_activation(
      table, "softplus", "", [](const Inputs& in) { return softplus(in[0]); },
      [](double x) { return x > 20 ? x : std::log1p(std::exp(x)); });
  add_activation(
      table, "softplus", "beta 2, threshold 5", [](const Inputs& in) { return softplus(in[0], 2, 5); },
      [](double x) { return 2 * x > 5 ? x : std::log1p(std::exp(2 * x)) / 2; }, {2.5});
  table.add({.name = "softplus",
             .variant = "beta 0",
             .call = [](const Inputs& in) { return softplus(in[0]); },
             .samples = {{uniform({1})}},
             .reference = [](const Arrays& in) { return map(in[0], [](double x) { return std::log1p(std::exp(x)); }); },
             .rejects = {{{uniform({2})},
                          "[softplus] expected a beta other than 0, got 0",
                          [](const Inputs& in) { return softplus(in[0], 0); }}},
             .f32 = tol::kF32Function});
  const auto log1p_exp = [](double x) { return x > 30 ? x : std::log1p(std::exp(x)); };
  add_activation(table, "mish", "", one(mish), [=](double x) { return x * std::tanh(log1p_exp(x)); });
  add_activation(table, "selu", "", one(selu),
                 [](double x) { return 1.0507009873554805 * (x > 0 ? x : 1.6732632423543772 * std::expm1(x)); }, {0});
  add_activation(
      table, "celu", "", [](const Inputs& in) { return celu(in[0]); },
      [](double x) { return x > 0 ? x : std::expm1(x); });
  add_activation(
      table, "celu", "alpha 1.7", [](const Inputs& in) { return celu(in[0], 1.7); },
      [](double x) { return x > 0 ? x : 1.7 * std::expm1(x / 1.7); });
  add_activation(
      table, "hardtanh", "", [](const Inputs& in) { return hardtanh(in[0]); },
      [](double x) { return std::isnan(x) ? x : std::min(std::max(x, -1.0), 1.0); }, {-1, 1});
  add_activation(
      table, "hardtanh", "from -2 to 0.5", [](const Inputs& in) { return hardtanh(in[0], -2, 0.5); },
      [](double x) { return std::isnan(x) ? x : std::min(std::max(x, -2.0), 0.5); }, {-2, 0.5});
  add_activation(table, "softsign", "", one(softsign), [](double x) { return x / (1 + std::abs(x)); });
  add_activation(table, "tanhshrink", "", one(tanhshrink), [](double x) { return x - std::tanh(x); });
  add_activation(
      table, "hardshrink", "", [](const Inputs& in) { return hardshrink(in[0]); },
      [](double x) { return std::abs(x) <= 0.5 ? 0 : x; }, {-0.5, 0.5});
  add_activation(
      table, "softshrink", "lambd 0.7", [](const Inputs& in) { return softshrink(in[0], 0.7); },
      [](double x) { return std::abs(x) <= 0.7 ? 0 : x - std::copysign(0.7, x); }, {-0.7, 0.7});
  add_activation(
      table, "threshold", "", [](const Inputs& in) { return threshold(in[0], 0.3, -2); },
      [](double x) { return x <= 0.3 ? -2 : x; }, {0.3});
  add_refusals(table);
  add_prelu(table);
  add_glu(table);
  add_pair(
      table, "swiglu", swiglu, [](double a, double b) { return a * logistic(a) * b; }, false);
  add_pair(
      table, "add_relu", add_relu, [](double a, double b) { return std::max(a + b, 0.0); }, true);

  for (const auto& [name, op] : std::map<const char*, Tensor (*)(const Tensor&)>{{"relu", relu},
                                                                                 {"relu6", relu6},
                                                                                 {"sigmoid", sigmoid},
                                                                                 {"logsigmoid", logsigmoid},
                                                                                 {"tanh", tanh},
                                                                                 {"silu", silu},
                                                                                 {"mish", mish},
                                                                                 {"selu", selu},
                                                                                 {"softsign", softsign},
                                                                                 {"tanhshrink", tanhshrink},
                                                                                 {"hardswish", hardswish}})
    table.golden(name, [op = op](const Json&, const Inputs& in) { return op(in[0]); });
  table.golden(
      "hardsigmoid", [](const Json&, const Inputs& in) { return hardsigmoid(in[0]); }, tol::kGoldenSingleConstant);
  table.golden("leaky_relu",
               [](const Json& a, const Inputs& in) { return leaky_relu(in[0], a.at("negative_slope").get<double>()); });
  table.golden(
      "celu", [](const Json& a, const Inputs& in) { return celu(in[0], a.at("alpha").get<double>()); },
      tol::kGoldenSingleConstant);
  table.golden("hardtanh", [](const Json& a, const Inputs& in) {
    return hardtanh(in[0], a.at("min_val").get<double>(), a.at("max_val").get<double>());
  });
  table.golden("hardshrink",
               [](const Json& a, const Inputs& in) { return hardshrink(in[0], a.at("lambd").get<double>()); });
  table.golden("softshrink",
               [](const Json& a, const Inputs& in) { return softshrink(in[0], a.at("lambd").get<double>()); });
  table.golden("threshold", [](const Json& a, const Inputs& in) {
    return threshold(in[0], a.at("threshold").get<double>(), a.at("value").get<double>());
  });
  table.golden("prelu", [](const Json&, const Inputs& in) { return prelu(in[0], in[1]); });
  table.golden("glu", [](const Json& a, const Inputs& in) { return glu(in[0], a.at("dim")); });
  table.golden("elu", [](const Json& a, const Inputs& in) { return elu(in[0], a.at("alpha").get<double>()); });
  table.golden("gelu", [](const Json& a, const Inputs& in) {
    return gelu(in[0], a.at("approximate") == "tanh" ? Gelu::kTanh : Gelu::kErf);
  });
  table.golden("softplus", [](const Json& a, const Inputs& in) {
    return softplus(in[0], a.at("beta").get<double>(), a.at("threshold").get<double>());
  });
}

}  // namespace tern::test
