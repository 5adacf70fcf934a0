#include <cmath>

#include <gtest/gtest.h>

#include <tern/core/ops/operators.h>
#include <tern/core/ops/reduce.h>
#include <tern/core/random.h>
#include <tern/nn/fused.h>
#include <tern/nn/init.h>
#include <tern/nn/models/mlp.h>
#include <tern/nn/models/registry.h>
#include <tern/nn/models/resnet.h>
#include <tern/nn/models/resnet_cifar.h>
#include <tern/nn/models/vit.h>
#include <tern/nn/parametrization.h>
#include <tern/nn/summary.h>

#include "message_of.h"
#include "nn/numeric.h"

namespace tern::nn::models {
namespace {

using test::message_of;

std::vector<std::string> state_names(const Module& model) {
  std::vector<std::string> out;
  for (const auto& [name, tensor] : model.state_dict()) out.push_back(name);
  return out;
}

TEST(Zoo, HasThePublishedNumbersOfParameters) {
  const std::pair<const char*, int64_t> counts[] = {
      {"resnet20", 269722},   {"resnet32", 464154},   {"resnet44", 658586},
      {"resnet56", 853018},   {"resnet110", 1727962}, {"resnet18", 11689512},
      {"resnet34", 21797672}, {"resnet50", 25557032}, {"vit_tiny", 5717416}};
  const init::SkipRandomFills skip;
  for (const auto& [name, count] : counts) EXPECT_EQ(create(name)->parameter_count(), count) << name;
  EXPECT_EQ(create("vit_small")->parameter_count(), 22050664);
  EXPECT_EQ(Mlp({.in_features = 4, .hidden = {3}, .num_classes = 2}).parameter_count(), 15 + 8);
}

TEST(Zoo, ResNet1202CanBeBuilt) {
  const init::SkipRandomFills skip;
  EXPECT_EQ(create("resnet1202")->parameter_count(), 19421274);
}

TEST(Zoo, CifarNamesAreThePublishedOnes) {
  const ResNetCifar model({.depth = 20});
  std::vector<std::string> expected;
  const auto norm = [&](const std::string& prefix) {
    for (const char* part : {"weight", "bias", "running_mean", "running_var", "num_batches_tracked"})
      expected.push_back(prefix + "." + part);
  };
  expected.push_back("conv1.weight");
  norm("bn1");
  for (int s = 1; s <= 3; ++s)
    for (int b = 0; b < 3; ++b) {
      const std::string block = concat("layer", s, ".", b, ".");
      expected.push_back(block + "conv1.weight");
      norm(block + "bn1");
      expected.push_back(block + "conv2.weight");
      norm(block + "bn2");
    }
  expected.push_back("linear.weight");
  expected.push_back("linear.bias");
  EXPECT_EQ(state_names(model), expected);
}

TEST(Zoo, OtherNamesAreThePublishedOnes) {
  const auto resnet = create("resnet50")->state_dict();
  for (const char* name :
       {"conv1.weight", "bn1.running_var", "layer1.0.conv3.weight", "layer1.0.bn3.bias", "layer1.0.downsample.0.weight",
        "layer1.0.downsample.1.running_mean", "layer4.2.conv2.weight", "fc.weight", "fc.bias"})
    EXPECT_TRUE(resnet.contains(name)) << name;
  EXPECT_FALSE(create("resnet18")->state_dict().contains("layer1.0.downsample.0.weight"));
  EXPECT_EQ(resnet.at("layer1.0.downsample.0.weight").shape(), Shape({256, 64, 1, 1}));

  const auto vit = Vit({.image_size = 32, .patch_size = 8, .num_classes = 10, .width = 48, .depth = 2}).state_dict();
  const std::pair<const char*, Shape> expected[] = {{"cls_token", {1, 1, 48}},
                                                    {"pos_embed", {1, 17, 48}},
                                                    {"patch_embed.proj.weight", {48, 3, 8, 8}},
                                                    {"blocks.1.norm1.weight", {48}},
                                                    {"blocks.1.attn.qkv.weight", {144, 48}},
                                                    {"blocks.1.attn.qkv.bias", {144}},
                                                    {"blocks.1.attn.proj.weight", {48, 48}},
                                                    {"blocks.1.norm2.bias", {48}},
                                                    {"blocks.1.mlp.fc1.weight", {192, 48}},
                                                    {"blocks.1.mlp.fc2.weight", {48, 192}},
                                                    {"norm.weight", {48}},
                                                    {"head.bias", {10}}};
  for (const auto& [name, shape] : expected) EXPECT_EQ(vit.at(name).shape(), shape) << name;
  EXPECT_EQ(vit.size(), 4u + 2 * 12 + 4);
}

TEST(Zoo, PathsOfAVitAreDroppedMoreOftenFromBlockToBlock) {
  for (const int64_t depth : {1, 2, 5}) {
    const Vit vit({.image_size = 8, .patch_size = 4, .num_classes = 3, .width = 12, .depth = depth, .drop_path = 0.4});
    for (int64_t i = 0; i < depth; ++i)
      EXPECT_DOUBLE_EQ(vit.blocks->at<VitBlock>(i).drop_path->options().p,
                       depth == 1 ? 0.4 : 0.4 * static_cast<double>(i) / static_cast<double>(depth - 1))
          << "block " << i << " of " << depth;
  }
}

TEST(Zoo, BuildsFromItsOwnConfiguration) {
  for (const char* name : {"resnet20", "resnet18", "mlp"}) {
    const auto model = create(name);
    EXPECT_EQ(model->model_name(), name);
    EXPECT_EQ(create(model->model_name(), model->config())->config(), model->config()) << name;
  }
  const auto vit =
      create("vit", io::Json::parse("test", "text", R"({"image_size": 16, "patch_size": 8, "width": 12})"));
  EXPECT_EQ(create("vit", vit->config())->config(), vit->config());
  EXPECT_EQ(clone(static_cast<const Vit&>(*vit))->config(), vit->config());
  EXPECT_EQ(names().size(), 15u);
}

TEST(Zoo, RefusesUnknownNamesKeysAndValues) {
  const auto with = [](const char* name, const char* config) {
    return message_of([&] { (void)create(name, io::Json::parse("test", "text", config)); });
  };
  EXPECT_EQ(with("resnet2", "{}"), "[create] expected the name of a model, got 'resnet2' (nearest: resnet20)");
  EXPECT_EQ(with("resnet20", R"({"classes": 3})"),
            "[ResNetCifar] expected a known setting, got 'classes' (nearest: num_classes)");
  EXPECT_EQ(with("resnet20", R"({"depth": 32})"), "[create] expected depth 20, as the name says, got 32");
  EXPECT_EQ(with("vit", R"({"patch_size": 15})"),
            "[Vit] expected a patch_size that divides image_size, got 15 and 224");
  EXPECT_EQ(with("vit", R"({"num_heads": 5})"), "[Vit] expected num_heads that divide width, got 5 and 192");
  EXPECT_EQ(message_of([] { ResNetCifar({.depth = 21}); }),
            "[ResNetCifar] expected a depth of 6 n + 2 (20, 32, 44, 56, 110, 1202), got 21");
  EXPECT_EQ(message_of([] { ResNet({.depth = 19}); }), "[ResNet] expected a depth of 18, 34 or 50, got 19");
}

TEST(Zoo, ErrorsNameThePath) {
  ResNetCifar model({.depth = 20});
  model.replace("layer1.0.conv2", make<Conv2d>({.in_channels = 8, .out_channels = 16, .kernel_size = 3, .padding = 1}));
  EXPECT_NE(message_of([&] {
              model(random({1, 3, 8, 8}, DType::kF32));
            }).find("(in layer1.0.conv2)"),
            std::string::npos);
  model.replace("layer1.0.conv2", make<Conv2d>({.in_channels = 16, .out_channels = 9, .kernel_size = 3, .padding = 1}));
  EXPECT_NE(message_of([&] {
              model(random({1, 3, 8, 8}, DType::kF32));
            }).find("(in layer1.0.bn2)"),
            std::string::npos)
      << "inside a fused path too";
}

// -- fused paths

TEST(Fused, AgreesWithItsComposition) {
  for (const bool training : {true, false}) {
    ResNetCifar fused({.depth = 8});
    fused.to(DType::kF64);
    fused.train(training);
    const auto plain = clone(fused);
    const Tensor x = random({2, 3, 8, 8}, DType::kF64);
    const Tensor a = fused(x);
    Tensor b;
    {
      const NoFusionGuard off;
      b = (*plain)(x);
    }
    EXPECT_LT(largest_difference(a, b), 1e-12);
    a.sum().backward();
    b.sum().backward();
    const auto p = fused.named_parameters(), q = plain->named_parameters();
    for (size_t i = 0; i < p.size(); ++i)
      EXPECT_LT(largest_difference(p[i].second.grad(), q[i].second.grad()), 1e-10) << p[i].first;
    const auto m = fused.named_buffers(), n = plain->named_buffers();
    for (size_t i = 0; i < m.size(); ++i) EXPECT_LT(largest_difference(m[i].second, n[i].second), 1e-12) << m[i].first;
  }
}

TEST(Fused, TransformerBlocksAgreeWithTheirCompositions) {
  Vit fused({.image_size = 8, .patch_size = 4, .num_classes = 3, .width = 12, .depth = 2});
  fused.to(DType::kF64);
  const auto plain = clone(fused);
  const Tensor x = random({2, 3, 8, 8}, DType::kF64);
  const Tensor a = fused(x);
  const NoFusionGuard off;
  EXPECT_LT(largest_difference(a, (*plain)(x)), 1e-12);
}

// Enough rows for the feed-forward by blocks.
VitOptions small_vit() {
  return {.image_size = 8, .patch_size = 4, .num_classes = 3, .width = 12, .depth = 2};
}

TEST(Fused, GradientsOfAVitAgreeWithItsComposition) {
  Vit fused(small_vit());
  fused.to(DType::kF64);
  const auto plain = clone(fused);
  const Tensor x = random({32, 3, 8, 8}, DType::kF64), weights = random({32, 3}, DType::kF64);
  const Tensor a = fused(x);
  (a * weights).sum().backward();
  const NoFusionGuard off;
  const Tensor b = (*plain)(x);
  EXPECT_LT(largest_difference(a, b), 1e-12);
  (b * weights).sum().backward();
  const auto p = fused.named_parameters(), q = plain->named_parameters();
  for (size_t i = 0; i < p.size(); ++i)
    EXPECT_LT(largest_difference(p[i].second.grad(), q[i].second.grad()), 1e-11) << p[i].first;
}

TEST(Fused, TheLastBlockOfAVitBypassesNothing) {
  struct Half : Parametrization {
    Half() : Parametrization("half") {}
    Tensor effective(const Tensor& latent) override { return latent * 0.5; }
  };
  struct Counting : Linear {
    using Linear::Linear;
    std::vector<Shape> seen;
    Tensor forward(const Tensor& x) override {
      seen.push_back(x.shape());
      return Linear::forward(x) * 2.0;
    }
  };
  const Tensor x = random({32, 3, 8, 8}, DType::kF64);
  const auto agrees = [&](Vit& model, const char* what) {
    const NoGradGuard no_grad;
    const Tensor fused = model(x);
    const NoFusionGuard off;
    EXPECT_LT(largest_difference(fused, model(x)), 1e-12) << what;
  };
  // A hook on any module of the block sees all tokens.
  for (const char* path : {"blocks.1", "blocks.1.attn", "blocks.1.attn.qkv", "blocks.1.attn.proj", "blocks.1.norm2",
                           "blocks.1.mlp", "blocks.1.mlp.fc1", "blocks.1.mlp.fc2", "blocks.1.drop_path"}) {
    Vit model(small_vit());
    model.to(DType::kF64);
    const NoGradGuard no_grad;
    const Tensor before = model(x);
    std::vector<Shape> seen;
    for (const auto& [name, module] : model.named_modules())
      if (name == path)
        module->register_forward_hook(
            [&](Module&, std::span<const Tensor> inputs, const Tensor&) { seen.push_back(inputs[0].shape()); });
    EXPECT_LT(largest_difference(model(x), before), 1e-12) << path;
    ASSERT_FALSE(seen.empty()) << path;
    for (const Shape& shape : seen) EXPECT_EQ(shape, Shape({32, 5, shape.back()})) << path;
  }
  // A replaced child is called, with all tokens.
  for (const char* path : {"blocks.1.attn.qkv", "blocks.1.attn.proj", "blocks.1.mlp.fc1", "blocks.1.mlp.fc2"}) {
    Vit model(small_vit());
    model.to(DType::kF64);
    std::shared_ptr<Counting> counting;
    for (const auto& [name, module] : model.named_modules())
      if (name == path) counting = make<Counting>(dynamic_cast<Linear&>(*module).options());
    counting->to(DType::kF64);
    model.replace(path, counting);
    agrees(model, path);
    ASSERT_EQ(counting->seen.size(), 2u) << path;
    EXPECT_EQ(counting->seen[0], counting->seen[1]) << path;
  }
  // A quantizer's weights are the ones used.
  for (const char* path : {"blocks.1.attn.qkv", "blocks.1.mlp.fc1", "blocks.1.mlp.fc2", "blocks.0.mlp.fc2"}) {
    Vit model(small_vit());
    model.to(DType::kF64);
    const NoGradGuard no_grad;
    const Tensor before = model(x);
    for (const auto& [name, module] : model.named_modules())
      if (name == path) dynamic_cast<Linear&>(*module).weight.parametrize(std::make_shared<Half>());
    EXPECT_GT(largest_difference(model(x), before), 1e-9) << path;
    agrees(model, path);
  }
  // Dropout at work: random numbers are drawn as without fusion.
  for (double VitOptions::*rate : {&VitOptions::dropout, &VitOptions::attention_dropout, &VitOptions::drop_path}) {
    VitOptions o = small_vit();
    o.*rate = 0.5;
    Vit model(o);
    model.to(DType::kF64);
    const NoGradGuard no_grad;
    manual_seed(7);
    const Tensor fused = model(x);
    manual_seed(7);
    const NoFusionGuard off;
    EXPECT_LT(largest_difference(fused, model(x)), 1e-12);
  }
}

// What does not fit is refused with the same sentence, fused or not, and with the layer's name.
template <class Norm>
struct Ending : Module {
  explicit Ending(const typename Norm::Options& options) : norm(this, "norm", options) {}
  Child<Norm> norm;
};

template <class Norm, class Kind>
void both_say(const typename Norm::Options& options, const Tensor& x, const Tensor& residual,
              const std::string& sentence) {
  Ending<Norm> model(options);
  const auto call = [&] { (void)add_norm(model.norm, x, residual); };
  EXPECT_EQ(message_of<Kind>(call), sentence);
  const NoFusionGuard off;
  EXPECT_EQ(message_of<Kind>(call), sentence) << "unfused";
}

TEST(Fused, AdditionsWithNormRefuseTheSame) {
  const Tensor x = random({2, 4}, DType::kF32);
  for (const bool affine : {true, false}) {
    const LayerNorm::Options layer{.normalized_shape = {4}, .elementwise_affine = affine};
    const RMSNorm::Options rms{.dim = 4, .elementwise_affine = affine};
    both_say<LayerNorm, ShapeError>(layer, x, random({4}, DType::kF32),
                                    "[add_norm] expected a residual of shape [2, 4], got [4] (in norm)");
    both_say<RMSNorm, ShapeError>(rms, x, random({1, 4}, DType::kF32),
                                  "[add_norm] expected a residual of shape [2, 4], got [1, 4] (in norm)");
    both_say<LayerNorm, DTypeError>(layer, x, random({2, 4}, DType::kF64),
                                    "[add_norm] expected a residual of f32, got f64 (in norm)");
    both_say<RMSNorm, StateError>(rms, x, Tensor(),
                                  "[add_norm] expected a defined tensor, got an undefined one (in norm)");
    const Tensor wide = random({2, 5}, DType::kF32);
    both_say<LayerNorm, ShapeError>(layer, wide, wide,
                                    "[layer_norm] expected x with the last sizes [4], got [2, 5] (in norm)");
    both_say<RMSNorm, ShapeError>(rms, wide, wide, "[rms_norm] expected input [..., 4], got [2, 5] (in norm)");
  }
}

TEST(Fused, FeedForwardNamesTheLayerAtFault) {
  struct Failing : Parametrization {
    Failing() : Parametrization("failing") {}
    Tensor effective(const Tensor&) override { throw ValueError("[failing] expected nothing"); }
  };
  struct Mlp2 : Module {
    Child<Linear> up{this, "up", {.in_features = 4, .out_features = 8}};
    Child<Linear> down{this, "down", {.in_features = 8, .out_features = 4}};
    Tensor forward(const Tensor& x) override { return feed_forward(up, down, x, Activation::kRelu); }
  };
  struct Outer : Module {
    Child<Mlp2> mlp{this, "mlp"};
    Tensor forward(const Tensor& x) override { return mlp(x); }
  };
  const Tensor x = random({2, 4}, DType::kF32);
  Outer model;
  EXPECT_EQ(message_of<ShapeError>([&] {
              model(random({2, 5}, DType::kF32));
            }),
            "[feed_forward] expected x [..., 4] for an up_weight [8, 4], got [2, 5] (in mlp.up)");
  EXPECT_EQ(message_of<DTypeError>([&] {
              model(random({2, 4}, DType::kF64));
            }),
            "[feed_forward] expected an up_weight of f64, got f32 (in mlp.up)");
  model.replace("mlp.down", make<Linear>({.in_features = 7, .out_features = 4}));
  EXPECT_EQ(message_of<ShapeError>([&] { model(x); }),
            "[feed_forward] expected a down_weight [out, 8] for an up_weight [8, 4], got [4, 7] (in mlp.down)");
  model.mlp->down->weight.parametrize(std::make_shared<Failing>());
  EXPECT_EQ(message_of<ValueError>([&] { model(x); }), "[failing] expected nothing (in mlp.down.weight)");
}

TEST(Fused, LeavesHooksReplacementsAndParametrizationsInCharge) {
  struct Half : Parametrization {
    Half() : Parametrization("half") {}
    Tensor effective(const Tensor& latent) override { return latent.sum() * 0.0 + latent * 0.5; }
  };
  struct Doubled : BatchNorm2d {
    using BatchNorm2d::BatchNorm2d;
    Tensor forward(const Tensor& x) override { return BatchNorm2d::forward(x) * 2.0; }
  };
  ResNetCifar model({.depth = 8});
  model.to(DType::kF64);
  model.eval();
  const NoGradGuard no_grad;
  const Tensor x = random({2, 3, 8, 8}, DType::kF64);
  const Tensor before = model(x);
  int calls = 0;
  HookHandle hook = model.layer1->at<CifarBlock>(0).bn2->register_forward_hook(
      [&](Module&, std::span<const Tensor>, const Tensor&) { ++calls; });
  EXPECT_LT(largest_difference(model(x), before), 1e-12);
  EXPECT_EQ(calls, 1);
  hook.remove();

  model.bn1->weight.parametrize(std::make_shared<Half>());
  const Tensor halved = model(x);
  EXPECT_GT(largest_difference(halved, before), 1e-6);
  {
    const NoFusionGuard off;
    EXPECT_LT(largest_difference(model(x), halved), 1e-12);
  }
  auto doubled = make<Doubled>(BatchNorm2d::Options{.num_features = 16});
  doubled->to(DType::kF64);
  model.replace("bn1", doubled);
  const Tensor replaced = model(x);
  const NoFusionGuard off;
  EXPECT_LT(largest_difference(model(x), replaced), 1e-12) << "a derived class is called, not covered";
}

TEST(Zoo, SummaryCountsResNet20) {
  const auto model = create("resnet20");
  const Summary s = summary(*model, {1, 3, 32, 32});
  EXPECT_EQ(s.macs, 40551040) << "41 million, as the BOPs table counts them";
  EXPECT_EQ(s.parameters, 269722);
  EXPECT_EQ(s.rows.back().output, Shape({1, 10}));
}

TEST(Zoo, MlpFlattensAndChecksItsInput) {
  Mlp model({.in_features = 12, .hidden = {5}, .num_classes = 2});
  EXPECT_EQ(model(random({3, 3, 2, 2}, DType::kF32)).shape(), Shape({3, 2}));
  EXPECT_EQ(message_of([&] {
              model(random({3, 5}, DType::kF32));
            }),
            "[Mlp] expected input [N, ...] with 12 values a sample, got [3, 5]");
  EXPECT_EQ(message_of([&] {
              model(empty({0, 5}));
            }),
            "[Mlp] expected input [N, ...] with 12 values a sample, got [0, 5]");
  EXPECT_EQ(model(empty({0, 3, 2, 2})).shape(), Shape({0, 2}));
  EXPECT_EQ(state_names(model)[0], "layers.0.weight");
}

}  // namespace
}  // namespace tern::nn::models
