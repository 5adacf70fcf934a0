// The affine quantizer against PyTorch's fake_quantize and numpy (tests/golden/quant), and against what holds for every
// quantizer.
#include <cmath>
#include <cstring>
#include <limits>
#include <set>

#include <gtest/gtest.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/autograd/gradcheck.h>
#include <tern/core/error.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/operators.h>
#include <tern/core/parallel.h>
#include <tern/core/random.h>
#include <tern/quant/affine.h>

#include "golden_file.h"
#include "message_of.h"

namespace tern::quant {
namespace {

using test::message_of;

constexpr AffineOrder kOrders[] = {AffineOrder::kFused, AffineOrder::kSplit, AffineOrder::kReciprocal};

std::vector<test::GoldenCase> golden(const std::string& op) {
  std::vector<test::GoldenCase> cases;
  for (test::GoldenCase& one : test::load_golden(std::string(TERN_GOLDEN_DIR) + "/quant/affine.safetensors"))
    if (one.op() == op) cases.push_back(std::move(one));
  return cases;
}

Tensor gaussian(const Shape& shape, double scale, uint64_t seed, DType dtype = DType::kF32) {
  Generator generator(seed);
  Tensor x = empty(shape, DType::kF64);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<double>()[i] = scale * generator.normal();
  return x.to(dtype);
}

template <class T>
void expect_same_bits(const Tensor& a, const Tensor& b, const std::string& what) {
  ASSERT_EQ(a.shape(), b.shape()) << what;
  const auto x = a.to_vector<T>(), y = b.to_vector<T>();
  for (size_t i = 0; i < x.size(); ++i) ASSERT_EQ(x[i], y[i]) << what << ", element " << i;
}

TEST(Affine, FakeQuantizeIsPyTorchs) {
  const std::vector<test::GoldenCase> cases = golden("fake_quantize");
  ASSERT_EQ(cases.size(), 32U);
  for (const test::GoldenCase& c : cases) {
    const bool per_tensor = c["scale"].dim() == 0;
    Affine affine{
        .type = {.bits = c.attributes.at("bits").get<int>(), .is_signed = c.attributes.at("signed").get<bool>()},
        .order = AffineOrder::kReciprocal,
        .scale = c["scale"],
        .zero_point = c["zero"]};
    if (!per_tensor) affine.granularity = Granularity::channel(c.attributes.at("axis").get<int64_t>());
    Tensor x = c["in0"];
    x.requires_grad_();
    const Tensor out = fake_quantize(x, affine);
    out.backward(c["grad_out"]);
    expect_same_bits<float>(out, c["out"], c.name);
    expect_same_bits<float>(x.grad(), c["grad0"], c.name + " gradient");
    const NoGradGuard no_grad;
    expect_same_bits<float>(dequantize(quantize(x, affine), affine), c["out"], c.name + " in two passes");
  }
}

TEST(Affine, RulesGiveTheScalesAndCodesOfTheirDefinitions) {
  const std::vector<test::GoldenCase> cases = golden("ranges");
  ASSERT_EQ(cases.size(), 21U);
  for (const test::GoldenCase& c : cases) {
    const auto& at = c.attributes;
    AffineOptions options{.type = {.bits = at.at("bits").get<int>(), .is_signed = at.at("signed").get<bool>()},
                          .granularity = Granularity::group(-1, at.at("group").get<int64_t>()),
                          .rule = {.symmetric = at.at("symmetric").get<bool>(),
                                   .divisor = at.at("top").get<bool>() ? Divisor::kTop : Divisor::kHalfRange,
                                   .min_range = at.at("min_range").get<double>(),
                                   .min_scale = at.at("min_scale").get<double>(),
                                   .scale_of_zeros = at.at("scale_of_zeros").get<double>(),
                                   .include_zero = at.at("include_zero").get<bool>()}};
    options.granularity.pad_last = at.at("pad_last").get<bool>();
    const char* names[] = {"fused", "split", "reciprocal"};
    for (int k = 0; k < 3; ++k) {
      options.order = kOrders[k];
      const Affine affine = affine_of(c["in0"], options);
      expect_same_bits<float>(affine.scale, c["scale"], c.name);
      EXPECT_EQ(affine.zero_point.defined(), !options.rule.symmetric);
      if (affine.zero_point.defined()) expect_same_bits<int32_t>(affine.zero_point, c["zero"], c.name);
      expect_same_bits<int32_t>(quantize(c["in0"], affine).to(DType::kI32), c[names[k]], c.name + " " + names[k]);
    }
  }
}

TEST(Affine, OrdersDifferWhereHalvesMeetAnOddZeroPoint) {
  const Tensor x = tensor({-7.0, -6.5, -5.5, -0.5, 0.5, 1.5, 2.5, 8.0});
  Affine affine{
      .type = {.bits = 4, .is_signed = false}, .scale = ones({}), .zero_point = empty({}, DType::kI32).fill_(7)};
  EXPECT_EQ(quantize(x, affine).to_vector<int>(), (std::vector<int>{0, 0, 2, 6, 8, 8, 10, 15}));
  affine.order = AffineOrder::kSplit;
  EXPECT_EQ(quantize(x, affine).to_vector<int>(), (std::vector<int>{0, 1, 1, 7, 7, 9, 9, 15}));
}

TEST(Affine, Types) {
  EXPECT_EQ((BitType{.bits = 8}).lo(), -128);
  EXPECT_EQ((BitType{.bits = 8}).hi(), 127);
  EXPECT_EQ((BitType{.bits = 4, .restricted = true}).lo(), -7);
  EXPECT_EQ((BitType{.bits = 16, .is_signed = false}).hi(), 65535);
  EXPECT_EQ(kTernary.lo(), -1);
  EXPECT_EQ(kTernary.hi(), 1);
  EXPECT_EQ((BitType{.bits = 8}).dtype(), DType::kI8);
  EXPECT_EQ((BitType{.bits = 3, .is_signed = false}).dtype(), DType::kU8);
  EXPECT_EQ((BitType{.bits = 16}).dtype(), DType::kI32);
  EXPECT_EQ(to_string(BitType{.bits = 4, .is_signed = false}), "uint4");
  EXPECT_EQ(to_string(kTernary), "int2 restricted");
  EXPECT_EQ(scale_shape({4, 10, 3}, Granularity::group(1, 4)), (Shape{4, 3, 3}));
  EXPECT_EQ(scale_shape({4, 10, 3}, Granularity::channel(-1)), (Shape{3}));
  EXPECT_EQ(scale_shape({4, 10, 3}, Granularity::tensor()), (Shape{}));
}

// -- what holds for every quantizer

struct Setting {
  AffineOptions options;
  std::string name;
};

std::vector<Setting> all_settings() {
  std::vector<Setting> all;
  const std::vector<std::pair<Granularity, const char*>> granularities{{Granularity::tensor(), "tensor"},
                                                                       {Granularity::channel(0), "channel 0"},
                                                                       {Granularity::channel(1), "channel 1"},
                                                                       {Granularity::channel(2), "channel 2"},
                                                                       {Granularity::group(2, 4), "groups of rows"},
                                                                       {Granularity::group(1, 2), "groups across"},
                                                                       {Granularity::group(0, 5), "one group"}};
  for (const int bits : {2, 3, 4, 5, 6, 7, 8, 16})
    for (const int kind : {0, 1, 2, 3})  // symmetric, restricted, unsigned, signed with a zero point
      for (const auto& [granularity, name] : granularities)
        for (const AffineOrder order : kOrders) {
          const bool symmetric = kind < 2;
          all.push_back({{.type = {.bits = bits, .is_signed = kind != 2, .restricted = kind == 1},
                          .granularity = granularity,
                          .rule = {.symmetric = symmetric,
                                   .divisor = kind == 1 ? Divisor::kTop : Divisor::kHalfRange,
                                   .include_zero = true},
                          .order = order},
                         concat(bits, " bits, kind ", kind, ", ", name, ", order ", static_cast<int>(order))});
        }
  return all;
}

// Each element's scale and zero point, in x's shape: by a path of its own, one index at a time.
struct Expanded {
  std::vector<double> scale;
  std::vector<int> zero;
};
Expanded expand(const Shape& shape, const Affine& a) {
  Expanded out;
  const auto scale = a.scale.to_vector<double>();
  const auto zero = a.zero_point.defined() ? a.zero_point.to_vector<int>() : std::vector<int>(scale.size(), 0);
  for (int64_t i = 0; i < shape[0]; ++i)
    for (int64_t j = 0; j < shape[1]; ++j)
      for (int64_t k = 0; k < shape[2]; ++k) {
        int64_t at[3] = {i, j, k}, s = 0;
        const auto& g = a.granularity;
        if (g.kind == Granularity::Kind::kChannel) s = at[g.axis];
        if (g.kind == Granularity::Kind::kGroup) {
          at[g.axis] /= g.group_size;
          s = (at[0] * a.scale.size(1) + at[1]) * a.scale.size(2) + at[2];
        }
        out.scale.push_back(scale[static_cast<size_t>(s)]);
        out.zero.push_back(zero[static_cast<size_t>(s)]);
      }
  return out;
}

TEST(AffineProperties, CodesLieOnTheGridAndErrorsAreHalfAStep) {
  const Tensor x = gaussian({3, 5, 11}, 1.5, 1);
  const auto values = x.to_vector<double>();
  for (const auto& [options, name] : all_settings()) {
    const Affine affine = affine_of(x, options);
    const Expanded e = expand(x.shape(), affine);
    const auto codes = quantize(x, affine).to_vector<int>();
    const auto round_trip = fake_quantize(x, affine).to_vector<double>();
    std::map<std::pair<double, int>, std::set<double>> levels;
    for (size_t i = 0; i < values.size(); ++i) {
      ASSERT_TRUE(codes[i] >= options.type.lo() && codes[i] <= options.type.hi()) << name;
      ASSERT_EQ(round_trip[i],
                static_cast<double>(static_cast<float>((codes[i] - e.zero[i])) * static_cast<float>(e.scale[i])))
          << name;
      levels[{e.scale[i], e.zero[i]}].insert(round_trip[i]);
      const double low = (options.type.lo() - e.zero[i] - 0.5) * e.scale[i],
                   high = (options.type.hi() - e.zero[i] + 0.5) * e.scale[i];
      if (values[i] >= low && values[i] <= high)
        ASSERT_LE(std::abs(round_trip[i] - values[i]), 0.5 * e.scale[i] * (1 + 1e-6) + 1e-6 * std::abs(values[i]))
            << name;
      else  // beyond the range: the nearest end
        ASSERT_EQ(codes[i], values[i] < low ? options.type.lo() : options.type.hi()) << name;
    }
    for (const auto& [scale, found] : levels) ASSERT_LE(found.size(), size_t{1} << options.type.bits) << name;
  }
}

TEST(AffineProperties, QuantizingTwiceChangesNothing) {
  const Tensor x = gaussian({3, 5, 11}, 0.01, 2);
  for (const auto& [options, name] : all_settings()) {
    const Affine affine = affine_of(x, options);
    const Tensor once = fake_quantize(x, affine);
    expect_same_bits<float>(fake_quantize(once, affine), once, name);
    expect_same_bits<int32_t>(quantize(once, affine).to(DType::kI32), quantize(x, affine).to(DType::kI32), name);
  }
}

TEST(AffineProperties, ZeroIsExactAndSymmetricQuantizersAreOdd) {
  const Tensor x = gaussian({3, 5, 11}, 2, 3);
  for (const auto& [options, name] : all_settings()) {
    const Affine affine = affine_of(x, options);
    for (const double v : fake_quantize(zeros(x.shape()), affine).to_vector<double>()) ASSERT_EQ(v, 0) << name;
    if (!options.type.restricted) continue;
    expect_same_bits<float>(fake_quantize(neg(x), affine), neg(fake_quantize(x, affine)), name);
  }
}

TEST(AffineProperties, LargerValuesNeverHaveSmallerCodes) {
  std::vector<double> sorted;
  for (int i = -2000; i <= 2000; ++i) sorted.push_back(i * 0.00173);
  const Tensor x = tensor(sorted).to(DType::kF32);
  for (const auto& [options, name] : all_settings()) {
    if (options.granularity.kind != Granularity::Kind::kTensor) continue;
    const Affine affine = affine_of(gaussian({100}, 1, 4), options);
    const auto codes = quantize(x, affine).to_vector<int>();
    const auto values = fake_quantize(x, affine).to_vector<float>();
    for (size_t i = 1; i < codes.size(); ++i)
      ASSERT_TRUE(codes[i] >= codes[i - 1] && values[i] >= values[i - 1]) << name;
    EXPECT_EQ(codes.front(), options.type.lo()) << name;
    EXPECT_EQ(codes.back(), options.type.hi()) << name;
  }
}

TEST(AffineProperties, EveryFiniteRangeGivesAScale) {
  const float denormal = std::numeric_limits<float>::denorm_min(), huge = std::numeric_limits<float>::max();
  const std::vector<std::vector<float>> inputs{
      {0, 0, 0},          {-0.0F}, {3, 3, 3},     {-3, -3, -3}, {7}, {denormal, -denormal}, {1e-39F, 0},
      {1e30F, -1e30F, 1}, {1e30F}, {huge, -huge}, {huge, 0}};
  for (const bool symmetric : {true, false})
    for (const int bits : {2, 4, 8, 16})
      for (const double floor : {0x1p-23, 1e-8, 0.0})
        for (const bool include_zero : {true, false})
          for (const double of_zeros : {0.0, 1.0})
            for (const auto& values : inputs) {
              const Tensor x = tensor(values);
              const AffineOptions options{.type = {.bits = bits, .is_signed = symmetric},
                                          .rule = {.symmetric = symmetric,
                                                   .min_scale = floor,
                                                   .scale_of_zeros = of_zeros,
                                                   .include_zero = include_zero}};
              const Affine affine = affine_of(x, options);
              const float s = affine.scale.item<float>();
              ASSERT_TRUE(std::isnormal(s) && s > 0) << s << " for " << values[0] << ", " << bits << " bits";
              const float top = std::abs(*std::max_element(values.begin(), values.end(),
                                                           [](float a, float b) { return std::abs(a) < std::abs(b); }));
              for (const float v : fake_quantize(x, affine).to_vector<float>())
                ASSERT_TRUE(std::isfinite(v) || top > 1e38F) << v << " for " << values[0];
            }
  EXPECT_EQ(affine_of(zeros({4}), {.rule = {.scale_of_zeros = 1}}).scale.item<float>(), 1);
  EXPECT_EQ(affine_of(zeros({4}), {}).scale.item<float>(), 0x1p-23F);
}

TEST(AffineProperties, RangesAndCodesAreTheSameAtAnyNumberOfThreads) {
  const Tensor x = gaussian({64, 9, 300}, 1, 5);
  for (const Granularity& g : {Granularity::tensor(), Granularity::channel(0), Granularity::channel(1),
                               Granularity::channel(2), Granularity::group(2, 128), Granularity::group(0, 16)}) {
    const AffineOptions options{.granularity = g};
    set_num_threads(1);
    const Affine one = affine_of(x, options);
    const Tensor codes = quantize(x, one), values = fake_quantize(x, one);
    set_num_threads(4);
    const Affine four = affine_of(x, options);
    expect_same_bits<float>(four.scale, one.scale, "scales");
    expect_same_bits<int8_t>(quantize(x, four), codes, "codes");
    expect_same_bits<float>(fake_quantize(x, four), values, "values");
    set_num_threads(0);
  }
}

TEST(AffineProperties, LayoutDoesNotMatter) {
  const Tensor x = gaussian({6, 5, 7}, 1, 6), turned = x.transpose(0, 2).contiguous().transpose(0, 2);
  for (const Granularity& g : {Granularity::tensor(), Granularity::channel(1), Granularity::group(-1, 3)}) {
    const Affine affine = affine_of(x, {.granularity = g});
    expect_same_bits<float>(affine_of(turned, {.granularity = g}).scale, affine.scale, "scales");
    expect_same_bits<float>(fake_quantize(turned, affine), fake_quantize(x, affine), "values");
    expect_same_bits<int8_t>(quantize(turned, affine), quantize(x, affine), "codes");
  }
}

// A step of 1e-6 moves the staircase by nothing, so the straight-through gradient is compared with that of the function
// it stands for: x where it is not clamped, the nearest end of the range where it is.
TEST(Affine, GradientIsThatOfAClamp) {
  const Tensor x = gaussian({4, 6}, 1, 7, DType::kF64), g = gaussian({4, 6}, 1, 8, DType::kF64);
  for (const AffineOrder order : kOrders) {
    const Affine affine{.type = {.bits = 4, .is_signed = false},
                        .granularity = Granularity::channel(0),
                        .order = order,
                        .scale = tensor({0.05, 0.1, 0.2, 0.4}).to(DType::kF64),
                        .zero_point = tensor(std::vector<int32_t>{0, 7, 8, 15}, {4})};
    const Tensor scale = affine.scale.reshape({4, 1}), zero = affine.zero_point.to(DType::kF64).reshape({4, 1});
    const Tensor low = mul(sub(neg(zero), 0.5), scale), high = mul(add(neg(zero), 15.5), scale);
    const auto stands_for = [&](const std::vector<Tensor>& in) { return minimum(maximum(in[0], low), high); };
    Tensor leaf = x.detach().clone();
    leaf.requires_grad_();
    ASSERT_TRUE(autograd::gradcheck(stands_for, {leaf}));
    fake_quantize(leaf, affine).backward(g);
    const Tensor own = leaf.grad();
    Tensor other = x.detach().clone();
    other.requires_grad_();
    stands_for({other}).backward(g);
    expect_same_bits<double>(own, other.grad(), concat("order ", static_cast<int>(order)));
    int clamped = 0;
    for (const double v : own.to_vector<double>()) clamped += v == 0;
    EXPECT_GT(clamped, 2);
    EXPECT_LT(clamped, 20);
  }
}

TEST(Affine, EmptyTensorsAndInfinities) {
  const Affine affine{.scale = ones({})};
  EXPECT_EQ(quantize(empty({0, 3}), affine).shape(), (Shape{0, 3}));
  EXPECT_EQ(fake_quantize(empty({0, 3}), affine).shape(), (Shape{0, 3}));
  const float infinity = std::numeric_limits<float>::infinity();
  EXPECT_EQ(quantize(tensor({infinity, -infinity}), affine).to_vector<int>(), (std::vector<int>{127, -128}));
}

TEST(Affine, Errors) {
  const Tensor x = gaussian({2, 3}, 1, 9);
  const auto with = [](BitType type) { return AffineOptions{.type = type, .rule = {.symmetric = type.is_signed}}; };
  EXPECT_EQ(message_of<ValueError>([&] { (void)affine_of(x, with({.bits = 9})); }),
            "[affine] expected 2 to 8 bits, or 16, got 9");
  EXPECT_EQ(message_of<ValueError>([&] { (void)affine_of(x, with({.is_signed = false, .restricted = true})); }),
            "[affine] expected a restricted type to be signed, got uint8");
  EXPECT_EQ(message_of<ValueError>([&] { (void)affine_of(x, {.type = {.is_signed = false}}); }),
            "[affine_of] expected a signed type for a symmetric range, got uint8");
  EXPECT_EQ(message_of<ValueError>([&] { (void)affine_of(x, {.rule = {.min_scale = -1}}); }),
            "[affine] expected min_scale of at least 0, got -1");
  EXPECT_EQ(message_of<ShapeError>([&] { (void)ranges_of(x, Granularity::channel(2)); }),
            "[affine] expected an axis of the tensor, got axis 2 for shape [2, 3]");
  EXPECT_EQ(message_of<ValueError>([&] { (void)ranges_of(x, Granularity::group(1, 0)); }),
            "[affine] expected a group size of at least 1, got 0");
  EXPECT_THROW((void)ranges_of(empty({0}), {}), ShapeError);
  EXPECT_THROW((void)ranges_of(x.to(DType::kI32), {}), DTypeError);
  for (const Granularity& g :
       {Granularity::tensor(), Granularity::channel(0), Granularity::channel(1), Granularity::group(1, 2)})
    for (const float bad : {std::nanf(""), std::numeric_limits<float>::infinity()}) {
      Tensor broken = x.clone();
      broken.data<float>()[4] = bad;
      EXPECT_EQ(message_of<NonFiniteError>([&] { (void)ranges_of(broken, g); }),
                "[ranges_of] expected finite values, got NaN or infinity in f32 [2, 3]");
      if (!std::isnan(bad)) continue;
      const Affine affine = affine_of(x, {.granularity = g});
      EXPECT_EQ(message_of<NonFiniteError>([&] { (void)quantize(broken, affine); }),
                "[quantize] expected numbers, got NaN in f32 [2, 3]");
      EXPECT_THROW((void)fake_quantize(broken, affine), NonFiniteError);
    }
  EXPECT_THROW((void)affine_of(Ranges{ones({2}), zeros({2})}, {}), ValueError);
  EXPECT_THROW((void)affine_of(Ranges{ones({2}), ones({3})}, {}), ShapeError);
  EXPECT_THROW((void)affine_of(Ranges{ones({2}), ones({2}, DType::kF64)}, {}), DTypeError);
  EXPECT_THROW((void)affine_of(Ranges{ones({2}), full({2}, HUGE_VAL)}, {}), NonFiniteError);
  EXPECT_EQ(
      message_of<ShapeError>([&] { (void)quantize(x, {.granularity = Granularity::channel(0), .scale = ones({3})}); }),
      "[quantize] expected scales [2] for [2, 3], got [3]");
  EXPECT_EQ(message_of<ValueError>([&] { (void)quantize(x, {.scale = zeros({})}); }),
            "[quantize] expected scales above 0, got 0");
  EXPECT_EQ(message_of<ValueError>([&] {
              (void)quantize(x,
                             {.type = {.bits = 4}, .scale = ones({}), .zero_point = empty({}, DType::kI32).fill_(8)});
            }),
            "[quantize] expected zero points from -8 to 7, got 8");
  EXPECT_THROW((void)quantize(x, {.scale = ones({}), .zero_point = zeros({})}), DTypeError);
  EXPECT_THROW((void)quantize(x, {.scale = ones({}), .zero_point = zeros({1}, DType::kI32)}), ShapeError);
  EXPECT_THROW((void)quantize(x.to(DType::kF64), {.scale = ones({})}), DTypeError);
  EXPECT_THROW((void)dequantize(zeros({2}, DType::kU8), {.scale = ones({})}), DTypeError);
  EXPECT_THROW((void)fake_quantize(Tensor(), {.scale = ones({})}), StateError);
  EXPECT_THROW((void)fake_quantize(x, {}), StateError);
}

}  // namespace
}  // namespace tern::quant
