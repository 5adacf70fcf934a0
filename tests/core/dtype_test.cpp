#include <bit>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <tern/core/dtype.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/create.h>

namespace tern {
namespace {

// The nearest representable value to v on a grid, ties to even: an independent statement of what conversion must do.
// digits: significant bits with the hidden one; least: the exponent of the smallest step.
double nearest(double v, int digits, int least) {
  if (v == 0 || std::isinf(v) || std::isnan(v)) return v;
  int exponent = 0;
  std::frexp(v, &exponent);  // |v| in [2^(exponent-1), 2^exponent)
  const double step = std::ldexp(1.0, std::max(exponent - digits, least));
  const double steps = v / step;  // exact: a power of two
  const double below = std::floor(steps), rest = steps - below;
  const double chosen = rest < 0.5 || (rest == 0.5 && std::fmod(below, 2.0) == 0) ? below : below + 1;
  return chosen * step;
}

// Every 509th float, and those around the edges.
template <class F>
void for_many_floats(const F& f) {
  for (uint64_t bits = 0; bits < (uint64_t{1} << 32); bits += 509) f(std::bit_cast<float>(static_cast<uint32_t>(bits)));
  for (const float edge :
       {0x1p-14f, 0x1p-24f, 0x1p-25f, 65504.0f, 65520.0f, 65536.0f, 1.0f, 0x1p-126f, 0x1p-133f, 3.4e38f})
    for (int offset = -4; offset <= 4; ++offset) {
      const float x = std::bit_cast<float>(std::bit_cast<uint32_t>(edge) + static_cast<uint32_t>(offset));
      f(x);
      f(-x);
    }
}

TEST(Half, ConvertsEveryBitPatternBackAndForth) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    Half h;
    h.bits = static_cast<uint16_t>(bits);
    const auto f = static_cast<float>(h);
    if (std::isnan(f)) {
      EXPECT_TRUE(std::isnan(static_cast<float>(Half(f))));
      EXPECT_EQ(bits & 0x7c00u, 0x7c00u);
    } else {
      ASSERT_EQ(Half(f).bits, h.bits) << f;
    }
  }
}

TEST(Half, RoundsHalfToEven) {
  for_many_floats([](float x) {
    const auto got = static_cast<float>(Half(x));
    if (std::isnan(x)) {
      ASSERT_TRUE(std::isnan(got));
      return;
    }
    double want = nearest(static_cast<double>(x), 11, -24);
    if (std::abs(want) > 65504) want = std::copysign(std::numeric_limits<double>::infinity(), want);
    ASSERT_EQ(static_cast<double>(got), want) << x;
    ASSERT_EQ(std::signbit(got), std::signbit(x));
  });
}

TEST(BFloat16, RoundsHalfToEven) {
  for_many_floats([](float x) {
    const auto got = static_cast<float>(BFloat16(x));
    if (std::isnan(x)) {
      ASSERT_TRUE(std::isnan(got));
      return;
    }
    double want = nearest(static_cast<double>(x), 8, -133);
    if (std::abs(want) >= 0x1p128) want = std::copysign(std::numeric_limits<double>::infinity(), want);
    ASSERT_EQ(static_cast<double>(got), want) << x;
    ASSERT_EQ(std::signbit(got), std::signbit(x));
  });
}

TEST(BFloat16, KeepsEveryValueAndNan) {
  for (uint32_t bits = 0; bits < 65536; ++bits) {
    BFloat16 b;
    b.bits = static_cast<uint16_t>(bits);
    const auto f = static_cast<float>(b);
    if (!std::isnan(f)) {
      ASSERT_EQ(BFloat16(f).bits, b.bits);
    }
  }
  // A NaN whose payload lies in the lower half must not become an infinity.
  EXPECT_TRUE(std::isnan(static_cast<float>(BFloat16(std::bit_cast<float>(0x7f800001u)))));
}

TEST(DType, NamesSizesAndKinds) {
  EXPECT_EQ(to_string(DType::kBF16), "bf16");
  EXPECT_EQ(to_string(DType::kU8), "u8");
  EXPECT_EQ(size_of(DType::kF64), 8);
  EXPECT_EQ(size_of(DType::kF16), 2);
  EXPECT_EQ(size_of(DType::kI8), 1);
  EXPECT_TRUE(is_floating(DType::kBF16));
  EXPECT_FALSE(is_floating(DType::kI64));
}

TEST(DType, PromotesToTheWiderKind) {
  const auto both = [](DType a, DType b) {
    EXPECT_EQ(promote(a, b), promote(b, a));
    return promote(a, b);
  };
  EXPECT_EQ(both(DType::kF32, DType::kF64), DType::kF64);
  EXPECT_EQ(both(DType::kBF16, DType::kF16), DType::kF32);
  EXPECT_EQ(both(DType::kBF16, DType::kBF16), DType::kBF16);
  EXPECT_EQ(both(DType::kI64, DType::kF32), DType::kF32);
  EXPECT_EQ(both(DType::kI64, DType::kF16), DType::kF16);
  EXPECT_EQ(both(DType::kU8, DType::kI8), DType::kI32);
  EXPECT_EQ(both(DType::kU8, DType::kI64), DType::kI64);
}

TEST(DType, ConversionsTruncateRoundAndKeepSpecialValues) {
  const Tensor x = tensor({-2.7, -0.5, 0.5, 3.9});
  EXPECT_EQ(x.to(DType::kI64).to_vector<int64_t>(), (std::vector<int64_t>{-2, 0, 0, 3}));
  EXPECT_EQ(x.to(DType::kBF16).to(DType::kF32).to_vector<float>(),
            (std::vector<float>{-2.703125f, -0.5f, 0.5f, 3.90625f}));
  const double infinity = std::numeric_limits<double>::infinity();
  const Tensor limits = tensor(std::vector<double>{infinity, -infinity, 1e300, 1e-300});
  EXPECT_EQ(limits.to(DType::kF32).to_vector<double>(), (std::vector<double>{infinity, -infinity, infinity, 0}));
  EXPECT_EQ(tensor({70000.0}).to(DType::kF16).to_vector<double>()[0], infinity);
}

TEST(DType, DispatchNamesTheOpThatRefuses) {
  try {
    dispatch_float("op", DType::kI8, []<class T>() {});
    FAIL();
  } catch (const DTypeError& error) {
    EXPECT_STREQ(error.what(), "[op] expected f32 or f64, got i8");
  }
}

}  // namespace
}  // namespace tern
