#include <limits>
#include <memory>

#include <gtest/gtest.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/kept_forms.h>
#include <tern/core/ops/activation.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/operators.h>
#include <tern/core/ops/reduce.h>
#include <tern/core/random.h>
#include <tern/nn/fuse_for_inference.h>
#include <tern/nn/fused.h>
#include <tern/nn/init.h>
#include <tern/nn/layers/activations.h>
#include <tern/nn/layers/containers.h>
#include <tern/nn/layers/linear.h>
#include <tern/nn/models/resnet.h>
#include <tern/nn/models/resnet_cifar.h>
#include <tern/nn/parametrization.h>

#include "nn/numeric.h"

namespace tern::nn {
namespace {

double difference(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.shape(), b.shape());
  return max(abs(a.detach() - b.detach())).item();
}

// Gives every norm statistics and an affine map of its own.
void unsettle(Module& model) {
  const NoGradGuard no_grad;
  for (const auto& [path, module] : model.named_modules()) {
    auto* norm = dynamic_cast<BatchNorm*>(module.get());
    if (norm == nullptr) continue;
    for (const Tensor& t : {norm->weight.latent(), norm->bias.latent(), norm->running_mean()})
      if (t.defined()) Tensor(t).copy_(random(t.shape(), t.dtype()));
    if (norm->running_var.defined()) norm->running_var().copy_(abs(random(norm->running_var().shape())) + 0.3);
  }
}

int64_t norms_in(const Module& model) {
  int64_t count = 0;
  for (const auto& [path, module] : model.named_modules()) count += dynamic_cast<BatchNorm*>(module.get()) != nullptr;
  return count;
}

// Folds a model's norms and compares what it computes with what it computed.
FusionReport fuse_and_compare(Module& model, const Tensor& x, double tolerance) {
  unsettle(model);
  model.eval();
  const NoGradGuard no_grad;
  const Tensor before = model(x);
  const FusionReport report = fuse_for_inference(model, x.slice(0, 0, 1));
  EXPECT_LE(difference(model(x), before), tolerance * max(abs(before)).item());
  EXPECT_FALSE(model.is_training());
  return report;
}

TEST(FuseForInference, FoldsEveryNormOfTheZoosResNets) {
  for (const DType dtype : {DType::kF64, DType::kF32}) {
    const double tolerance = dtype == DType::kF64 ? 1e-12 : 2e-5;
    models::ResNetCifar small({.depth = 14});
    small.to(dtype);
    const FusionReport report = fuse_and_compare(small, random({3, 3, 16, 16}, dtype), tolerance);
    EXPECT_EQ(report.fused.size(), 13u);
    EXPECT_EQ(report.fused[1].layer, "layer1.0.conv1");
    EXPECT_EQ(report.fused[1].norm, "layer1.0.bn1");
    EXPECT_TRUE(report.left.empty());
    EXPECT_EQ(norms_in(small), 0);
    EXPECT_TRUE(small.conv1->options().bias);
    EXPECT_EQ(small.conv1->weight.latent().dtype(), dtype);

    if (dtype == DType::kF64) continue;
    for (const auto& [depth, count] : {std::pair<int64_t, size_t>{18, 20}, {50, 53}}) {
      const auto made = [&depth = depth] {
        const init::SkipRandomFills skip;
        return make<models::ResNet>({.depth = depth, .num_classes = 5});
      }();
      models::ResNet& large = *made;
      for (const Tensor& p : large.parameters()) {
        Tensor values = p.detach();
        init::uniform_(values, -0.05, 0.05);
      }
      large.to(dtype);
      EXPECT_EQ(fuse_and_compare(large, random({1, 3, 32, 32}, dtype), 10 * tolerance).fused.size(), count);
      EXPECT_EQ(norms_in(large), 0);
    }
  }
}

TEST(FuseForInference, FoldsConvolutionsAndLinearLayersOfAModelOfOnesOwn) {
  Sequential model;
  model.add<Conv2d>({.in_channels = 3, .out_channels = 4, .kernel_size = 3, .stride = 2, .groups = 1});
  model.add<BatchNorm2d>({.num_features = 4, .affine = false});
  model.add<ReLU>();
  model.add<Conv2d>({.in_channels = 4, .out_channels = 4, .kernel_size = 2, .groups = 4, .bias = false});
  model.add<BatchNorm2d>({.num_features = 4, .eps = 0.1});
  model.add<Flatten>();
  model.add<Linear>({.in_features = 16, .out_features = 5});
  model.add<BatchNorm1d>({.num_features = 5});
  model.to(DType::kF64);
  model.requires_grad_(false);
  const FusionReport report = fuse_and_compare(model, random({4, 3, 7, 7}), 1e-12);
  ASSERT_EQ(report.fused.size(), 3u);
  EXPECT_EQ(report.fused[2].layer, "6");
  EXPECT_EQ(report.fused[2].norm, "7");
  EXPECT_EQ(norms_in(model), 0);
  EXPECT_EQ(difference((*clone(model))(random({4, 3, 7, 7}) * 0.0), model(zeros({4, 3, 7, 7}, DType::kF64))), 0);
}

// conv and bn with a forward that each test chooses.
struct Pair : Module {
  using Forward = Tensor (*)(Pair&, const Tensor&);
  explicit Pair(Forward f) : run(f) { to(DType::kF64); }
  Forward run;
  Child<Conv2d> conv{this, "conv", {.in_channels = 2, .out_channels = 2, .kernel_size = 1}};
  Child<BatchNorm2d> bn{this, "bn", {.num_features = 2}};
  Tensor forward(const Tensor& x) override { return run(*this, x); }
};

struct Half : Parametrization {
  Half() : Parametrization("half") {}
  Tensor effective(const Tensor& latent) override { return latent * 0.5; }
};

struct Doubled : Conv2d {
  using Conv2d::Conv2d;
  Tensor forward(const Tensor& x) override { return Conv2d::forward(x) * 2.0; }
};

TEST(FuseForInference, LeavesWhatItCannotFoldAndSaysWhy) {
  const auto reason = [](Pair& model) {
    const FusionReport report = fuse_and_compare(model, random({2, 2, 3, 3}), 0);
    EXPECT_TRUE(report.fused.empty());
    EXPECT_EQ(norms_in(model), 1);
    return report.left.empty() ? "" : report.left[0].norm + ": " + report.left[0].reason;
  };
  const auto usual = [](Pair& m, const Tensor& x) { return m.bn(m.conv(x)); };

  Pair first([](Pair& m, const Tensor& x) { return m.conv(m.bn(x)); });
  EXPECT_EQ(reason(first), "bn: it does not read a convolution's or linear layer's output");
  Pair between([](Pair& m, const Tensor& x) { return m.bn(relu(m.conv(x))); });
  EXPECT_EQ(reason(between), "bn: it does not read a convolution's or linear layer's output");
  Pair shared([](Pair& m, const Tensor& x) {
    const Tensor y = m.conv(x);
    return m.bn(y) + y;
  });
  EXPECT_EQ(reason(shared), "bn: something else reads the output of conv too");
  Pair twice([](Pair& m, const Tensor& x) { return m.bn(m.conv(m.conv(x))); });
  EXPECT_EQ(reason(twice), "bn: conv was called 2 times");
  Pair again([](Pair& m, const Tensor& x) { return m.bn(m.conv(m.bn(x))); });
  EXPECT_EQ(reason(again), "bn: it was called 2 times");
  Pair unused([](Pair& m, const Tensor& x) { return m.conv(x); });
  EXPECT_EQ(reason(unused), "bn: it was called 0 times");

  Pair hooked(usual);
  int calls = 0;
  hooked.bn->register_forward_hook([&](Module&, std::span<const Tensor>, const Tensor&) { ++calls; });
  EXPECT_EQ(reason(hooked), "bn: the BatchNorm2d has a hook");
  EXPECT_GT(calls, 0);
  Pair quantized(usual);
  quantized.conv->weight.parametrize(std::make_shared<Half>());
  EXPECT_EQ(reason(quantized), "bn: the Conv2d's weight is parametrized (Half); bake it first");
  quantized.conv->weight.remove_parametrization(true);
  EXPECT_EQ(fuse_and_compare(quantized, random({2, 2, 3, 3}), 1e-12).fused.size(), 1u);
  Pair derived(usual);
  const auto doubled = make<Doubled>(derived.conv->options());
  doubled->to(DType::kF64);
  derived.replace("conv", doubled);
  EXPECT_EQ(reason(derived), "bn: a Doubled may compute something of its own");
  Pair own_statistics(usual);
  own_statistics.replace("bn", make<BatchNorm2d>({.num_features = 2, .affine = false, .track_running_stats = false}));
  EXPECT_EQ(reason(own_statistics), "bn: the norm has no running statistics");
}

TEST(FuseForInference, ARouteThatNoGraphShowsIsNoticedAndNothingChanges) {
  Pair model([](Pair& m, const Tensor& x) {
    const Tensor y = m.conv(x);
    return m.bn(y) + y.detach();
  });
  unsettle(model);
  model.eval();
  const Tensor x = random({2, 2, 3, 3}), before = model(x);
  try {
    fuse_for_inference(model, x);
    FAIL();
  } catch (const StateError& error) {
    EXPECT_NE(std::string(error.what()).find("[fuse_for_inference] expected the same result for the example, got one"),
              std::string::npos)
        << error.what();
  }
  EXPECT_EQ(difference(model(x), before), 0);
  EXPECT_EQ(norms_in(model), 1);
  EXPECT_FALSE(model.conv->has_hooks());
}

// Features, a norm of them that can be folded, then tokens [N, 4, features] and a norm of the tokens, which cannot.
struct Tokens : Module {
  explicit Tokens(int64_t features) : fc(this, "fc", {.in_features = 2, .out_features = features}) {}
  Child<Linear> first{this, "first", {.in_features = 8, .out_features = 8}};
  Child<BatchNorm1d> first_bn{this, "first_bn", {.num_features = 8}};
  Child<Linear> fc;
  Child<BatchNorm1d> bn{this, "bn", {.num_features = 4}};
  Tensor forward(const Tensor& x) override { return bn(fc(first_bn(first(x)).reshape({x.size(0), 4, 2}))); }
};

TEST(FuseForInference, LeavesANormOfAnotherAxisAlone) {
  for (const int64_t features : {6, 4, 1}) {
    Tokens model(features);
    model.to(DType::kF64);
    const FusionReport report = fuse_and_compare(model, random({16, 8}), 1e-12);
    ASSERT_EQ(report.fused.size(), 1u);
    EXPECT_EQ(report.fused[0].norm, "first_bn");
    ASSERT_EQ(report.left.size(), 1u);
    EXPECT_EQ(report.left[0].norm, "bn");
    EXPECT_EQ(report.left[0].reason, concat("it normalizes axis 1 of [1, 4, ", features, "], not the outputs of fc"));
  }
}

TEST(FuseForInference, FoldsAllOrNothing) {
  // The second norm's statistics are read in a way that no forward records, so that folding changes the result, here
  // by far less than the largest value.
  struct Net : Module {
    Child<Linear> a{this, "a", {.in_features = 8, .out_features = 8}};
    Child<BatchNorm1d> a_bn{this, "a_bn", {.num_features = 8}};
    Child<Linear> b{this, "b", {.in_features = 8, .out_features = 8}};
    Child<BatchNorm1d> b_bn{this, "b_bn", {.num_features = 8}};
    bool throws = false;
    Tensor forward(const Tensor& x) override {
      const Tensor y = b_bn(b(a_bn(a(x))));
      const bool folded = b_bn.get_if<BatchNorm1d>() == nullptr;
      TERN_CHECK(!(folded && throws), ValueError, "[net] expected its norm");
      return folded ? y * (1 + 1e-4) : y;
    }
  };
  for (const bool throws : {false, true}) {
    Net net;
    net.throws = throws;
    const Tensor x = random({4, 8}, DType::kF32);
    net(x);
    net.eval();
    const NamedModules before = net.named_modules();
    const Tensor result = net(x);
    EXPECT_THROW((void)fuse_for_inference(net, x), Error);
    EXPECT_EQ(net.named_modules(), before);
    EXPECT_EQ(difference(net(x), result), 0);
  }
}

TEST(FuseForInference, WeightsKeepFormsUntilTheyAreWrittenTo) {
  manual_seed(31);
  auto model = make<Sequential>();
  model->append(make<Conv2d>({.in_channels = 3, .out_channels = 16, .kernel_size = 3}));
  model->append(make<Flatten>());
  model->append(make<Linear>({.in_features = 64, .out_features = 8}));
  const Tensor x = random({3, 3, 4, 4}, DType::kF32);
  fuse_for_inference(*model, x);
  const Parameter &conv = model->at<Conv2d>(0).weight, &last = model->at<Linear>(2).weight;
  const NoGradGuard no_grad;
  for (int round = 0; round < 2; ++round) {
    const Tensor y = (*model)(x);
    EXPECT_GT(kept_form_bytes(conv.latent()), 0);
    EXPECT_GT(kept_form_bytes(last.latent()), 0);
    EXPECT_EQ(difference((*model)(x), y), 0);
    {
      const EnableGradGuard record;  // reads the weights themselves
      EXPECT_LE(difference((*model)(x), y), 1e-5 * max(abs(y)).item());
    }
    for (const Parameter* p : {&conv, &last}) Tensor(p->latent()).copy_(random(p->latent().shape(), DType::kF32));
  }
}

TEST(FuseForInference, LeavesALayerInSeveralPlacesAlone) {
  struct Net : Module {
    Child<Linear> a{this, "a", {.in_features = 8, .out_features = 8}};
    Child<BatchNorm1d> bn{this, "bn", {.num_features = 8}};
    Child<Linear> elsewhere{this, "elsewhere",
                            a.module() == nullptr ? nullptr : std::dynamic_pointer_cast<Linear>(a.module())};
    Tensor forward(const Tensor& x) override { return bn(a(x)); }
  } net;
  net.to(DType::kF64);
  const FusionReport report = fuse_and_compare(net, random({4, 8}), 1e-12);
  ASSERT_EQ(report.left.size(), 1u);
  EXPECT_EQ(report.left[0].reason, "a stands in several places");
}

TEST(FuseForInference, RefusesAnExampleWithoutAFiniteResult) {
  Pair model([](Pair& m, const Tensor& x) { return m.bn(m.conv(x)); });
  const Tensor x = full({1, 2, 2, 2}, std::numeric_limits<double>::infinity(), DType::kF64);
  EXPECT_THROW(fuse_for_inference(model, x), ValueError);
  EXPECT_EQ(norms_in(model), 1);
}

TEST(FuseForInference, AForwardThatThrowsLeavesTheModelAsItWas) {
  models::ResNetCifar model({.depth = 8});
  EXPECT_THROW(fuse_for_inference(model, random({1, 4, 8, 8}, DType::kF32)), ShapeError);
  EXPECT_EQ(norms_in(model), 7);
  EXPECT_FALSE(model.conv1->has_hooks());
}

TEST(FuseForInference, HooksAndReplacementsAfterwardsAreNotBypassed) {
  models::ResNetCifar model({.depth = 8});
  model.to(DType::kF64);
  unsettle(model);
  const Tensor x = random({2, 3, 8, 8});
  const NoGradGuard no_grad;
  fuse_for_inference(model, x);
  const Tensor before = model(x);
  int calls = 0;
  const auto count = [&](Module&, std::span<const Tensor>, const Tensor&) { ++calls; };
  auto& block = model.layer1->at<models::CifarBlock>(0);
  HookHandle on_conv = block.conv2->register_forward_hook(count);
  HookHandle on_norm = block.bn2.module()->register_forward_hook(count);
  EXPECT_LT(difference(model(x), before), 1e-12);
  EXPECT_EQ(calls, 2);
  on_conv.remove();
  EXPECT_LT(difference(model(x), before), 1e-12);
  EXPECT_EQ(calls, 3);
  on_norm.remove();
  const auto doubled = make<Doubled>(block.conv2->options());
  doubled->to(DType::kF64);
  doubled->load_state_dict(block.conv2->state_dict());
  model.replace("layer1.0.conv2", doubled);
  EXPECT_GT(difference(model(x), before), 1e-3);
}

TEST(ConvBnAct, AgreesWithItsComposition) {
  struct Net : Module {
    Child<Conv2d> conv{this, "conv", {.in_channels = 16, .out_channels = 16, .kernel_size = 3, .padding = 1}};
    Child<BatchNorm2d> bn{this, "bn", {.num_features = 16}};
  };
  for (const bool folded : {false, true}) {
    Net net;
    if (folded) net.replace("bn", make<Identity>());
    const Tensor x = random({3, 16, 9, 8}, DType::kF32), residual = random({3, 16, 9, 8}, DType::kF32);
    for (const bool with_residual : {false, true})
      for (const bool activate : {false, true}) {
        const Tensor r = with_residual ? residual : Tensor();
        const Tensor fused = conv_bn_act(net.conv, net.bn, x, r, activate);
        const NoFusionGuard off;
        EXPECT_LT(difference(fused, conv_bn_act(net.conv, net.bn, x, r, activate)), 1e-5);
      }
  }
}

}  // namespace
}  // namespace tern::nn
