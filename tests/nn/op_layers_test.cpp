// Layers that do nothing but call an op with their settings: activations, padding, losses.
#include <gtest/gtest.h>

#include <tern/core/ops/activation.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/join.h>
#include <tern/core/ops/loss.h>
#include <tern/core/ops/pair_loss.h>
#include <tern/core/ops/softmax.h>
#include <tern/nn/init.h>
#include <tern/nn/layers/activations.h>
#include <tern/nn/layers/containers.h>
#include <tern/nn/layers/loss.h>
#include <tern/nn/layers/margin_loss.h>
#include <tern/nn/layers/padding.h>

#include "message_of.h"
#include "nn/numeric.h"
#include "nn/toys.h"

namespace tern::nn {
namespace {

using test::message_of;

Tensor labels(const std::vector<int64_t>& values) {
  Tensor x = empty({static_cast<int64_t>(values.size())}, DType::kI64);
  std::copy(values.begin(), values.end(), x.data<int64_t>());
  return x;
}

void expect_same(const Tensor& got, const Tensor& wanted) {
  EXPECT_EQ(got.shape(), wanted.shape());
  EXPECT_EQ(got.dtype(), wanted.dtype());
  EXPECT_EQ(got.to_vector<double>(), wanted.to_vector<double>());
}

TEST(ActivationLayers, ComputeTheirOps) {
  const Tensor x = random({3, 4, 5}, DType::kF64, 3);
  expect_same(ReLU()(x), relu(x));
  expect_same(ReLU6()(x), relu6(x));
  expect_same(LeakyReLU({})(x), leaky_relu(x, 0.01));
  expect_same(ELU({})(x), elu(x, 1));
  expect_same(ELU({.alpha = 0.5})(x), elu(x, 0.5));
  expect_same(GELU({.approximation = Gelu::kTanh})(x), gelu(x, Gelu::kTanh));
  expect_same(SiLU()(x), silu(x));
  expect_same(Sigmoid()(x), sigmoid(x));
  expect_same(LogSigmoid()(x), logsigmoid(x));
  expect_same(Tanh()(x), tanh(x));
  expect_same(Hardsigmoid()(x), hardsigmoid(x));
  expect_same(Hardswish()(x), hardswish(x));
  expect_same(Softplus({})(x), softplus(x, 1, 20));
  expect_same(Softplus({.beta = 2, .threshold = 3})(x), softplus(x, 2, 3));
  expect_same(Softmax({.dim = 1})(x), softmax(x, 1));
  expect_same(LogSoftmax({})(x), log_softmax(x, -1));
  expect_same(LogSoftmax({.dim = 0})(x), log_softmax(x, 0));
  expect_same(SELU()(x), selu(x));
  expect_same(CELU({})(x), celu(x, 1));
  expect_same(CELU({.alpha = 0.5})(x), celu(x, 0.5));
  expect_same(Mish()(x), mish(x));
  expect_same(GLU({.dim = 1})(x), glu(x, 1));
  expect_same(GLU({})(x.transpose(1, 2)), glu(x.transpose(1, 2), -1));
  expect_same(Hardtanh({})(x), hardtanh(x, -1, 1));
  expect_same(Hardtanh({.min_val = -0.2, .max_val = 0.1})(x), hardtanh(x, -0.2, 0.1));
  expect_same(Softsign()(x), softsign(x));
  expect_same(Tanhshrink()(x), tanhshrink(x));
  expect_same(Hardshrink({})(x), hardshrink(x, 0.5));
  expect_same(Softshrink({.lambd = 0.1})(x), softshrink(x, 0.1));
  expect_same(Softshrink({})(x), softshrink(x, 0.5));
  expect_same(Threshold({.threshold = 0.1, .value = -3})(x), threshold(x, 0.1, -3));
  expect_same(Softmin({.dim = 1})(x), softmin(x, 1));
  EXPECT_EQ(Hardtanh({}).extra_text(), "min_val=-1, max_val=1");
  EXPECT_EQ(message_of<ValueError>([] { Hardtanh({.min_val = 1}); }),
            "[Hardtanh] expected min_val below max_val, got 1 and 1");
  EXPECT_EQ(message_of<ValueError>([] { CELU({.alpha = 0}); }), "[CELU] expected an alpha other than 0, got 0");
  EXPECT_EQ(message_of<ValueError>([] { Softshrink({.lambd = -1}); }),
            "[Softshrink] expected a lambd of at least 0, got -1");
  EXPECT_EQ(ELU({.alpha = 0.5}).extra_text(), "alpha=0.5");
  EXPECT_EQ(Softplus({}).extra_text(), "beta=1, threshold=20");
  EXPECT_EQ(LogSoftmax({}).extra_text(), "dim=-1");
  EXPECT_EQ(message_of<ValueError>([] { Softplus({.beta = 0}); }), "[Softplus] expected a beta other than 0, got 0");
}

TEST(ActivationLayers, PReLULearnsItsWeight) {
  PReLU one({}), many({.num_parameters = 4, .init = 0.5});
  one.to(DType::kF64);
  many.to(DType::kF64);
  const Tensor x = random({3, 4, 5}, DType::kF64, 3);
  expect_same(one.weight(), filled({1}, {0.25}));
  expect_same(one(x), prelu(x, filled({1}, {0.25})));
  expect_same(many(x), prelu(x, filled({4}, {0.5, 0.5, 0.5, 0.5})));
  EXPECT_EQ(many.extra_text(), "num_parameters=4");
  many(x).backward(ones_like(x));
  EXPECT_EQ(many.weight.latent().grad().shape(), (Shape{4}));
  EXPECT_TRUE(many.state_dict().contains("weight"));
  expect_same((*clone(many))(x), many(x));
  EXPECT_EQ(message_of<ValueError>([] { PReLU({.num_parameters = 0}); }),
            "[PReLU] expected num_parameters of at least 1, got 0");
  EXPECT_EQ(message_of<ShapeError>([&] {
              many(random({2, 3}, DType::kF64, 3));
            }),
            "[prelu] expected a weight of shape [1] or [3] for input [2, 3], got [4]");
}

TEST(PaddingLayers, ComputeTheirOp) {
  const Tensor x = random({2, 3, 4, 5}, DType::kF64, 3);
  expect_same(ConstantPad1d({.padding = {1, 2}, .value = 0.5})(x), pad(x, {1, 2}, 0.5));
  expect_same(ConstantPad2d({.padding = {1, 2, 3, 4}, .value = -1})(x), pad(x, {1, 2, 3, 4}, -1));
  expect_same(ConstantPad2d({.padding = {1, -2, 0, 4}})(x), pad(x, {1, -2, 0, 4}));
  expect_same(ConstantPad3d({.padding = 1, .value = 7})(x), pad(x, {1, 1, 1, 1, 1, 1}, 7));
  expect_same(ZeroPad1d({.padding = 3})(x), pad(x, {3, 3}));
  expect_same(ZeroPad2d({.padding = 2})(x), pad2d(x, 2));
  expect_same(ZeroPad3d({.padding = {1, 2, 3, 4, 5, 6}})(x), pad(x, {1, 2, 3, 4, 5, 6}));
  expect_same(ZeroPad2d({})(x), x);
  EXPECT_EQ(ConstantPad2d({.padding = {1, 2, 3, 4}, .value = -1}).extra_text(), "padding=[1, 2, 3, 4], value=-1");
  EXPECT_EQ(ZeroPad2d({.padding = 2}).extra_text(), "padding=[2, 2, 2, 2]");
  EXPECT_EQ(ZeroPad2d({}).type_name(), "ZeroPad2d");
  Sequential net;
  net.add<ZeroPad2d>({.padding = 1});
  expect_same((*clone(net))(x), pad2d(x, 1));
  EXPECT_EQ(message_of<ShapeError>([&] { ZeroPad2d({.padding = 1})(random({3}, DType::kF64, 3)); }),
            "[pad] expected pairs (before, after) for at most 1 axes (shape [3]), got 4 numbers");
}

TEST(LossLayers, ComputeTheirOps) {
  const Tensor x = random({4, 3}, DType::kF64, 3), y = random({4, 3}, DType::kF64, 3), p = softmax(y, 1),
               chosen = labels({0, 2, -100, 1});
  const Tensor weight = filled({3}, {0.5, 1, 2});
  for (const Reduction reduction : {Reduction::kMean, Reduction::kSum, Reduction::kNone}) {
    expect_same(CrossEntropyLoss({.reduction = reduction})(x, chosen),
                cross_entropy(x, chosen, {.reduction = reduction}));
    expect_same(CrossEntropyLoss({.weight = weight, .label_smoothing = 0.1, .reduction = reduction})(x, p),
                cross_entropy(x, p, {.weight = weight, .label_smoothing = 0.1, .reduction = reduction}));
    expect_same(NLLLoss({.weight = weight, .ignore_index = 2, .reduction = reduction})(x, labels({0, 2, 1, 1})),
                nll_loss(x, labels({0, 2, 1, 1}), {.weight = weight, .ignore_index = 2, .reduction = reduction}));
    expect_same(BCEWithLogitsLoss({.weight = p, .pos_weight = weight, .reduction = reduction})(x, sigmoid(y)),
                bce_with_logits(x, sigmoid(y), {.weight = p, .pos_weight = weight, .reduction = reduction}));
    expect_same(MSELoss({.reduction = reduction})(x, y), mse_loss(x, y, reduction));
    expect_same(L1Loss({.reduction = reduction})(x, y), l1_loss(x, y, reduction));
    expect_same(SmoothL1Loss({.beta = 0.5, .reduction = reduction})(x, y), smooth_l1_loss(x, y, 0.5, reduction));
    expect_same(HuberLoss({.delta = 2, .reduction = reduction})(x, y), huber_loss(x, y, 2, reduction));
    expect_same(BCELoss({.weight = weight, .reduction = reduction})(p, sigmoid(y)),
                binary_cross_entropy(p, sigmoid(y), {.weight = weight, .reduction = reduction}));
    expect_same(SoftMarginLoss({.reduction = reduction})(x, sign(y)), soft_margin_loss(x, sign(y), reduction));
    expect_same(HingeEmbeddingLoss({.margin = 0.5, .reduction = reduction})(x, sign(y)),
                hinge_embedding_loss(x, sign(y), 0.5, reduction));
    expect_same(MarginRankingLoss({.margin = 0.5, .reduction = reduction})(x, y, sign(p)),
                margin_ranking_loss(x, y, sign(p), 0.5, reduction));
    const Tensor signs = filled({4}, {1, -1, -1, 1});
    expect_same(CosineEmbeddingLoss({.margin = 0.1, .reduction = reduction})(x, y, signs),
                cosine_embedding_loss(x, y, signs, 0.1, reduction));
    expect_same(TripletMarginLoss({.margin = 0.5, .swap = true, .reduction = reduction})(x, y, p),
                triplet_margin_loss(x, y, p, {.margin = 0.5, .swap = true, .reduction = reduction}));
    expect_same(KLDivLoss({.reduction = reduction})(x, p), kl_div(x, p, {.reduction = reduction}));
  }
  expect_same(KLDivLoss({.log_target = true, .reduction = Reduction::kBatchMean})(x, y),
              kl_div(x, y, {.log_target = true, .reduction = Reduction::kBatchMean}));
  expect_same(MSELoss({})(x, y), mse_loss(x, y));
  expect_same(SmoothL1Loss({})(x, y), smooth_l1_loss(x, y));
  expect_same(HuberLoss({})(x, y), huber_loss(x, y));
}

TEST(LossLayers, PassGradientsOn) {
  Tensor x = random({4, 3}, DType::kF64, 3).requires_grad_(), z = x.detach().clone().requires_grad_();
  const Tensor chosen = labels({0, 2, 1, 1});
  CrossEntropyLoss({})(x, chosen).backward();
  cross_entropy(z, chosen).backward();
  expect_same(x.grad(), z.grad());
}

TEST(LossLayers, KeepTheirWeightsAsBuffers) {
  const Tensor weight = filled({3}, {0.5, 1, 2}), x = random({4, 3}, DType::kF64, 3), chosen = labels({0, 2, 1, 1});
  CrossEntropyLoss loss({.weight = weight.to(DType::kF32)});
  EXPECT_TRUE(loss.parameters().empty());
  EXPECT_TRUE(loss.state_dict().contains("weight"));
  loss.to(DType::kF64);
  expect_same(loss(x, chosen), cross_entropy(x, chosen, {.weight = weight}));
  const auto copy = clone(loss);
  loss.weight().fill_(1);
  expect_same(loss(x, chosen), cross_entropy(x, chosen));
  expect_same((*copy)(x, chosen), cross_entropy(x, chosen, {.weight = weight}));
  EXPECT_TRUE(MSELoss({}).state_dict().empty());
}

TEST(LossLayers, AreChildrenWithHooks) {
  struct Net : Module {
    Child<CrossEntropyLoss> loss{this, "loss", {.label_smoothing = 0.1}};
  } net;
  const Tensor x = random({4, 3}, DType::kF64, 3), chosen = labels({0, 2, 1, 1});
  size_t inputs = 0;
  net.loss->register_forward_hook(
      [&](Module&, std::span<const Tensor> in, const Tensor& out) { inputs += in.size() + (out.dim() == 0 ? 10 : 0); });
  expect_same(net.loss(x, chosen), cross_entropy(x, chosen, {.label_smoothing = 0.1}));
  expect_same((*net.loss)(x, chosen), cross_entropy(x, chosen, {.label_smoothing = 0.1}));
  EXPECT_EQ(inputs, 24u);
  EXPECT_EQ(message_of<ShapeError>([&] { net.loss(x, labels({1})); }),
            "[cross_entropy] expected labels of shape [4], got [1] (in loss)");
  net.replace("loss", make<NLLLoss>({}));
  expect_same(net.loss(x, chosen), nll_loss(x, chosen));
  EXPECT_THROW(net.replace("loss", make<ReLU>()), StateError);
}

TEST(LossLayers, OfThreeTensorsAreChildrenWithHooks) {
  struct Net : Module {
    Child<TripletMarginLoss> loss{this, "loss", {.margin = 2}};
  } net;
  const Tensor a = random({4, 3}, DType::kF64, 3), b = random({4, 3}, DType::kF64, 3),
               c = random({4, 3}, DType::kF64, 3);
  size_t inputs = 0;
  net.loss->register_forward_hook([&](Module&, std::span<const Tensor> in, const Tensor&) { inputs += in.size(); });
  expect_same(net.loss(a, b, c), triplet_margin_loss(a, b, c, {.margin = 2}));
  EXPECT_EQ(inputs, 3u);
  net.replace("loss", make<MarginRankingLoss>({}));
  expect_same(net.loss(a, b, c), margin_ranking_loss(a, b, c));
  EXPECT_EQ(TripletMarginLoss({.margin = 2, .swap = true}).extra_text(), "margin=2, swap=true");
  EXPECT_EQ(message_of<ValueError>([] { TripletMarginLoss({.p = 3}); }),
            "[TripletMarginLoss] expected p of 1, 2 or infinity, got 3");
  EXPECT_EQ(message_of<ValueError>([] { CosineEmbeddingLoss({.reduction = Reduction::kBatchMean}); }),
            "[CosineEmbeddingLoss] expected the reduction kMean, kSum or kNone, got kBatchMean");
}

TEST(LossLayers, SayTheirSettings) {
  EXPECT_EQ(CrossEntropyLoss({}).extra_text(), "");
  EXPECT_EQ(CrossEntropyLoss({.ignore_index = 0, .label_smoothing = 0.1, .reduction = Reduction::kSum}).extra_text(),
            "ignore_index=0, label_smoothing=0.1, reduction=kSum");
  EXPECT_EQ(KLDivLoss({.log_target = true, .reduction = Reduction::kBatchMean}).extra_text(),
            "log_target=true, reduction=kBatchMean");
  EXPECT_EQ(HuberLoss({.delta = 2}).extra_text(), "delta=2");
}

TEST(LossLayers, RefuseImpossibleSettings) {
  EXPECT_EQ(message_of<ValueError>([] { MSELoss({.reduction = Reduction::kBatchMean}); }),
            "[MSELoss] expected the reduction kMean, kSum or kNone, got kBatchMean");
  EXPECT_EQ(message_of<ValueError>([] { CrossEntropyLoss({.label_smoothing = 2}); }),
            "[CrossEntropyLoss] expected label_smoothing in [0, 1], got 2");
  EXPECT_EQ(message_of<ValueError>([] { SmoothL1Loss({.beta = 0}); }), "[SmoothL1Loss] expected a beta above 0, got 0");
  EXPECT_EQ(message_of<ValueError>([] { HuberLoss({.delta = -1}); }), "[HuberLoss] expected a delta above 0, got -1");
}

}  // namespace
}  // namespace tern::nn
