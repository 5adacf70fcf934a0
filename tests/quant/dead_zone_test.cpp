// The dead-zone quantizer against the published one's values (tests/golden/codeq) and against its own algebra.
#include <cmath>
#include <filesystem>
#include <fstream>
#include <set>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/parallel.h>
#include <tern/core/random.h>
#include <tern/quant/codeq/dead_zone.h>

#include "message_of.h"

namespace tern::quant::codeq {
namespace {

using nlohmann::json;

// Tolerances of the golden files: w_hat and dL/dw are f32 results of short formulas; the logit gradients are long sums,
// which the files give in double.
constexpr double kValueTolerance = 1e-5;
constexpr double kLogitTolerance = 1e-5;

json read_json(const std::filesystem::path& path) {
  std::ifstream file(path);
  return json::parse(file);
}

Tensor tensor_of(const std::vector<double>& values, const Shape& shape, DType dtype) {
  Tensor x = empty(shape, dtype);
  for (size_t i = 0; i < values.size(); ++i) {
    if (dtype == DType::kF32)
      x.data<float>()[i] = static_cast<float>(values[i]);
    else
      x.data<double>()[i] = values[i];
  }
  return x;
}

Tensor scalar(double v, DType dtype = DType::kF32) {
  return empty({}, dtype).fill_(v);
}

Tensor gaussian(const Shape& shape, double scale, uint64_t seed, DType dtype = DType::kF32) {
  Tensor x = empty(shape, dtype);
  Generator generator(seed);
  std::vector<double> values(static_cast<size_t>(x.numel()));
  for (double& v : values) v = scale * generator.normal();
  return tensor_of(values, shape, dtype);
}

DeadZoneOptions options_of(const json& c) {
  DeadZoneOptions options;
  options.learnable_bits = c["learnable_bit"];
  options.fixed_bits = c["fixed_bit"];
  options.min_bits = c["min_bits"];
  options.max_bits = c["max_bits"];
  options.quantile = c["quantile"];
  options.eps = c["eps"];
  return options;
}

std::vector<std::string> golden_cases() {
  std::vector<std::string> names;
  for (const auto& entry : std::filesystem::directory_iterator(std::filesystem::path(TERN_GOLDEN_DIR) / "codeq"))
    if (entry.path().filename().string()[0] == 'c') names.push_back(entry.path().stem().string());
  std::sort(names.begin(), names.end());
  return names;
}

class GoldenCase : public testing::TestWithParam<std::string> {};

TEST_P(GoldenCase, MatchesThePublishedQuantizer) {
  const json c = read_json(std::filesystem::path(TERN_GOLDEN_DIR) / "codeq" / (GetParam() + ".json"));
  const Shape shape(c["shape"].get<std::vector<int64_t>>());
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    SCOPED_TRACE(name_of(dtype));
    const DeadZoneOptions options = options_of(c);
    const Tensor w = tensor_of(c["w"], shape, dtype).requires_grad_();
    const Tensor dz = scalar(c["logit_dz"], dtype).requires_grad_();
    const Tensor bit = scalar(c["logit_bit"], dtype).requires_grad_();

    const DeadZone z = dead_zone_of(w, dz.item(), bit.item(), options);
    EXPECT_EQ(z.bits, c["bits"].get<int>());
    EXPECT_EQ(z.top_code, c["Q"].get<double>());
    const auto near = [](double got, double want) {
      return std::abs(got - want) <= 1e-6 * std::max(1e-2, std::abs(want));
    };
    EXPECT_TRUE(near(z.range, c["absmax"])) << z.range;
    EXPECT_TRUE(near(z.dead_zone, c["deadzone"])) << z.dead_zone;
    EXPECT_TRUE(near(z.step, c["step"])) << z.step;
    EXPECT_TRUE(near(z.shift, c["shift"])) << z.shift;
    EXPECT_EQ(dead_zone_codes(w, z).to_vector<int64_t>(), c["codes"].get<std::vector<int64_t>>());
    EXPECT_EQ(count_codes(w, z).zeros, c["zeros"].get<int64_t>());

    const Tensor w_hat = dead_zone_quantize(w, dz, bit, options);
    w_hat.backward(tensor_of(c["g"], shape, dtype));
    const auto expect_near = [](const Tensor& got, const json& want) {
      const auto values = got.to_vector<double>();
      ASSERT_EQ(values.size(), want.size());
      for (size_t i = 0; i < values.size(); ++i) EXPECT_NEAR(values[i], want[i].get<double>(), kValueTolerance) << i;
    };
    expect_near(w_hat, c["w_hat"]);
    expect_near(w.grad(), c["d_w"]);
    const double want_dz = c["d_logit_dz"], want_bit = c["d_logit_bit"];
    EXPECT_NEAR(dz.grad().item(), want_dz, kLogitTolerance * std::max(1.0, std::abs(want_dz)));
    EXPECT_NEAR(bit.grad().item(), want_bit, kLogitTolerance * std::max(1.0, std::abs(want_bit)));
  }
}
INSTANTIATE_TEST_SUITE_P(Codeq, GoldenCase, testing::ValuesIn(golden_cases()), [](const auto& i) { return i.param; });

TEST(DeadZone, GoldenFilesAreAllThere) {
  EXPECT_EQ(golden_cases().size(), 16u);
}

TEST(DeadZone, QuantileInterpolatesOrderStatistics) {
  const auto q = [](const std::vector<double>& v, double p) {
    return abs_quantile(tensor_of(v, {static_cast<int64_t>(v.size())}, DType::kF64), p);
  };
  EXPECT_EQ(q({-3}, 0.99), 3);
  EXPECT_DOUBLE_EQ(q({1, -2, 3, -4}, 0.5), 2.5);
  EXPECT_EQ(q({5, -1, 2}, 1.0), 5);
  EXPECT_EQ(q({5, -1, 2}, 0.0), 1);
  // Against a full sort.
  for (const int64_t n : {2, 7, 100, 101, 5000}) {
    const Tensor w = gaussian({n}, 1.0, static_cast<uint64_t>(n), DType::kF64);
    std::vector<double> sorted = w.to_vector<double>();
    for (double& v : sorted) v = std::abs(v);
    std::sort(sorted.begin(), sorted.end());
    const double t = 0.99 * static_cast<double>(n - 1);
    const auto low = static_cast<size_t>(t);
    const double want =
        low + 1 < sorted.size() ? std::lerp(sorted[low], sorted[low + 1], t - static_cast<double>(low)) : sorted[low];
    EXPECT_NEAR(abs_quantile(w, 0.99), want, 1e-12) << n;
  }
}

// The spec's property list: idempotence, oddness, range, zero set, scale.
class Property : public testing::TestWithParam<std::tuple<int, double>> {};

TEST_P(Property, Algebra) {
  const auto [bits, logit] = GetParam();
  DeadZoneOptions options;
  options.fixed_bits = bits;
  const Tensor w = gaussian({64, 33}, 0.1, 7, DType::kF64);
  const Tensor dz = scalar(logit, DType::kF64), bit = scalar(1, DType::kF64);
  const DeadZone z = dead_zone_of(w, logit, 1, options);
  const auto values = w.to_vector<double>();
  const auto quantized = dead_zone_quantize(w, dz, bit, options).to_vector<double>();
  const auto codes = dead_zone_codes(w, z).to_vector<int64_t>();
  const auto negated = dead_zone_quantize(w.clone().mul_(-1), dz, bit, options).to_vector<double>();
  DeadZoneOptions relative = options;  // the published eps is absolute, which moves levels by parts in 1e8
  relative.relative_eps = true;
  const auto unscaled = dead_zone_quantize(w, dz, bit, relative).to_vector<double>();
  const auto scaled = dead_zone_quantize(w.clone().mul_(8), dz, bit, relative).to_vector<double>();
  const Tensor again = tensor_of(quantized, w.shape(), DType::kF64);
  EXPECT_EQ(dead_zone_codes(again, z).to_vector<int64_t>(), codes) << "idempotence";
  std::set<int64_t> levels(codes.begin(), codes.end());
  EXPECT_LE(levels.size(), static_cast<size_t>(2 * z.top_code + 1));
  for (size_t i = 0; i < values.size(); ++i) {
    EXPECT_EQ(negated[i], -quantized[i]) << "oddness";
    EXPECT_LE(std::abs(quantized[i]), z.range + options.eps * z.top_code) << "range";
    if (std::abs(std::abs(values[i]) - z.dead_zone / 2) > 1e-6) {
      EXPECT_EQ(quantized[i] == 0, std::abs(values[i]) <= z.dead_zone / 2) << "zero set, w = " << values[i];
    }
    EXPECT_EQ(scaled[i], 8 * unscaled[i]) << "scale";
  }
}
INSTANTIATE_TEST_SUITE_P(Codeq, Property,
                         testing::Combine(testing::Values(2, 3, 4, 8), testing::Values(3.0, 1.0, -0.7, 0.2)));

TEST(DeadZone, GaussianSparsityFollowsTheLogit) {
  // erf(2.576 (1 - tanh) / sqrt 2) for Gaussian weights
  const Tensor w = gaussian({200000}, 1.0, 3);
  for (const double logit : {3.0, 2.0, 1.0, 0.5}) {
    const DeadZone z = dead_zone_of(w, logit, 0, {});
    const double want = std::erf(2.5758 * (1 - std::tanh(logit)) / std::sqrt(2.0));
    EXPECT_NEAR(static_cast<double>(count_codes(w, z).zeros) / 200000.0, want, 0.01) << logit;
  }
}

TEST(DeadZone, BitsStepUpWhereTheSpecSaysSo) {
  DeadZoneOptions options;
  options.learnable_bits = true;
  const Tensor w = gaussian({10}, 1.0, 3);
  const double thresholds[] = {0.0835, 0.2554, 0.4437, 0.6675, 0.9730, 1.5677};
  for (int i = 0; i < 6; ++i) {
    EXPECT_EQ(dead_zone_of(w, 3, thresholds[i] - 5e-4, options).bits, 2 + i);
    EXPECT_EQ(dead_zone_of(w, 3, -(thresholds[i] + 5e-4), options).bits, 3 + i);
  }
}

TEST(DeadZone, ChannelsLastWeightsGiveTheSameElements) {
  const Tensor w = gaussian({6, 5, 3, 3}, 0.1, 5);
  const Tensor last = w.contiguous(MemoryFormat::kChannelsLast);
  const Tensor g = gaussian({6, 5, 3, 3}, 1.0, 6);
  const auto run = [&](const Tensor& weight) {
    const Tensor leaf = weight.detach().requires_grad_();
    const Tensor dz = scalar(1).requires_grad_();
    const Tensor out = dead_zone_quantize(leaf, dz, scalar(1));
    out.backward(g);
    return std::tuple(out.to_vector<float>(), leaf.grad().to_vector<float>(), dz.grad().item());
  };
  const auto [out_a, grad_a, dz_a] = run(w);
  const auto [out_b, grad_b, dz_b] = run(last);
  EXPECT_EQ(out_a, out_b);
  EXPECT_EQ(grad_a, grad_b);
  EXPECT_NEAR(dz_a, dz_b, 1e-6);
}

TEST(DeadZone, SameBitsAtAnyThreadCount) {
  const Tensor w = gaussian({300, 333}, 0.1, 5), g = gaussian({300, 333}, 1.0, 6);
  std::vector<std::vector<float>> results;
  const int before = num_threads();
  for (const int threads : {1, 2, 3}) {
    set_num_threads(threads);
    const Tensor leaf = w.detach().requires_grad_();
    const Tensor dz = scalar(1).requires_grad_();
    const Tensor out = dead_zone_quantize(leaf, dz, scalar(1));
    out.backward(g);
    results.push_back(out.to_vector<float>());
    results.back().push_back(static_cast<float>(dz.grad().item()));
  }
  set_num_threads(before);
  EXPECT_EQ(results[0], results[1]);
  EXPECT_EQ(results[0], results[2]);
}

TEST(DeadZone, EmptyTensorIsANoOp) {
  const Tensor w = empty({0, 3}).requires_grad_();
  const Tensor dz = scalar(1).requires_grad_();
  const Tensor out = dead_zone_quantize(w, dz, scalar(1));
  EXPECT_EQ(out.shape(), Shape({0, 3}));
  out.backward(empty({0, 3}));
  EXPECT_EQ(dz.grad().item(), 0);
}

TEST(Safeguards, MaskClampedTamesTheGradientNearZero) {
  const Tensor w = gaussian({48, 48}, 0.1, 11, DType::kF64), g = gaussian({48, 48}, 1.0, 12, DType::kF64);
  const auto gradient = [&](double logit, bool mask) {
    DeadZoneOptions options;
    options.mask_clamped = mask;
    const Tensor dz = scalar(logit, DType::kF64).requires_grad_();
    dead_zone_quantize(w, dz, scalar(1, DType::kF64), options).backward(g);
    return std::abs(dz.grad().item());
  };
  EXPECT_GT(gradient(1e-4, false), 20 * gradient(1e-4, true));
  EXPECT_EQ(gradient(0.0, false), 0.0);
}

TEST(Safeguards, ClipFloorRangeAndWeightMask) {
  const Tensor w = gaussian({48, 48}, 0.1, 11, DType::kF64), g = gaussian({48, 48}, 1.0, 12, DType::kF64);
  DeadZoneOptions options;
  options.max_logit_gradient = 0.5;
  Tensor dz = scalar(1e-4, DType::kF64).requires_grad_();
  dead_zone_quantize(w, dz, scalar(1, DType::kF64), options).backward(g);
  EXPECT_EQ(std::abs(dz.grad().item()), 0.5);

  options = {};
  options.min_abs_logit = 1e-3;
  EXPECT_EQ(dead_zone_of(w, 0.0, 1, options).tanh_dz, std::tanh(1e-3));
  EXPECT_EQ(dead_zone_of(w, -1e-5, 1, options).tanh_dz, std::tanh(-1e-3));

  options = {};
  options.range = Range::kMaximum;
  const auto values = w.to_vector<double>();
  double largest = 0;
  for (const double v : values) largest = std::max(largest, std::abs(v));
  const DeadZone whole = dead_zone_of(w, 0, 1, options);
  EXPECT_EQ(whole.range, largest);

  options = {};
  options.mask_weight_gradient = true;
  const Tensor leaf = w.detach().requires_grad_();
  dead_zone_quantize(leaf, scalar(1, DType::kF64), scalar(1, DType::kF64), options).backward(g);
  const DeadZone z = dead_zone_of(w, 1, 1, options);
  const auto grad = leaf.grad().to_vector<double>();
  int64_t masked = 0;
  for (const double v : grad) masked += v == 0;
  EXPECT_EQ(masked, count_codes(w, z).clamped);
  EXPECT_GT(masked, 0);
}

TEST(Safeguards, RelativeEpsKeepsTinyWeights) {
  const Tensor w = gaussian({1000}, 1e-12, 4, DType::kF64);
  DeadZoneOptions options;
  const auto largest = [&] {
    double m = 0;
    for (const double v :
         dead_zone_quantize(w, scalar(3, DType::kF64), scalar(1, DType::kF64), options).to_vector<double>())
      m = std::max(m, std::abs(v));
    return m;
  };
  EXPECT_GT(largest(), 1e-9) << "the published absolute eps swamps weights of 1e-12";
  options.relative_eps = true;
  EXPECT_NEAR(largest(), abs_quantile(w, 0.99), 1e-15);
}

using test::message_of;

TEST(DeadZoneErrors, NameTheOffendingValue) {
  const Tensor w = gaussian({4, 4}, 0.1, 1);
  Tensor bad = w.clone();
  bad.data<float>()[5] = NAN;
  EXPECT_EQ(message_of<NonFiniteError>([&] { (void)dead_zone_quantize(bad, scalar(1), scalar(1)); }),
            "[dead_zone_quantize] expected finite weights, got NaN or infinity in a weight of f32 [4, 4]");
  EXPECT_EQ(message_of<NonFiniteError>([&] { (void)dead_zone_quantize(w, scalar(INFINITY), scalar(1)); }),
            "[dead_zone_quantize] expected finite logits, got dead-zone inf and bit-width 1");
  EXPECT_EQ(message_of<DTypeError>([&] { (void)dead_zone_quantize(w.to(DType::kI32), scalar(1), scalar(1)); }),
            "[dead_zone_quantize] expected a weight of f32 or f64, got i32");
  EXPECT_EQ(message_of<ShapeError>([&] { (void)dead_zone_quantize(w, w, scalar(1)); }),
            "[dead_zone_quantize] expected logits of one element, got shape [4, 4]");
  DeadZoneOptions options;
  options.fixed_bits = 1;
  EXPECT_EQ(message_of<ValueError>([&] { (void)dead_zone_quantize(w, scalar(1), scalar(1), options); }),
            "[codeq] expected fixed_bits in [2, 16], got 1");
  options = {};
  options.max_bits = 17;
  EXPECT_EQ(message_of<ValueError>([&] { options.validate(); }), "[codeq] expected max_bits in [2, 16], got 17");
  options = {};
  options.quantile = 0;
  EXPECT_EQ(message_of<ValueError>([&] { options.validate(); }), "[codeq] expected quantile in (0, 1], got 0");
}

}  // namespace
}  // namespace tern::quant::codeq
