// Accuracy of the single-precision functions in kernels/vec_math.h, through the public ops, over floats spread evenly
// over all bit patterns. The bounds are the ones that the header states.
#include <bit>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <tern/core/ops/activation.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/elementwise.h>

namespace tern {
namespace {

constexpr float kInf = std::numeric_limits<float>::infinity();

// |got - want| in units of the last place of `want` as a float.
double ulps(float got, double want) {
  const auto rounded = static_cast<float>(want);
  if (std::isnan(want)) return std::isnan(got) ? 0 : 1e9;
  if (std::isinf(rounded) || std::isinf(got)) {
    // The last finite number and infinity are one step apart.
    if (got == rounded) return 0;
    return std::abs(static_cast<double>(std::isinf(got) ? rounded : got)) >= 3.4028e38 ? 1 : 1e9;
  }
  int exponent = 0;
  std::frexp(want, &exponent);
  const double unit = std::ldexp(1.0, std::max(exponent - 24, -149));
  return std::abs(static_cast<double>(got) - want) / unit;
}

struct Worst {
  double error = 0;
  float at = 0;
};

// Every 1021st float (a prime, so that all mantissas occur) in [low, high].
Worst worst_error(Tensor (*op)(const Tensor&), double (*exact)(double), float low, float high) {
  std::vector<float> points;
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += 1021) {
    const float x = std::bit_cast<float>(static_cast<uint32_t>(bits));
    if (x >= low && x <= high) points.push_back(x);
  }
  const std::vector<float> got = op(tensor(points)).to_vector<float>();
  Worst worst;
  for (size_t i = 0; i < points.size(); ++i) {
    const double error = ulps(got[i], exact(static_cast<double>(points[i])));
    if (error > worst.error) worst = {error, points[i]};
  }
  return worst;
}

double logistic(double x) {
  return 1 / (1 + std::exp(-x));
}

double exact_gelu(double x) {
  return 0.5 * x * std::erfc(-x / std::sqrt(2.0));
}
Tensor gelu_erf(const Tensor& x) {
  return gelu(x);
}

struct Case {
  const char* name;
  Tensor (*op)(const Tensor&);
  double (*exact)(double);
  float low, high;
  double bound;
};

std::ostream& operator<<(std::ostream& out, const Case& c) {
  return out << c.name;
}

class VecMath : public ::testing::TestWithParam<Case> {};

TEST_P(VecMath, IsAsAccurateAsStated) {
  const Case& c = GetParam();
  const Worst worst = worst_error(c.op, c.exact, c.low, c.high);
  EXPECT_LE(worst.error, c.bound) << "at " << worst.at;
  RecordProperty("ulp", std::to_string(worst.error));
}

INSTANTIATE_TEST_SUITE_P(
    Functions, VecMath,
    ::testing::Values(
        Case{"exp", exp, std::exp, -kInf, kInf, 1.1}, Case{"expm1", expm1, std::expm1, -kInf, kInf, 1.8},
        Case{"log", log, std::log, -kInf, kInf, 0.9}, Case{"log2", log2, std::log2, -kInf, kInf, 1.6},
        Case{"log1p", log1p, std::log1p, -kInf, kInf, 1.5}, Case{"tanh", tanh, std::tanh, -kInf, kInf, 2.5},
        Case{"sigmoid", sigmoid, logistic, -88.0f, kInf, 2.2}, Case{"erf", erf, std::erf, -kInf, kInf, 1.4},
        Case{"gelu", gelu_erf, exact_gelu, -12.8f, 3e38f, 7}, Case{"sin", sin, std::sin, -1e5f, 1e5f, 1.6},
        Case{"cos", cos, std::cos, -1e5f, 1e5f, 1.6}, Case{"sin_wide", sin, std::sin, 1e5f, 1e30f, 1.6},
        Case{"cos_wide", cos, std::cos, -1e30f, -1e5f, 1.6}),
    [](const ::testing::TestParamInfo<Case>& one) { return std::string(one.param.name); });

TEST(VecMathLimits, SpecialValues) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> x{0.0f, -0.0f, kInf, -kInf, nan, 1e-45f, -1e-45f, 88.8f, -150.0f};
  const auto check = [&](const char* name, Tensor (*op)(const Tensor&), double (*exact)(double)) {
    const std::vector<float> got = op(tensor(x)).to_vector<float>();
    for (size_t i = 0; i < x.size(); ++i) {
      const auto want = static_cast<float>(exact(static_cast<double>(x[i])));
      EXPECT_TRUE((std::isnan(got[i]) && std::isnan(want)) || got[i] == want || std::abs(got[i] - want) <= 1e-6f)
          << name << "(" << x[i] << ") = " << got[i] << ", expected " << want;
    }
  };
  check("exp", exp, std::exp);
  check("expm1", expm1, std::expm1);
  check("log", log, std::log);
  check("log2", log2, std::log2);
  check("log1p", log1p, std::log1p);
  check("tanh", tanh, std::tanh);
  check("sigmoid", sigmoid, logistic);
  check("erf", erf, std::erf);
  check("sin", sin, std::sin);
  check("cos", cos, std::cos);
}

TEST(VecMathLimits, GeluIsZeroFarBelowAndKeepsNaN) {
  const std::vector<float> got = gelu(tensor({-12.9, -1e4, -1e30, std::nan(""), 50.0})).to_vector<float>();
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(got[i], 0.0f);
  EXPECT_TRUE(std::isnan(got[3]));
  EXPECT_EQ(got[4], 50.0f);
}

TEST(VecMathLimits, GeluSlopeInSinglePrecision) {
  std::vector<double> points;
  for (double x = -14; x <= 14; x += 0.00371) points.push_back(static_cast<double>(static_cast<float>(x)));
  Tensor x = tensor(points).to(DType::kF32).requires_grad_();
  gelu(x).sum().backward();
  const std::vector<float> got = x.grad().to_vector<float>();
  for (size_t i = 0; i < points.size(); ++i) {
    const double at = points[i], bell = std::exp(-0.5 * at * at) / std::sqrt(2 * 3.14159265358979323846);
    EXPECT_NEAR(static_cast<double>(got[i]), 0.5 * std::erfc(-at / std::sqrt(2.0)) + at * bell, 2.5e-7) << at;
  }
}

TEST(VecMathLimits, ExpGivesSubnormals) {
  const std::vector<float> got = exp(tensor({-88.0, -95.0, -103.0, -104.0})).to_vector<float>();
  for (size_t i = 0; i < 3; ++i) EXPECT_GT(got[i], 0.0f);
  EXPECT_EQ(got[3], 0.0f);
}

}  // namespace
}  // namespace tern
