#include <cmath>

#include <gtest/gtest.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/autograd/custom_op.h>
#include <tern/core/error.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/operators.h>

#include "core/numeric.h"

namespace tern {
namespace {

using test::leaf;

template <class F>
std::string non_finite(F&& f) {
  try {
    f();
  } catch (const NonFiniteError& error) {
    return error.what();
  }
  return "nothing was thrown";
}

TEST(Anomaly, NamesTheFirstOpAndTheModuleOfTheForward) {
  const autograd::AnomalyGuard guard;
  const autograd::ModuleScope model(""), layer("layer1"), block("0"), conv("act");
  const Tensor x = tensor({-1.0, 4.0});
  EXPECT_EQ(non_finite([&] { (void)(sqrt(x) + 1); }),
            "[sqrt] produced a non-finite value in an output of f32 [2] (in layer1.0.act)");
  EXPECT_EQ(non_finite([&] { (void)log(tensor({0.0})); }),
            "[log] produced a non-finite value in an output of f32 [1] (in layer1.0.act)");
}

TEST(Anomaly, NamesTheOpAndTheModuleOfTheBackward) {
  const autograd::AnomalyGuard guard;
  const Tensor x = leaf({0, 4});
  Tensor y;
  {
    const autograd::ModuleScope head("head"), norm("norm");
    y = sqrt(x);  // its derivative at 0 is infinite
  }
  const autograd::ModuleScope elsewhere("elsewhere");
  EXPECT_EQ(non_finite([&] { (y * 2).backward(ones_like(y)); }),
            "[sqrt] backward produced a non-finite gradient for input 0 of shape [2] (in head.norm)");
}

TEST(Anomaly, NamesCustomOps) {
  const CustomOp spoil(
      "spoil",
      [](CustomContext&, std::span<const Tensor> in) {
        Tensor out = empty_like(in[0]);
        out.data<float>()[0] = INFINITY;
        return out;
      },
      [](const CustomContext&, const Tensor& g) -> Gradients { return {g}; });
  const autograd::AnomalyGuard guard;
  EXPECT_EQ(non_finite([&] { (void)spoil({tensor({1.0})}); }),
            "[spoil] produced a non-finite value in an output of f32 [1]");
}

TEST(Anomaly, IsSilentOutsideItsScopeAndForFiniteValues) {
  const Tensor bad = tensor({-1.0});
  EXPECT_NO_THROW((void)sqrt(bad));
  {
    const autograd::AnomalyGuard guard;
    EXPECT_NO_THROW((void)sqrt(tensor({4.0})));
    { const autograd::AnomalyGuard inner; }
    EXPECT_THROW((void)sqrt(bad), NonFiniteError) << "an inner guard must not switch it off";
  }
  EXPECT_NO_THROW((void)sqrt(bad));
}

TEST(Anomaly, FindsInfinitiesInAnyLayout) {
  const autograd::AnomalyGuard guard;
  Tensor x = zeros({4, 6});
  x.select(0, 1).select(0, 3).fill_(1e30);
  EXPECT_THROW((void)square(x.t().slice(0, 0, 6, 3)), NonFiniteError);
  EXPECT_NO_THROW((void)square(x.t().slice(0, 1, 6, 3)));
}

TEST(ModulePath, IsTheNestOfOpenScopes) {
  EXPECT_EQ(autograd::current_module_path(), "");
  const autograd::ModuleScope a("a");
  {
    const autograd::ModuleScope b("b");
    EXPECT_EQ(autograd::current_module_path(), "a.b");
  }
  EXPECT_EQ(autograd::current_module_path(), "a");
}

TEST(ErrorText, KeepsTheInnermostPath) {
  Error error("[op] expected x, got y");
  error.set_module_path("");
  EXPECT_STREQ(error.what(), "[op] expected x, got y");
  error.set_module_path("layer1.conv");
  error.set_module_path("layer1");
  EXPECT_STREQ(error.what(), "[op] expected x, got y (in layer1.conv)");
  EXPECT_EQ(error.message(), "[op] expected x, got y");
}

TEST(Concat, PrintsNumbersInTheirShortestForm) {
  EXPECT_EQ(concat("a ", 1, ' ', 0.1, ' ', 1e-5, ' ', true, ' ', Shape{1, 2}, ' ', DType::kI8),
            "a 1 0.1 1e-05 true [1, 2] i8");
}

}  // namespace
}  // namespace tern
