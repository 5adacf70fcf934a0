#include <cmath>

#include <gtest/gtest.h>

#include <tern/core/ops/ste.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

// The backward is no derivative of the forward, so central differences are avoided everywhere; the golden cases and the
// test below say what the gradient is.
void add_estimator(OpTable& table, const char* name, const OpFunction& call, const std::function<double(double)>& f,
                   std::vector<Reject> rejects = {}) {
  rejects.push_back({{int_range({3})}, std::string("[") + name + "] expected f32 or f64, got i64"});
  table.add({.name = name,
             .call = call,
             .samples = {{uniform({3, 4}, -3, 3)},
                         {values({7}, {-2.5, -1.5, -0.5, 0, 0.5, 1.5, 2.5})},
                         {uniform({0, 2})},
                         {strided(uniform({3, 3}, -3, 3))},
                         {channels_last(uniform({2, 3, 2, 2}, -3, 3))}},
             .large = {{uniform({40000}, -9, 9)}},
             .reference = [f](const Arrays& in) { return map(in[0], f); },
             .avoid = [](const Arrays& in) { return Arrays{map(in[0], [](double) { return 1; })}; },
             .rejects = rejects,
             .f64 = tol::kExact,
             .f32 = tol::kExact,
             .keeps_format = true});
}

}  // namespace

TERN_OP_FAMILY(ste) {
  add_estimator(
      table, "ste_round", [](const Inputs& in) { return ste_round(in[0]); },
      [](double x) {
        const double below = std::floor(x), rest = x - below;
        return rest < 0.5 || (rest == 0.5 && std::fmod(below, 2.0) == 0) ? below : below + 1;
      });
  add_estimator(
      table, "ste_clamp", [](const Inputs& in) { return ste_clamp(in[0], -1, 2); },
      [](double x) { return std::min(std::max(x, -1.0), 2.0); },
      {{{uniform({2})},
        "[ste_clamp] expected a lower bound not above the upper one, got 2 and 1",
        [](const Inputs& in) { return ste_clamp(in[0], 2, 1); }}});
  add_estimator(
      table, "ste_sign", [](const Inputs& in) { return ste_sign(in[0]); },
      [](double x) { return x > 0   ? 1.0
                            : x < 0 ? -1.0
                                    : 0.0; });
  add_estimator(
      table, "ste_relu", [](const Inputs& in) { return ste_relu(in[0]); }, [](double x) { return std::max(x, 0.0); });

  table.golden("round_ste", [](const Json&, const Inputs& in) { return ste_round(in[0]); });
  table.golden("sign_ste", [](const Json&, const Inputs& in) { return ste_sign(in[0]); });
  table.golden("relu_ste", [](const Json&, const Inputs& in) { return ste_relu(in[0]); });
  table.golden("clamp_ste", [](const Json& a, const Inputs& in) {
    return ste_clamp(in[0], a.at("min").get<double>(), a.at("max").get<double>());
  });
}

TEST(StraightThrough, GradientIsTheUpstreamOneEverywhere) {
  for (const OpEntry& entry : op_table().entries()) {
    if (entry.name.rfind("ste_", 0) != 0) continue;
    Tensor x = values({5}, {-7, -0.2, 0, 0.5, 9});
    x.requires_grad_();
    const Tensor g = values({5}, {1, 2, 3, 4, 5});
    entry.call({x})[0].backward(g);
    EXPECT_EQ(x.grad().to_vector<double>(), g.to_vector<double>()) << entry.name;
  }
}

}  // namespace tern::test
