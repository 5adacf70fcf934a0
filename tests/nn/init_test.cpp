#include <algorithm>
#include <cmath>

#include <gtest/gtest.h>

#include <tern/core/ops/matmul.h>
#include <tern/core/parallel.h>
#include <tern/core/random.h>
#include <tern/nn/init.h>

namespace tern::nn {
namespace {

struct Moments {
  double mean = 0, std = 0, low = 0, high = 0;
};
Moments moments(const Tensor& x) {
  const std::vector<double> v = x.to_vector<double>();
  const double n = static_cast<double>(v.size());
  Moments m{0, 0, *std::min_element(v.begin(), v.end()), *std::max_element(v.begin(), v.end())};
  for (const double e : v) m.mean += e / n;
  for (const double e : v) m.std += (e - m.mean) * (e - m.mean) / n;
  m.std = std::sqrt(m.std);
  return m;
}

// Statistics of 64 * 32 * 9 draws stay within these many of their own deviations.
constexpr double kLoose = 0.03;

class Init : public ::testing::Test {
 protected:
  Init() { manual_seed(7); }
  Tensor weight_ = empty({64, 32, 3, 3});
};

TEST_F(Init, FansCountInputsAndOutputs) {
  EXPECT_EQ(init::fans(weight_).in, 32 * 9);
  EXPECT_EQ(init::fans(weight_).out, 64 * 9);
  EXPECT_THROW((void)init::fans(empty({3})), ShapeError);
}

TEST_F(Init, UniformOnesFillTheirRange) {
  const auto expect_bound = [&](double bound) {
    const Moments m = moments(weight_);
    EXPECT_NEAR(m.low, -bound, 0.01 * bound);
    EXPECT_NEAR(m.high, bound, 0.01 * bound);
    EXPECT_LE(std::max(-m.low, m.high), bound);
    EXPECT_NEAR(m.std, bound / std::sqrt(3.0), kLoose * bound);
    EXPECT_NEAR(m.mean, 0, kLoose * bound);
  };
  init::default_weight_(weight_);
  expect_bound(1 / std::sqrt(288.0));
  init::kaiming_uniform_(weight_, {.nonlinearity = init::Nonlinearity::kRelu});
  expect_bound(std::sqrt(6.0 / 288));
  init::xavier_uniform_(weight_, 2);
  expect_bound(2 * std::sqrt(6.0 / (288 + 576)));
  Tensor bias = empty({20000});
  init::default_bias_(bias, weight_);
  EXPECT_NEAR(moments(bias).high, 1 / std::sqrt(288.0), 1e-4);
}

TEST_F(Init, NormalOnesHaveTheirDeviation) {
  init::kaiming_normal_(weight_);
  EXPECT_NEAR(moments(weight_).std, std::sqrt(2.0 / 288), kLoose * std::sqrt(2.0 / 288));
  init::kaiming_normal_(weight_, {.mode = init::FanMode::kFanOut, .nonlinearity = init::Nonlinearity::kRelu});
  EXPECT_NEAR(moments(weight_).std, std::sqrt(2.0 / 576), kLoose * std::sqrt(2.0 / 576));
  init::xavier_normal_(weight_);
  EXPECT_NEAR(moments(weight_).std, std::sqrt(2.0 / 864), kLoose * std::sqrt(2.0 / 864));
  init::normal_(weight_, 3, 0.5);
  EXPECT_NEAR(moments(weight_).mean, 3, kLoose);
}

TEST_F(Init, TruncatedNormalStaysInsideWithTheRightShape) {
  init::trunc_normal_(weight_, 0, 1, -1, 2);
  const Moments m = moments(weight_);
  EXPECT_GE(m.low, -1);
  EXPECT_LE(m.high, 2);
  // Of a normal cut to [a, b]: mean (phi(a) - phi(b)) / Z, Z the probability of [a, b].
  const auto phi = [](double x) { return std::exp(-x * x / 2) / std::sqrt(2 * M_PI); };
  const double z = (std::erf(2 / std::sqrt(2.0)) + std::erf(1 / std::sqrt(2.0))) / 2;
  EXPECT_NEAR(m.mean, (phi(-1) - phi(2)) / z, kLoose);
}

TEST_F(Init, OrthogonalHasOrthonormalRowsOrColumns) {
  for (const Shape& shape : {Shape{4, 3, 2}, Shape{7, 3}, Shape{5, 5}, Shape{1, 6}}) {
    Tensor x = empty(shape, DType::kF64);
    init::orthogonal_(x, 2);
    const Tensor m = x.reshape({shape[0], -1});
    const Tensor product = m.size(0) <= m.size(1) ? matmul(m, m.t()) : matmul(m.t(), m);
    for (int64_t i = 0; i < product.size(0); ++i)
      for (int64_t j = 0; j < product.size(0); ++j)
        EXPECT_NEAR(product[i][j].item(), i == j ? 4 : 0, 1e-12) << to_string(shape);
  }
}

TEST_F(Init, EyeAndDirac) {
  Tensor x = empty({2, 3});
  init::eye_(x);
  EXPECT_EQ(x.to_vector<double>(), (std::vector<double>{1, 0, 0, 0, 1, 0}));
  Tensor w = empty({4, 2, 3, 3});
  init::dirac_(w, 2);
  double total = 0;
  for (const double v : w.to_vector<double>()) total += v;
  EXPECT_EQ(total, 4);
  for (int64_t o = 0; o < 4; ++o) EXPECT_EQ(w[o][o % 2][1][1].item(), 1);
  EXPECT_THROW(init::dirac_(w, 3), ValueError);
}

TEST_F(Init, DoesNotDependOnThreadsOrDtypeAndFollowsTheSeed) {
  const auto draw = [](DType dtype, int threads, uint64_t seed) {
    const int before = num_threads();
    set_num_threads(threads);
    manual_seed(seed);
    Tensor x = empty({100, 101}, dtype);
    init::trunc_normal_(x);
    set_num_threads(before);
    return x.to(DType::kF32).to_vector<float>();
  };
  const auto one = draw(DType::kF32, 1, 3);
  EXPECT_EQ(one, draw(DType::kF32, 3, 3));
  EXPECT_EQ(one, draw(DType::kF64, 2, 3));
  EXPECT_NE(one, draw(DType::kF32, 1, 4));
}

TEST_F(Init, SkippedFillsTouchNeitherTensorNorGenerator) {
  Tensor x = empty({3, 3}).fill_(5);
  const Generator::State before = default_generator().state();
  {
    const init::SkipRandomFills skip;
    init::normal_(x);
    init::orthogonal_(x);
    init::default_weight_(x);
  }
  EXPECT_EQ(x.to_vector<double>(), std::vector<double>(9, 5));
  EXPECT_EQ(default_generator().state(), before);
  init::normal_(x);
  EXPECT_NE(default_generator().state(), before);
}

TEST_F(Init, RefusesBadArguments) {
  Tensor integers = empty({2, 2}, DType::kI64), x = empty({2, 2});
  EXPECT_THROW(init::uniform_(integers), DTypeError);
  EXPECT_THROW(init::uniform_(x, 1, 0), ValueError);
  EXPECT_THROW(init::normal_(x, 0, -1), ValueError);
  EXPECT_THROW(init::trunc_normal_(x, 0, 1, 2, 2), ValueError);
  EXPECT_THROW(init::trunc_normal_(x, 0, 1e-3, 1, 2), ValueError) << "nothing of the distribution is there";
}

}  // namespace
}  // namespace tern::nn
