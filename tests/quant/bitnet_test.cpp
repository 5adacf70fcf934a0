// BitLinear, SubLN and lambda warmup against the reference values of tests/golden/bitnet and their own algebra.
#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/io/json.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/linear.h>
#include <tern/core/ops/matmul.h>
#include <tern/core/ops/norm.h>
#include <tern/core/ops/operators.h>
#include <tern/core/ops/reduce.h>
#include <tern/core/parallel.h>
#include <tern/nn/layers/containers.h>
#include <tern/nn/layers/linear.h>
#include <tern/quant/bitnet/bit_linear.h>
#include <tern/quant/bitnet/lambda_warmup.h>

#include "message_of.h"
#include "quant/bitnet_golden.h"

namespace tern::quant::bitnet {
namespace {

using test::message_of;

class BitLinearGolden : public testing::TestWithParam<std::string> {};

TEST_P(BitLinearGolden, ForwardAndBackward) {
  const Golden file(GetParam());
  const bool quantizes_x = GetParam().find("noact") == std::string::npos;
  const Tensor x = file.tensor("x").requires_grad_(), w = file.tensor("w").requires_grad_();
  const Tensor bias = file.has("bias") ? file.tensor("bias", {w.size(0)}).requires_grad_() : Tensor();
  const Tensor y = bit_linear(x, w, bias, {.quantize_activation = quantizes_x, .lambda = file.number("lam")});
  file.expect("y", y);
  sum(mul(y, file.tensor("g", y.shape()))).backward();
  file.expect("dx", x.grad());
  file.expect("dw", w.grad());
  if (bias.defined()) file.expect("dbias", bias.grad());

  const Ternary ternary = ternarize(w);
  if (file.has("w_delta")) {
    EXPECT_FLOAT_EQ(static_cast<float>(ternary.scale), static_cast<float>(file.number("w_delta")));
  }
  if (file.has("w_codes")) file.expect_codes("w_codes", ternary.codes);
  const TokenCodes tokens = quantize_tokens(x);
  if (file.has("x_gamma")) file.expect("x_gamma", tokens.gamma);
  if (file.has("x_codes")) file.expect_codes("x_codes", tokens.codes);
}

INSTANTIATE_TEST_SUITE_P(Bitnet, BitLinearGolden,
                         testing::Values("bitlinear_nobias_lambda0p0", "bitlinear_nobias_lambda0p25",
                                         "bitlinear_nobias_lambda0p5", "bitlinear_nobias_lambda1p0",
                                         "bitlinear_bias_lambda0p0", "bitlinear_bias_lambda0p25",
                                         "bitlinear_bias_lambda0p5", "bitlinear_bias_lambda1p0",
                                         "bitlinear_noact_lambda0p0", "bitlinear_noact_lambda0p5",
                                         "bitlinear_noact_lambda1p0", "bitlinear_zero_token", "bitlinear_zero_weight",
                                         "bitlinear_tiny_weight"),
                         [](const auto& i) { return i.param; });

TEST(Bitnet, TiesRoundToEvenBeforeTheClip) {
  const Golden file("rounding_ties");
  const Ternary ternary = ternarize(file.tensor("w"));
  EXPECT_EQ(ternary.scale, file.number("w_delta"));
  file.expect_codes("w_codes", ternary.codes);
  const TokenCodes tokens = quantize_tokens(file.tensor("x"));
  file.expect("x_gamma", tokens.gamma);
  file.expect_codes("x_codes", tokens.codes);
}

class NormGolden : public testing::TestWithParam<std::string> {};

// On the token of zeros dx is a thousand times the rest, so it is compared with the largest entry.
TEST_P(NormGolden, ForwardAndBackward) {
  const Golden file(GetParam());
  const Tensor x = file.tensor("x").requires_grad_();
  const int64_t width = x.size(-1);
  nn::RMSNorm norm({.dim = width, .eps = file.number("eps"), .elementwise_affine = file.has("gamma")});
  if (file.has("gamma")) {
    const NoGradGuard no_grad;
    Tensor(norm.weight.latent()).copy_(file.tensor("gamma", {width}));
  }
  const Tensor y = norm(x);
  file.expect("y", y);
  sum(mul(y, file.tensor("g", y.shape()))).backward();
  file.expect_relative_to_largest("dx", x.grad());
  if (file.has("dgamma")) file.expect_relative_to_largest("dgamma", norm.weight.latent().grad());
}

INSTANTIATE_TEST_SUITE_P(Bitnet, NormGolden, testing::Values("subln_affine", "subln_plain", "rmsnorm_eps1e5"),
                         [](const auto& i) { return i.param; });

TEST(Bitnet, SubLnInFrontOfBitLinear) {
  const Golden file("subln_then_bitlinear");
  const Tensor w = file.tensor("w");
  BitLinear layer({.in_features = w.size(1), .out_features = w.size(0), .subln = true});
  {
    const NoGradGuard no_grad;
    Tensor(layer.weight.latent()).copy_(w);
    Tensor((*layer.subln)->weight.latent()).copy_(file.tensor("gamma", {w.size(1)}));
  }
  std::vector<std::string> names;
  for (const auto& [name, tensor] : layer.named_parameters()) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"weight", "subln.weight"}));
  const Tensor x = file.tensor("x").requires_grad_();
  const Tensor y = layer(x);
  file.expect("y", y);
  sum(mul(y, file.tensor("g", y.shape()))).backward();
  file.expect_relative_to_largest("dx", x.grad());
  file.expect("dw", layer.weight.latent().grad());
  file.expect("dgamma", (*layer.subln)->weight.latent().grad());
}

TEST(Bitnet, LambdaScheduleTable) {
  const Golden file("lambda_schedule");
  for (const io::Json& c : file.json().at("cases").items()) {
    LambdaSchedule schedule(
        {.steps = c.at("warmup_steps").as_int(),
         .schedule = c.at("schedule").as_string() == "linear" ? WarmupSchedule::kLinear : WarmupSchedule::kCosine,
         .min_lambda = c.at("min_lambda").as_number(),
         .max_lambda = c.at("max_lambda").as_number()});
    const auto& steps = c.at("step").items();
    for (size_t i = 0; i < steps.size(); ++i) {
      while (schedule.step_count() < steps[i].as_int()) schedule.step();
      EXPECT_NEAR(schedule.value(), c.at("value")[i].as_number(), 1e-9) << c.dump() << " step " << steps[i].as_int();
      LambdaSchedule other({});
      other.load_state(io::Json::parse("test", "state", schedule.state().dump()));
      EXPECT_EQ(other.value(), schedule.value());
      EXPECT_EQ(other.options().max_lambda, schedule.options().max_lambda);
    }
  }
}

TEST(Bitnet, WarmupSetsTheLayersOfItsModel) {
  nn::Sequential model;
  model.add<BitLinear>({.in_features = 4, .out_features = 3});
  model.add<nn::Linear>({.in_features = 3, .out_features = 2});
  const auto& layer = static_cast<BitLinear&>(*model.get_module("0"));
  EXPECT_EQ(layer.lambda(), 1);
  LambdaWarmup warmup(model, {.steps = 4});
  EXPECT_EQ(layer.lambda(), 0);
  warmup.step();
  EXPECT_EQ(layer.lambda(), 0.25);
  const io::Json state = warmup.state();
  for (int i = 0; i < 4; ++i) warmup.step();
  EXPECT_EQ(layer.lambda(), 1);
  warmup.load_state(state);
  EXPECT_EQ(layer.lambda(), 0.25);
}

// -- algebra

TEST(Bitnet, LambdaZeroIsTheLinearMapItself) {
  manual_seed(1);
  const Tensor x = randn({3, 4, 33}), w = randn({17, 33}), b = randn({17});
  EXPECT_EQ(bit_linear(x, w, b, {.lambda = 0}).to_vector<float>(), linear(x, w, b).to_vector<float>());
}

TEST(Bitnet, CodesStayInTheirAlphabet) {
  manual_seed(2);
  for (const double scale : {1e-8, 1e-3, 1.0, 1e6}) {
    for (const int8_t code : ternarize(mul(randn({31, 57}), scale)).codes.to_vector<int8_t>())
      EXPECT_LE(std::abs(code), 1);
    for (const int8_t code : quantize_tokens(mul(randn({31, 57}), scale)).codes.to_vector<int8_t>())
      EXPECT_LE(std::abs(int{code}), 127);
  }
}

TEST(Bitnet, ScalesComeThrough) {
  manual_seed(3);
  const Tensor x = randn({5, 64}), w = randn({9, 64});
  const Tensor y = bit_linear(x, w);
  for (const double factor : {0.25, 4.0}) {  // powers of two: no rounding differs
    EXPECT_EQ(bit_linear(mul(x, factor), w).to_vector<float>(), mul(y, factor).to_vector<float>());
    EXPECT_EQ(bit_linear(x, mul(w, factor)).to_vector<float>(), mul(y, factor).to_vector<float>());
  }
}

// Every combination of options, with both operands' gradients, against the blends written out; the straight-through
// gradient is that of the product at the quantized operands.
TEST(Bitnet, EqualsItsComposition) {
  manual_seed(4);
  for (const DType dtype : {DType::kF32, DType::kF64})
    for (const bool weight : {false, true})
      for (const bool activation : {false, true})
        for (const double lambda : {0.0, 0.3, 1.0}) {
          const Tensor x = randn({2, 7, 19}, dtype).requires_grad_(), w = randn({11, 19}, dtype).requires_grad_(),
                       b = randn({11}, dtype).requires_grad_(), g = randn({2, 7, 11}, dtype);
          const Tensor y = bit_linear(x, w, b, {weight, activation, lambda});
          y.backward(g);
          const auto blend = [&](const Tensor& v, const Tensor& q) { return add(v, mul(sub(q, v), lambda)); };
          Tensor left = x.detach(), right = w.detach();
          if (activation) left = blend(left, dequantize(quantize_tokens(left)));
          if (weight) right = blend(right, dequantize(ternarize(right), dtype));
          left = left.clone().requires_grad_(), right = right.clone().requires_grad_();
          const Tensor bias = b.detach().clone().requires_grad_();
          const Tensor reference = linear(left, right, bias);
          reference.backward(g);
          const double tolerance = dtype == DType::kF32 ? 1e-5 : 1e-13;
          EXPECT_LE(max(abs(sub(y, reference))).item(), tolerance);
          EXPECT_LE(max(abs(sub(x.grad(), left.grad()))).item(), tolerance);
          EXPECT_LE(max(abs(sub(w.grad(), right.grad()))).item(), tolerance);
          EXPECT_LE(max(abs(sub(b.grad(), bias.grad()))).item(), tolerance);
        }
}

// In f32 the product is one of integers: the same numbers as that of the operands as f64, up to one rounding, whatever
// the number of tokens and the length of a row.
TEST(Bitnet, TheIntegerForwardEqualsTheProductInF64) {
  manual_seed(7);
  for (const int64_t tokens : {1, 3, 130, 1100})
    for (const int64_t in : {1, 31, 288, 2100}) {
      const Tensor x = randn({tokens, in}), w = randn({13, in}), b = randn({13});
      const Tensor y = bit_linear(x, w, b);
      const Tensor left = dequantize(quantize_tokens(x)).to(DType::kF64),
                   right = dequantize(ternarize(w)).to(DType::kF64);
      const Tensor reference = linear(left, right, b.to(DType::kF64));
      EXPECT_LE(max(abs(sub(y.to(DType::kF64), reference))).item(), 1e-5 * max(abs(reference)).item())
          << tokens << " x " << in;
    }
}

TEST(Bitnet, TokenCodesAreReadWhereverTheyLie) {
  manual_seed(8);
  const Tensor x = randn({2, 3, 5});
  const TokenCodes tokens = quantize_tokens(x);
  const std::vector<float> values = dequantize(tokens).to_vector<float>();
  EXPECT_EQ(dequantize({tokens.codes.contiguous(), tokens.gamma, tokens.sums}).to_vector<float>(), values);
  const Tensor swapped = tokens.codes.transpose(0, 1), gamma = tokens.gamma.transpose(0, 1);
  EXPECT_EQ(dequantize({swapped, gamma, tokens.sums}).transpose(0, 1).to_vector<float>(), values);
  EXPECT_EQ(sum(tokens.codes.to(DType::kF64), {2}).to_vector<double>(),
            tokens.sums.to(DType::kF64).to_vector<double>());
}

TEST(Bitnet, SameBitsAtAnyThreadCount) {
  manual_seed(5);
  const Tensor x = randn({300, 257}), w = randn({129, 257}), g = randn({300, 129});
  std::vector<float> first;
  const int before = num_threads();
  for (const int threads : {1, 2, 4}) {
    set_num_threads(threads);
    const Tensor a = x.clone().requires_grad_(), b = w.clone().requires_grad_();
    const Tensor y = bit_linear(a, b);
    y.backward(g);
    std::vector<float> all = y.to_vector<float>();
    for (const Tensor& t : {a.grad(), b.grad()})
      for (const float v : t.to_vector<float>()) all.push_back(v);
    if (first.empty()) first = all;
    EXPECT_EQ(all, first) << threads;
  }
  set_num_threads(before);
}

TEST(Bitnet, CodesFollowTheWeight) {
  manual_seed(6);
  BitLinear layer({.in_features = 8, .out_features = 4});
  const NoGradGuard no_grad;
  const std::vector<int8_t> before = layer.ternary().codes.to_vector<int8_t>();
  Tensor(layer.weight.latent()).mul_(-1);
  std::vector<int8_t> flipped = layer.ternary().codes.to_vector<int8_t>();
  for (int8_t& code : flipped) code = static_cast<int8_t>(-code);
  EXPECT_EQ(flipped, before);
  layer.weight.set(ones({4, 8}));
  EXPECT_EQ(layer.ternary().scale, 1);
  const Tensor both = randn({8, 8});  // two weights in one memory
  layer.weight.set(both.slice(0, 0, 4));
  EXPECT_EQ(layer.ternary().codes.to_vector<int>(), ternarize(both.slice(0, 0, 4)).codes.to_vector<int>());
  layer.weight.set(both.slice(0, 4, 8));
  EXPECT_EQ(layer.ternary().codes.to_vector<int>(), ternarize(both.slice(0, 4, 8)).codes.to_vector<int>());
}

TEST(Bitnet, CodesAreReadWhereverTheyLie) {
  manual_seed(11);
  const Ternary dense = ternarize(randn({5, 9}));
  const Ternary turned{dense.codes.transpose(0, 1).contiguous().transpose(0, 1), dense.scale};
  EXPECT_EQ(dequantize(turned).to_vector<float>(), dequantize(dense).to_vector<float>());
  const Tensor weight = randn({5, 9}), x = randn({4, 9});
  const auto gradient = [&](const Ternary& codes, double lambda) {
    Tensor in = x.clone().requires_grad_();
    const Tensor y = bit_linear(in, weight, {}, {.lambda = lambda}, &codes);
    sum(mul(y, y)).backward();
    return in.grad().to_vector<float>();
  };
  for (const double lambda : {0.5, 1.0}) EXPECT_EQ(gradient(turned, lambda), gradient(dense, lambda)) << lambda;
}

TEST(Bitnet, KeepsCodesInPlaceOfInputs) {
  manual_seed(7);
  const Tensor w = randn({64, 4096}).requires_grad_();
  const int64_t before = memory_stats().live_bytes;
  Tensor y;
  {
    const Tensor x = randn({256, 4096});
    y = bit_linear(x, w);
  }
  // A byte an entry of x and w, the result, and a little.
  EXPECT_LE(memory_stats().live_bytes - before, int64_t{256} * 4096 + 64 * 4096 + 4 * 256 * 64 + (1 << 16));
}

TEST(Bitnet, BadInputIsOneSentence) {
  manual_seed(8);
  Tensor x = ones({2, 3}), w = ones({4, 3});
  EXPECT_EQ(message_of<ShapeError>([&] {
              (void)bit_linear(ones({2, 5}), w);
            }),
            "[bit_linear] expected x [..., in] and a weight [out, in], got [2, 5] and [4, 3]");
  EXPECT_EQ(message_of<ValueError>([&] { (void)bit_linear(x, w, {}, {.lambda = 1.5}); }),
            "[bit_linear] expected lambda in [0, 1], got 1.5");
  EXPECT_EQ(message_of<DTypeError>([&] {
              (void)bit_linear(x, ones({4, 3}, DType::kF64));
            }),
            "[bit_linear] expected x and weight of one dtype, got f32 and f64");
  const Ternary narrow{zeros({2, 3}, DType::kI8), 1}, wide{zeros({4, 3}), 1}, negative{zeros({4, 3}, DType::kI8), -1};
  EXPECT_EQ(message_of<ShapeError>([&] { (void)bit_linear(x, w, {}, {}, &narrow); }),
            "[bit_linear] expected codes [4, 3] as their weight, got [2, 3]");
  EXPECT_EQ(message_of<DTypeError>([&] { (void)bit_linear(x, w, {}, {}, &wide); }),
            "[bit_linear] expected codes of dtype i8, got f32");
  EXPECT_EQ(message_of<ValueError>([&] { (void)bit_linear(x, negative); }),
            "[bit_linear] expected a scale above 0, got -1");
  EXPECT_EQ(message_of<ValueError>([&] { BitLinear layer({.in_features = 0, .out_features = 2}); }),
            "[BitLinear] expected in_features and out_features of at least 1, got 0 and 2");
  EXPECT_EQ(message_of<ValueError>([&] { LambdaSchedule s({.min_lambda = 0.5, .max_lambda = 0.25}); }),
            "[LambdaSchedule] expected 0 <= min_lambda <= max_lambda <= 1, got 0.5 and 0.25");
  nn::Sequential model;
  model.add<nn::Linear>({.in_features = 3, .out_features = 2});
  EXPECT_EQ(message_of<ValueError>([&] { LambdaWarmup warmup(model, {}); }),
            "[LambdaWarmup] expected a model with BitLinear layers, got a Sequential without");
  model.add<BitLinear>({.in_features = 2, .out_features = 4});
  const float bad[] = {std::nanf(""), INFINITY};
  for (const float v : bad) {
    x.data<float>()[4] = v;
    EXPECT_EQ(message_of<NonFiniteError>([&] { (void)bit_linear(x, w); }),
              "[quantize_tokens] expected finite activations, got NaN or infinity in token 1 of f32 [2, 3]");
    EXPECT_EQ(message_of<NonFiniteError>([&] { model(x); }),
              "[quantize_tokens] expected finite activations, got NaN or infinity in token 1 of f32 [2, 2] (in 1)");
    x.data<float>()[4] = 1;
    w.data<float>()[5] = v;
    EXPECT_EQ(message_of<NonFiniteError>([&] { (void)bit_linear(x, w); }),
              "[ternarize] expected finite weights, got NaN or infinity in f32 [4, 3]");
    w.data<float>()[5] = 1;
  }
}

}  // namespace
}  // namespace tern::quant::bitnet
