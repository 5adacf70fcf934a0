// Sums and means against a plain loop, over the layouts and axes that have kernels of their own, and their bits at
// several thread counts.
#include <cmath>
#include <cstring>

#include <gtest/gtest.h>

#include <tern/core/autograd/gradcheck.h>
#include <tern/core/error.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/reduce.h>
#include <tern/core/ops/shape.h>
#include <tern/core/parallel.h>
#include <tern/core/random.h>

namespace tern {
namespace {

Tensor random_tensor(const Shape& shape, DType dtype, uint64_t seed = 1) {
  Tensor x = empty(shape, DType::kF64);
  Generator generator(seed);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<double>()[i] = generator.uniform(-1, 2);
  return x.to(dtype);
}

std::vector<double> plain_sum(const Tensor& x, const Dims& axes) {
  Dims kept_strides(x.dim(), 0);
  int64_t size = 1;
  for (int64_t a = x.dim() - 1; a >= 0; --a) {
    if (std::find(axes.begin(), axes.end(), a) != axes.end()) continue;
    kept_strides[a] = size;
    size *= x.shape()[a];
  }
  std::vector<double> out(static_cast<size_t>(size), 0.0);
  const std::vector<double> values = x.to_vector<double>();
  for (int64_t i = 0; i < x.numel(); ++i) {
    int64_t rest = i, o = 0;
    for (int64_t a = x.dim() - 1; a >= 0; --a) {
      o += rest % x.shape()[a] * kept_strides[a];
      rest /= x.shape()[a];
    }
    out[static_cast<size_t>(o)] += values[static_cast<size_t>(i)];
  }
  return out;
}

void expect_sum(const Tensor& x, const Dims& axes) {
  for (const bool keepdim : {false, true}) {
    const std::vector<double> expected = plain_sum(x, normalize_axes("test", axes, x.dim()));
    const Tensor result = x.sum(axes, keepdim);
    const std::vector<double> got = result.to_vector<double>();
    ASSERT_EQ(got.size(), expected.size());
    const double tolerance = x.dtype() == DType::kF32 ? 3e-7 : 1e-12;
    const double terms = static_cast<double>(std::max<int64_t>(x.numel(), 1)) / static_cast<double>(expected.size());
    for (size_t i = 0; i < got.size(); ++i)
      ASSERT_NEAR(got[i], expected[i], tolerance * std::max(1.0, terms))
          << to_string(x.shape()) << " over " << to_string(axes) << ", element " << i;
  }
}

TEST(Sum, MatchesAPlainLoopOverEveryChoiceOfAxes) {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    for (const Shape& shape : {Shape{7, 19, 5, 3}, Shape{2, 33, 9, 11}, Shape{3, 1, 1, 70}, Shape{1, 1, 1, 1}}) {
      const Tensor x = random_tensor(shape, dtype);
      const Tensor layouts[] = {x, x.contiguous(MemoryFormat::kChannelsLast), x.permute({3, 1, 0, 2}),
                                x.slice(3, 0, 100, 2), x.slice(0, 0, 1).expand({4, -1, -1, -1})};
      for (const Tensor& layout : layouts)
        for (int mask = 0; mask < 16; ++mask) {
          Dims axes;
          for (int64_t a = 0; a < 4; ++a)
            if (mask >> a & 1) axes.push_back(a);
          expect_sum(layout, axes);
        }
    }
  }
}

TEST(Sum, MatchesAPlainLoopOnLongRowsAndTallColumns) {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    expect_sum(random_tensor({150001}, dtype), {0});
    expect_sum(random_tensor({3, 70001}, dtype), {1});
    expect_sum(random_tensor({20011, 10}, dtype), {0});
    expect_sum(random_tensor({613, 1031}, dtype), {0});
    expect_sum(random_tensor({613, 1031}, dtype).slice(1, 3, 1030, 3), {0});
    expect_sum(random_tensor({16, 40, 41, 16}, dtype).permute({0, 3, 1, 2}), {0, 2, 3});
    expect_sum(random_tensor({5, 40, 41, 16}, dtype).permute({0, 3, 1, 2}), {2, 3});
  }
}

TEST(Sum, OfIntegersIsExactAndI64) {
  Tensor x = empty({3, 1000}, DType::kU8);
  x.fill_(255);
  EXPECT_EQ(x.sum().dtype(), DType::kI64);
  EXPECT_EQ(x.sum().item_i64(), 765000);
  EXPECT_EQ(x.sum({0}).to_vector<int64_t>(), std::vector<int64_t>(1000, 765));
}

TEST(Sum, OverNothingIsZeroAndItsMeanNaN) {
  const Tensor x = empty({0, 3});
  EXPECT_EQ(x.sum({0}).to_vector<double>(), std::vector<double>(3, 0.0));
  EXPECT_EQ(x.sum({1}).numel(), 0);
  EXPECT_TRUE(std::isnan(x.mean().item()));
}

TEST(Sum, OfManyEqualNumbersLosesNothing) {
  const Tensor x = empty({1 << 22}).fill_(0.1);
  EXPECT_FLOAT_EQ(static_cast<float>(x.sum().item()), 0.1f * static_cast<float>(1 << 22));
  EXPECT_FLOAT_EQ(static_cast<float>(x.mean().item()), 0.1f);
}

TEST(Sum, HasTheSameBitsAtAnyNumberOfThreads) {
  const Tensor x = random_tensor({37, 64, 31, 29}, DType::kF32);
  const Tensor y = x.contiguous(MemoryFormat::kChannelsLast);
  for (const Tensor& input : {x, y})
    for (const Dims& axes : {Dims{}, Dims{0, 2, 3}, Dims{1}, Dims{3}, Dims{0}}) {
      set_num_threads(1);
      const std::vector<float> one = input.sum(axes).to_vector<float>();
      for (const int threads : {2, 3, 8}) {
        set_num_threads(threads);
        const std::vector<float> many = input.sum(axes).to_vector<float>();
        EXPECT_EQ(std::memcmp(one.data(), many.data(), one.size() * sizeof(float)), 0) << to_string(axes);
      }
    }
  set_num_threads(0);
}

TEST(Sum, GradientsMatchCentralDifferences) {
  const Tensor x = random_tensor({2, 3, 4}, DType::kF64).requires_grad_();
  for (const Dims& axes : {Dims{}, Dims{1}, Dims{0, 2}}) {
    const auto result = autograd::gradcheck(
        [&](const std::vector<Tensor>& in) {
          return in[0].sum({1}, true).expand({2, 3, 4}).mean(axes);
        },
        {x});
    EXPECT_TRUE(result) << result.message;
  }
}

TEST(Sum, RefusesWrongAxesAndHalves) {
  const Tensor x = empty({2, 3});
  try {
    (void)x.sum({0, -2});
    FAIL();
  } catch (const ShapeError& e) {
    EXPECT_STREQ(e.what(), "[sum] expected every axis once, got [0, -2]");
  }
  EXPECT_THROW((void)x.sum({2}), ShapeError);
  EXPECT_THROW((void)empty({2}, DType::kBF16).sum(), DTypeError);
  EXPECT_THROW((void)empty({2}, DType::kI64).mean(), DTypeError);
}

}  // namespace
}  // namespace tern
