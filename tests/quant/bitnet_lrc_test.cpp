// Low-rank correction: the reference values of tests/golden/bitnet, the factorizations, and the conversion of models.
#include <cmath>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/linalg/blas.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/linear.h>
#include <tern/core/ops/matmul.h>
#include <tern/core/ops/operators.h>
#include <tern/core/ops/reduce.h>
#include <tern/nn/layers/containers.h>
#include <tern/nn/layers/linear.h>
#include <tern/nn/models/mlp.h>
#include <tern/nn/models/registry.h>
#include <tern/optim/sgd.h>
#include <tern/quant/bitnet/convert.h>
#include <tern/quant/bitnet/lrc.h>

#include "message_of.h"
#include "quant/bitnet_golden.h"

namespace tern::quant::bitnet {
namespace {

using test::message_of;

double largest_difference(const Tensor& a, const Tensor& b) {
  return max(abs(sub(a.detach(), b.detach()))).item();
}

class LrcGolden : public testing::TestWithParam<std::string> {};

TEST_P(LrcGolden, ForwardAndBackward) {
  const Golden file(GetParam());
  const Tensor w = file.tensor("w"), x = file.tensor("x").requires_grad_();
  const bool joint = GetParam() == "lrc_trainable_weight";
  BitLinearLrc layer({.layer = {.in_features = w.size(1), .out_features = w.size(0), .bias = file.has("bias")},
                      .rank = static_cast<int64_t>(file.number("rank")),
                      .trainable_weight = joint});
  {
    const NoGradGuard no_grad;
    Tensor(layer.weight.latent()).copy_(w);
    if (file.has("bias")) Tensor(layer.bias.latent()).copy_(file.tensor("bias", {w.size(0)}));
    Tensor u = layer.lrc_u.latent(), v = layer.lrc_v.latent();
    file.has("U") ? u.copy_(file.tensor("U")) : u.zero_();
    file.has("V") ? v.copy_(file.tensor("V")) : v.zero_();
  }
  const Tensor y = layer(x);
  file.expect("y", y);
  sum(mul(y, file.tensor("g", y.shape()))).backward();
  file.expect("dx", x.grad());
  const Tensor u = layer.lrc_u.latent(), v = layer.lrc_v.latent();
  if (file.has("dU")) file.expect("dU", u.grad());
  if (file.has("dV")) file.expect("dV", v.grad());
  if (joint) file.expect("dw", layer.weight.latent().grad());
  EXPECT_EQ(layer.weight.latent().grad().defined(), joint);
  if (GetParam() == "lrc_zero_init") {
    EXPECT_EQ(max(abs(u.grad())).item(), file.number("max_abs_dU"));
    EXPECT_EQ(max(abs(v.grad())).item(), file.number("max_abs_dV"));
  }
  if (GetParam() == "lrc_u_zero_v_random") {
    EXPECT_GT(max(abs(u.grad())).item(), 0);
    EXPECT_EQ(max(abs(v.grad())).item(), 0);
  }
}

INSTANTIATE_TEST_SUITE_P(Bitnet, LrcGolden,
                         testing::Values("lrc_frozen", "lrc_zero_init", "lrc_u_zero_v_random", "lrc_trainable_weight"),
                         [](const auto& i) { return i.param; });

TEST(BitnetLrc, SvdOfTheResidual) {
  const Golden file("lrc_svd_residual");
  const Tensor w = file.tensor("w");
  const LrcFactors factors = svd_residual(w, static_cast<int64_t>(file.number("rank")));
  file.expect("product_UVt", linear(factors.u, factors.v));
  // Error by rank, and singular values as norms of the columns of U times those of V.
  const Tensor residual = sub(w, dequantize(ternarize(w)));
  const double norm = std::sqrt(sum(mul(residual, residual)).item());
  const auto& by_rank = file.json().at("relative_residual_by_rank").items();
  for (int64_t rank = 1; rank <= 12; ++rank) {
    const LrcFactors f = svd_residual(w, rank);
    const Tensor rest = sub(residual, linear(f.u, f.v));
    EXPECT_NEAR(std::sqrt(sum(mul(rest, rest)).item()) / norm, by_rank[static_cast<size_t>(rank - 1)].as_number(), 1e-5)
        << rank;
  }
  const LrcFactors all = svd_residual(w, 12);
  for (int64_t i = 0; i < 12; ++i) {
    const auto length = [&](const Tensor& t) {
      const Tensor column = t.select(1, i);
      return std::sqrt(sum(mul(column, column)).item());
    };
    EXPECT_NEAR(length(all.u) * length(all.v), file.json().at("singular_values")[static_cast<size_t>(i)].as_number(),
                1e-5);
  }
}

TEST(BitnetLrc, ReducedRankRegression) {
  const Golden file("lrc_reduced_rank");
  const Tensor x = file.tensor("X"), w = file.tensor("w");
  const auto rank = static_cast<int64_t>(file.number("rank"));
  const auto objective = [&](const Tensor& product) {
    const Tensor exact = linear(x, w);
    const Tensor quantized = linear(dequantize(quantize_tokens(x)), dequantize(ternarize(w)));
    const Tensor error = sub(sub(exact, quantized), linear(x, product));
    return sum(mul(error, error)).item() / sum(mul(exact, exact)).item();
  };
  const LrcFactors best = activation_svd(w, x, rank, 0), plain = svd_residual(w, rank);
  const io::Json& wanted = file.json().at("objective");
  EXPECT_NEAR(objective(zeros({12, 16})), wanted.at("zero").as_number(), 1e-5);
  EXPECT_NEAR(objective(linear(plain.u, plain.v)), wanted.at("svd_residual").as_number(), 1e-5);
  EXPECT_NEAR(objective(linear(best.u, best.v)), wanted.at("reduced_rank").as_number(), 1e-5);
  const std::vector<float> product = linear(best.u, best.v).to_vector<float>();
  const auto& reference = file.json().at("product_UVt").items();
  for (size_t i = 0; i < product.size(); ++i) EXPECT_NEAR(product[i], reference[i].as_number(), 1e-4) << i;
}

TEST(Lapack, FactorizationsGiveTheMatrixBack) {
  manual_seed(1);
  for (const auto& [m, n] : {std::pair<int64_t, int64_t>{1, 1}, {7, 4}, {4, 7}, {33, 33}}) {
    const int64_t r = std::min(m, n);
    const Tensor a = randn({m, n}, DType::kF64);
    Tensor work = a.clone(), u = empty({m, r}, DType::kF64), s = empty({r}, DType::kF64),
           vt = empty({r, n}, DType::kF64);
    blas::svd(m, n, work.data<double>(), u.data<double>(), s.data<double>(), vt.data<double>());
    EXPECT_LE(largest_difference(matmul(mul(u, s), vt), a), 1e-13 * static_cast<double>(m + n));
    for (int64_t i = 1; i < r; ++i) EXPECT_GE(s.data<double>()[i - 1], s.data<double>()[i]);

    const Tensor positive = add(matmul(a, a.transpose(0, 1)), eye(m, m, DType::kF64));
    Tensor vectors = positive.clone(), values = empty({m}, DType::kF64);
    blas::symmetric_eigen(m, vectors.data<double>(), values.data<double>());
    EXPECT_LE(largest_difference(matmul(mul(vectors.transpose(0, 1), values), vectors), positive),
              1e-12 * static_cast<double>(m));

    Tensor factor = positive.clone(), solution = randn({5, m}, DType::kF64);
    const Tensor right = solution.clone();
    blas::solve_positive(m, 5, factor.data<double>(), solution.data<double>());
    EXPECT_LE(largest_difference(matmul(solution, positive), right), 1e-12 * static_cast<double>(m * m));
  }
  double bad[] = {1, NAN, 2, 3}, s[2], u[4], vt[4], indefinite[] = {1, 2, 2, 1}, b[] = {1, 1};
  EXPECT_EQ(message_of<NonFiniteError>([&] { blas::svd(2, 2, bad, u, s, vt); }),
            "[svd] expected finite entries, got nan at 1");
  EXPECT_EQ(message_of<ValueError>([&] { blas::solve_positive(2, 1, indefinite, b); }),
            "[solve_positive] expected a positive definite matrix, got one whose pivot 2 is not above 0");
}

// -- models

struct Net : nn::Module {
  nn::Child<nn::Linear> up_proj{this, "up_proj", {.in_features = 12, .out_features = 24, .bias = false}};
  nn::Child<nn::Linear> down_proj{this, "down_proj", {.in_features = 24, .out_features = 12}};
  nn::Child<nn::Linear> head{this, "head", {.in_features = 12, .out_features = 3}};
  Tensor forward(const Tensor& x) override { return head(down_proj(up_proj(x))); }
};

TEST(BitnetConvert, ReplacesReportsAndIsIdempotent) {
  manual_seed(2);
  Net net;
  const Tensor latent = net.down_proj->weight.latent();
  EXPECT_FALSE(is_bitnet(net));
  const ConvertReport report = convert(net, {.subln = SubLn::kOutputProjections});
  EXPECT_EQ(to_string(report), "converted 2 layers (1 with SubLN), left 1: head (a head)");
  EXPECT_TRUE(is_bitnet(net));
  std::vector<std::string> names;
  for (const auto& [name, tensor] : net.named_parameters()) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"up_proj.weight", "down_proj.weight", "down_proj.bias",
                                             "down_proj.subln.weight", "head.weight", "head.bias"}));
  EXPECT_TRUE(net.get_parameter("down_proj.weight").latent().shares_storage_with(latent));

  const Tensor x = randn({2, 5, 12});
  const std::vector<float> y = net(x).to_vector<float>();
  const ConvertReport again = convert(net);
  EXPECT_EQ(to_string(again), "converted 0 layers (0 with SubLN), left 1: head (a head); converted before: 2");
  EXPECT_TRUE(again.before.back().subln);
  EXPECT_EQ(auto_convert(net).converted.size(), 0u);
  EXPECT_EQ(net(x).to_vector<float>(), y);
}

TEST(BitnetConvert, ExclusionsByNamePathTypeAndPattern) {
  for (const char* pattern : {"up_proj", "up*", "up_proj*"}) {
    Net net;
    const ConvertReport report = convert(net, {.exclude = {pattern}, .exclude_heads = false});
    EXPECT_EQ(to_string(report),
              concat("converted 2 layers (0 with SubLN), left 1: up_proj (excluded by \"", pattern, "\")"));
  }
  Net net;
  EXPECT_EQ(message_of<ValueError>([&] { convert(net, {.exclude = {"fc9"}}); }),
            "[convert] expected exclusions that match a linear layer, got \"fc9\", which matches none");
  EXPECT_EQ(message_of<ValueError>([&] { convert(net, {.exclude = {"Linear"}}); }),
            "[convert] found no linear layer to convert in Net, and left 3: up_proj (excluded by \"Linear\"), "
            "down_proj (excluded by \"Linear\"), head (excluded by \"Linear\")");
  EXPECT_FALSE(is_bitnet(net));
}

// Also of models whose heads have other names, and below another module.
TEST(BitnetConvert, LeavesTheHeadsOfTheZoo) {
  const auto left = [](nn::Module& model) { return convert(model).left; };
  using Left = std::vector<LeftOut>;
  EXPECT_EQ(left(*nn::make<nn::models::Mlp>({.in_features = 6, .hidden = {4, 4}, .num_classes = 3})),
            (Left{{"layers.2", "a head"}}));
  nn::Sequential outer;
  outer.add<nn::models::Mlp>({.in_features = 6, .hidden = {4}, .num_classes = 3});
  EXPECT_EQ(left(outer), (Left{{"0.layers.1", "a head"}}));
  const auto resnet = nn::models::create("resnet20", {});
  EXPECT_EQ(message_of<ValueError>([&] { convert(*resnet); }),
            "[convert] found no linear layer to convert in ResNetCifar, and left 1: linear (a head)");
}

TEST(BitnetConvert, WhatDoesNotTrainStillDoesNot) {
  Net net;
  net.up_proj->requires_grad_(false);
  EXPECT_THROW(convert(net, {.exclude = {"typo"}}), ValueError);
  EXPECT_FALSE(net.up_proj->weight.latent().requires_grad());
  convert(net);
  for (const auto& [name, parameter] : net.named_parameters())
    EXPECT_EQ(parameter.requires_grad(), name != "up_proj.weight") << name;
}

TEST(BitnetConvert, ALayersOptionsComeBackFromTheirDescription) {
  manual_seed(3);
  Net net;
  convert(net, {.subln = SubLn::kAll});
  convert_to_lrc(net, {.rank = 2, .exclude = {"up_proj"}, .keep_weight = false});
  const Tensor x = randn({4, 12});
  const std::vector<float> y = net(x).to_vector<float>();
  Net other;
  restore_conversion(other, describe_conversion(net));
  other.load_state_dict(net.state_dict());
  EXPECT_EQ(other(x).to_vector<float>(), y);
  const auto copy = nn::clone(net);
  EXPECT_EQ((*copy)(x).to_vector<float>(), y);
  Net plain;
  EXPECT_EQ(message_of<ValueError>([&] {
              restore_conversion(plain,
                                 R"([{"path": "head", "bit_linear": {"in_features": 9, "out_features": 3, "bias": true,
                "quantize_weight": true, "quantize_activation": true, "subln": false, "subln_affine": true, "subln_eps": 1e-6}}])");
            }),
            "[restore_conversion] expected a linear layer from 9 to 3 at head, got Linear(12, 3)");
}

TEST(BitnetLrc, StartsWithoutMovingTheOutput) {
  manual_seed(4);
  for (const LrcInit init : {LrcInit::kKaiming, LrcInit::kZeros}) {
    Net net;
    convert(net);
    const Tensor x = randn({7, 12});
    const std::vector<float> y = net(x).to_vector<float>();
    const LrcReport report = convert_to_lrc(net, {.rank_percentage = 0.3, .init = init});
    EXPECT_EQ(report.converted, (std::vector<std::pair<std::string, int64_t>>{{"up_proj", 3}, {"down_proj", 3}}));
    EXPECT_EQ(net(x).to_vector<float>(), y);
  }
}

TEST(BitnetLrc, CorrectionsReduceTheErrorAndTheActivationsMost) {
  manual_seed(5);
  const auto source = nn::clone(Net());
  const Tensor x = matmul(randn({256, 12}), randn({12, 12}));  // correlated features
  const Tensor exact = (*source)(x);
  const auto error = [&](nn::Module& net) {
    const Tensor difference = sub(net(x), exact);
    return sum(mul(difference, difference)).item();
  };
  const auto corrected = [&](LrcInit init) {
    const auto net = nn::clone(*source);
    convert(*net);
    convert_to_lrc(*net, {.rank = 4, .init = init, .calibrate = [&](nn::Module& model) { model(x); }});
    return error(*net);
  };
  const double none = corrected(LrcInit::kZeros), svd = corrected(LrcInit::kSvdResidual),
               activations = corrected(LrcInit::kActivationSvd);
  EXPECT_LT(svd, none);
  EXPECT_LT(activations, svd);
}

TEST(BitnetLrc, OnlyTheFactorsTrainOnceFrozen) {
  manual_seed(6);
  Net net;
  convert(net, {.subln = SubLn::kAll});
  convert_to_lrc(net, {.rank = 2});
  const FreezeReport report = freeze_except_lrc(net);
  EXPECT_EQ(report.trainable, 2 * (12 + 24) * 2);
  EXPECT_EQ(report.trainable + report.frozen, net.parameter_count(false));
  const LrcStats stats = lrc_stats(net);
  EXPECT_EQ(stats.layers, 2);
  EXPECT_EQ(stats.factor_elements, report.trainable);
  EXPECT_EQ(stats.frozen_elements, 12 * 24 * 2 + 12);
  EXPECT_EQ(stats.ranks, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(stats.mean_rank, 2);
  EXPECT_EQ(lrc_stats(Net()).mean_rank, 0);

  const io::TensorMap before = [&] {
    io::TensorMap copy;
    for (const auto& [name, tensor] : net.state_dict()) copy.insert(name, tensor.clone());
    return copy;
  }();
  optim::Sgd optimizer({}, {{.params = net.parameters(), .lr = 0.1}});
  for (int step = 0; step < 2; ++step) {  // with U = 0 the first step moves U alone
    optimizer.zero_grad();
    sum(net(randn({5, 12}))).backward();
    optimizer.step();
  }
  for (const auto& [name, tensor] : before) {
    const Tensor now = net.get_parameter(name).latent();
    const bool factor = name.ends_with("lrc_U") || name.ends_with("lrc_V");
    EXPECT_EQ(largest_difference(now, tensor) > 0, factor) << name;
  }
}

TEST(BitnetLrc, BadInputIsOneSentence) {
  Net net;
  EXPECT_EQ(
      message_of<ValueError>([&] { convert_to_lrc(net); }),
      "[convert_to_lrc] expected a model with BitLinear layers, got a Net without; convert() a float model first");
  EXPECT_EQ(message_of<ValueError>([&] { freeze_except_lrc(net); }),
            "[freeze_except_lrc] expected a model with low-rank corrections, got a Net without");
  convert(net);
  EXPECT_EQ(message_of<ValueError>([&] { convert_to_lrc(net, {.rank = 13}); }),
            "[convert_to_lrc] expected a rank of at most 12 for up_proj, got 13");
  EXPECT_EQ(message_of<ValueError>([&] { convert_to_lrc(net, {.rank_percentage = 0}); }),
            "[convert_to_lrc] expected rank_percentage in (0, 1], got 0");
  EXPECT_EQ(message_of<ValueError>([&] { convert_to_lrc(net, {.rank = 2, .exclude = {"head"}}); }),
            "[convert_to_lrc] expected exclusions that match a BitLinear layer, got \"head\", which matches none");
  EXPECT_EQ(message_of<ValueError>([&] { convert_to_lrc(net, {.rank = 2, .init = LrcInit::kActivationSvd}); }),
            "[convert_to_lrc] expected a function `calibrate` for activation_svd, got none");
  EXPECT_EQ(message_of<ValueError>([&] {
              convert_to_lrc(net, {.rank = 2, .init = LrcInit::kActivationSvd, .calibrate = [](nn::Module&) {}});
            }),
            "[convert_to_lrc] expected calibration to reach every layer, got nothing for up_proj");
  EXPECT_EQ(message_of<ValueError>([&] {
              BitLinearLrc layer({.layer = {.in_features = 4, .out_features = 4},
                                  .rank = 1,
                                  .trainable_weight = true,
                                  .keep_weight = false});
            }),
            "[BitLinearLrc] expected keep_weight where the weight is to train, got false");
  EXPECT_EQ(message_of<ValueError>([&] { convert_to_lrc(net, {.rank = 2, .exclude = {"*_proj"}}); }),
            "[convert_to_lrc] expected a model with BitLinear layers, got a Net with all of them left out");
  EXPECT_EQ(message_of<ValueError>([&] {
              convert_to_lrc(net, {.rank = 2, .init = LrcInit::kActivationSvd, .calibrate = [](nn::Module& model) {
                                     model(zeros({3, 12}));
                                   }});
            }),
            "[activation_svd] expected tokens that are not all zero, got 3 of zeros (in up_proj)");
  Tensor(net.get_parameter("down_proj.weight").latent()).data<float>()[5] = NAN;
  EXPECT_EQ(message_of<NonFiniteError>([&] { convert_to_lrc(net, {.rank = 2, .init = LrcInit::kSvdResidual}); }),
            "[ternarize] expected finite weights, got NaN or infinity in f32 [12, 24] (in down_proj)");
  EXPECT_TRUE(lrc_stats(net).ranks.empty());
}

TEST(BitnetLrc, ADroppedWeightStaysAsPackedCodes) {
  manual_seed(8);
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    Net kept, dropped;
    kept.to(dtype);
    convert(kept);
    dropped.to(dtype);
    dropped.load_state_dict(kept.state_dict());
    convert(dropped);
    convert_to_lrc(kept, {.rank = 2, .init = LrcInit::kSvdResidual});
    convert_to_lrc(dropped, {.rank = 2, .init = LrcInit::kSvdResidual, .keep_weight = false});
    const Tensor x = randn({4, 12}, dtype);
    EXPECT_EQ(dropped(x).to_vector<double>(), kept(x).to_vector<double>());
    EXPECT_EQ(lrc_stats(dropped).frozen_elements, lrc_stats(kept).frozen_elements);
    for (const auto& [name, buffer] : dropped.named_buffers())
      if (name.ends_with("weight_packed")) {
        EXPECT_EQ(buffer.bytes(), buffer.size(0) * 32) << "128 weights of two bits";
      }
    Tensor(dropped.named_buffers().front().second).fill_(255);
    EXPECT_THROW(dropped(x), FormatError);
  }
}

TEST(BitnetLrc, AnOptimizerThatHoldsTheWeightFollows) {
  Net net;
  const Tensor weight = net.up_proj->weight.latent();
  convert(net);
  convert_to_lrc(net, {.rank = 2, .trainable_weight = true});
  EXPECT_TRUE(net.get_parameter("up_proj.weight").latent().is_same(weight));
  EXPECT_TRUE(weight.requires_grad());
  const LrcReport again = convert_to_lrc(net, {.rank = 3});
  EXPECT_TRUE(again.converted.empty());
  EXPECT_EQ(again.before, (std::vector<std::pair<std::string, int64_t>>{{"up_proj", 2}, {"down_proj", 2}}));
}

}  // namespace
}  // namespace tern::quant::bitnet
