#include <cmath>

#include <gtest/gtest.h>

#include <tern/core/ops/batch_norm.h>
#include <tern/core/ops/conv.h>
#include <tern/core/ops/dropout.h>
#include <tern/core/ops/embedding.h>
#include <tern/core/ops/linear.h>
#include <tern/core/ops/norm.h>
#include <tern/core/random.h>
#include <tern/nn/fused.h>
#include <tern/nn/init.h>
#include <tern/nn/layers/batch_norm.h>
#include <tern/nn/layers/conv2d.h>
#include <tern/nn/layers/dropout.h>
#include <tern/nn/layers/embedding.h>
#include <tern/nn/layers/linear.h>
#include <tern/nn/layers/norms.h>
#include <tern/nn/layers/pool.h>
#include <tern/nn/layers/rotary.h>

#include "message_of.h"
#include "nn/numeric.h"
#include "nn/toys.h"

namespace tern::nn {
namespace {

std::vector<double> values(const Tensor& x) {
  return x.to_vector<double>();
}

using test::message_of;

TEST(LinearLayer, AppliesItsOwnParameters) {
  Linear layer({.in_features = 4, .out_features = 3});
  layer.to(DType::kF64);
  const Tensor x = random({2, 5, 4});
  EXPECT_EQ(values(layer(x)), values(linear(x, layer.weight.latent(), layer.bias.latent())));
  EXPECT_EQ(layer.weight.latent().shape(), Shape({3, 4}));
  Linear plain({.in_features = 4, .out_features = 3, .bias = false});
  EXPECT_EQ(plain.parameters().size(), 1u);
  EXPECT_EQ(message_of([] { Linear({.in_features = 4}); }),
            "[Linear] expected in_features and out_features of at least 1, got 4 and 0");
}

TEST(Conv2dLayer, PassesItsSettingsOn) {
  Conv2d layer({.in_channels = 4,
                .out_channels = 6,
                .kernel_size = {3, 2},
                .stride = {2, 1},
                .padding = {1, 0},
                .dilation = {1, 2},
                .groups = 2});
  layer.to(DType::kF64);
  EXPECT_EQ(layer.weight.latent().shape(), Shape({6, 2, 3, 2}));
  const Tensor x = random({2, 4, 9, 8});
  const Tensor y = layer(x);
  const Tensor expected = conv2d(x, layer.weight.latent(), layer.bias.latent(),
                                 {.stride = {2, 1}, .padding = {1, 0}, .dilation = {1, 2}, .groups = 2});
  EXPECT_EQ(values(y), values(expected));
  EXPECT_EQ(y.shape(), Shape({2, 6, 5, 6}));
  EXPECT_EQ(layer.macs(x.shape(), y.shape()), 2 * 6 * 5 * 6 * 2 * 3 * 2);
  EXPECT_EQ(layer.extra_text(), "4, 6, kernel_size=[3, 2], stride=[2, 1], padding=[1, 0], dilation=[1, 2], groups=2");
}

TEST(PoolLayers, RefuseImpossibleSettings) {
  EXPECT_EQ(message_of([] { MaxPool2d({.kernel_size = -1}); }),
            "[MaxPool2d] expected a kernel_size of at least 1, got [-1, -1]");
  EXPECT_EQ(message_of([] { AvgPool2d({.kernel_size = 2, .stride = -1}); }),
            "[AvgPool2d] expected a stride of at least 1, got [-1, -1]");
  EXPECT_EQ(message_of([] { AvgPool2d({.kernel_size = 2, .padding = 2}); }),
            "[AvgPool2d] expected a padding of at most half the kernel_size [2, 2], got [2, 2]");
  EXPECT_EQ(message_of([] { AdaptiveAvgPool2d({.output_size = -1}); }),
            "[AdaptiveAvgPool2d] expected an output_size of at least 1, got [-1, -1]");
  EXPECT_EQ(message_of([] { MaxPool2d({.kernel_size = 2, .padding = -1}); }),
            "[MaxPool2d] expected a padding of at least 0, got [-1, -1]");
  EXPECT_EQ(message_of([] { MaxPool2d({.kernel_size = 2, .dilation = 0}); }),
            "[MaxPool2d] expected a dilation of at least 1, got [0, 0]");
  EXPECT_EQ(MaxPool2d({.kernel_size = 2, .stride = {0, 1}})(random({1, 1, 4, 4})).shape(), Shape({1, 1, 2, 3}));
  EXPECT_EQ(message_of([] { RotaryEmbedding({.theta = -1}); }), "[RotaryEmbedding] expected a theta above 0, got -1");
}

TEST(Conv2dLayer, RefusesImpossibleSettings) {
  EXPECT_EQ(message_of([] { Conv2d({.in_channels = 3, .out_channels = 4}); }),
            "[Conv2d] expected a kernel_size of at least 1, got [0, 0]");
  EXPECT_EQ(message_of([] { Conv2d({.in_channels = 3, .out_channels = 4, .kernel_size = 1, .groups = 2}); }),
            "[Conv2d] expected a number of groups that divides in_channels 3 and out_channels 4, got 2");
  EXPECT_EQ(message_of([] { Conv2d({.in_channels = 3, .out_channels = 4, .kernel_size = 1, .stride = 0}); }),
            "[Conv2d] expected a stride of at least 1, got [0, 0]");
}

TEST(BatchNormLayer, CountsBatchesAndKeepsRunningStatistics) {
  BatchNorm2d layer({.num_features = 3});
  layer.to(DType::kF64);
  const Tensor x = random({4, 3, 5, 5});
  Tensor mean = full_of({3}, 0), var = full_of({3}, 1);
  const Tensor expected = batch_norm(x, mean, var, layer.weight.latent(), layer.bias.latent(), {.training = true});
  EXPECT_EQ(values(layer(x)), values(expected));
  EXPECT_EQ(values(layer.running_mean()), values(mean));
  EXPECT_EQ(values(layer.running_var()), values(var));
  EXPECT_EQ(layer.num_batches_tracked().item_i64(), 1);
  layer.eval();
  const Tensor evaluated = layer(x);
  EXPECT_EQ(values(evaluated), values(batch_norm(x, mean, var, layer.weight.latent(), layer.bias.latent())));
  EXPECT_EQ(layer.num_batches_tracked().item_i64(), 1);
  layer.reset_running_stats();
  EXPECT_EQ(values(layer.running_var()), (std::vector<double>{1, 1, 1}));
}

TEST(BatchNormLayer, CountsNoBatchThatItRefuses) {
  BatchNorm2d layer({.num_features = 3, .momentum = std::nullopt});
  const Tensor one = random({1, 3, 1, 1}, DType::kF32), wrong = random({2, 3, 2, 2}, DType::kF64);
  EXPECT_EQ(message_of<ValueError>([&] { layer(one); }),
            "[batch_norm] expected more than one value a channel in training, got input [1, 3, 1, 1]");
  EXPECT_THROW(layer(wrong), DTypeError);
  EXPECT_EQ(layer.num_batches_tracked().item_i64(), 0);
  EXPECT_EQ(values(layer.running_var()), (std::vector<double>{1, 1, 1}));
  struct Block : Module {
    Child<BatchNorm2d> bn{this, "bn", {.num_features = 3}};
    Tensor forward(const Tensor& x) override { return bn_act(bn, x); }
  } block;
  EXPECT_THROW(block(one), ValueError);
  EXPECT_EQ(block.bn->num_batches_tracked().item_i64(), 0);
  block(random({2, 3, 2, 2}, DType::kF32));
  EXPECT_EQ(block.bn->num_batches_tracked().item_i64(), 1);
}

TEST(BatchNormLayer, WithoutMomentumAveragesAllBatches) {
  BatchNorm1d layer({.num_features = 1, .momentum = std::nullopt});
  layer.to(DType::kF64);
  layer(filled({2, 1}, {1, 3}));
  layer(filled({2, 1}, {5, 7}));
  EXPECT_NEAR(layer.running_mean().item(), 4, 1e-12);
}

TEST(BatchNormLayer, WithoutTrackingUsesTheBatchAlways) {
  BatchNorm1d layer({.num_features = 1, .affine = false, .track_running_stats = false});
  layer.eval();
  EXPECT_TRUE(layer.parameters().empty());
  EXPECT_TRUE(layer.named_buffers().empty());
  EXPECT_NEAR(layer(filled({2, 1}, {1, 3}))[0].item(), -1, 1e-4);
}

TEST(BatchNormLayer, ChecksTheKindOfInput) {
  BatchNorm2d two({.num_features = 3});
  BatchNorm1d one({.num_features = 3});
  EXPECT_EQ(message_of([&] { two(random({2, 3})); }), "[BatchNorm2d] expected input [N, 3, H, W], got [2, 3]");
  EXPECT_EQ(message_of([&] {
              one(random({2, 3, 4, 4}));
            }),
            "[BatchNorm1d] expected input [N, 3] or [N, 3, L], got [2, 3, 4, 4]");
  EXPECT_THROW(BatchNorm2d({.num_features = 0}), ValueError);
  EXPECT_THROW(BatchNorm2d({.num_features = 2, .momentum = 1.5}), ValueError);
}

TEST(NormLayers, ApplyTheirOwnParameters) {
  const Tensor x = random({2, 4, 6});
  LayerNorm layer({.normalized_shape = {4, 6}, .eps = 1e-3});
  layer.to(DType::kF64);
  EXPECT_EQ(values(layer(x)), values(layer_norm(x, {4, 6}, layer.weight.latent(), layer.bias.latent(), 1e-3)));
  RMSNorm rms({.dim = 6});
  rms.to(DType::kF64);
  EXPECT_EQ(values(rms(x)), values(rms_norm(x, rms.weight.latent(), 1e-6)));
  GroupNorm group({.num_groups = 2, .num_channels = 4});
  group.to(DType::kF64);
  EXPECT_EQ(values(group(x)), values(group_norm(x, 2, group.weight.latent(), group.bias.latent(), 1e-5)));
  EXPECT_EQ(LayerNorm({.normalized_shape = {4}, .bias = false}).parameters().size(), 1u);
  EXPECT_TRUE(LayerNorm({.normalized_shape = {4}, .elementwise_affine = false}).parameters().empty());
  EXPECT_EQ(message_of([&] { rms(random({2, 4})); }), "[rms_norm] expected input [..., 6], got [2, 4]");
  EXPECT_EQ(message_of([] { GroupNorm({.num_groups = 3, .num_channels = 4}); }),
            "[GroupNorm] expected num_groups that divides num_channels, got 3 and 4");
  EXPECT_THROW(LayerNorm({.normalized_shape = {}}), ValueError);
  EXPECT_THROW(RMSNorm({.dim = 0}), ValueError);
  EXPECT_EQ(message_of<ValueError>([] { RMSNorm({.dim = 4, .eps = INFINITY}); }),
            "[RMSNorm] expected eps of at least 0, got inf");
}

TEST(DropoutLayers, FollowTheModeAndTheSeed) {
  Dropout drop({.p = 0.25});
  DropPath path({.p = 0.5});
  const Tensor x = full_of({64, 8}, 1);
  drop.eval();
  path.eval();
  EXPECT_EQ(values(drop(x)), values(x));
  EXPECT_EQ(values(path(x)), values(x));
  drop.train();
  path.train();
  manual_seed(3);
  const auto first = values(drop(x));
  manual_seed(3);
  EXPECT_EQ(values(drop(x)), first);
  manual_seed(3);
  EXPECT_EQ(values(dropout(x, 0.25)), first);
  const auto rows = values(path(x));
  for (size_t i = 0; i < rows.size(); ++i) EXPECT_EQ(rows[i], rows[i / 8 * 8]) << "whole samples";
  EXPECT_EQ(message_of([] { Dropout({.p = 1.5}); }), "[Dropout] expected a probability p in [0, 1], got 1.5");
}

TEST(PoolLayers, PassTheirSettingsOn) {
  const Tensor x = random({1, 2, 6, 6});
  EXPECT_EQ(values(MaxPool2d({.kernel_size = 3, .stride = 2, .padding = 1})(x)),
            values(max_pool2d(x, {.kernel_size = 3, .stride = 2, .padding = 1})));
  EXPECT_EQ(values(AvgPool2d({.kernel_size = 2})(x)), values(avg_pool2d(x, {.kernel_size = 2})));
  EXPECT_EQ(values(AdaptiveAvgPool2d({.output_size = {2, 3}})(x)), values(adaptive_avg_pool2d(x, {2, 3})));
  EXPECT_EQ(GlobalAvgPool()(x).shape(), Shape({1, 2}));
}

TEST(EmbeddingLayer, LooksRowsUpAndSparesThePadding) {
  struct Net : Module {
    Child<Embedding> table{this, "table", {.num_embeddings = 5, .embedding_dim = 3, .padding_idx = -1}};
  } net;
  Tensor ids = empty({2, 2}, DType::kI64);
  for (int64_t i = 0; i < 4; ++i) ids.data<int64_t>()[i] = i + 1;
  EXPECT_EQ(values(net.table(ids)), values(embedding(ids, net.table->weight.latent())));
  EXPECT_EQ(values(net.table->weight.latent()[4]), (std::vector<double>{0, 0, 0}));
  net.table(ids).sum().backward();
  const Tensor grad = net.table->weight.latent().grad();
  EXPECT_EQ(values(grad[4]), (std::vector<double>{0, 0, 0}));
  EXPECT_EQ(values(grad[2]), (std::vector<double>{1, 1, 1}));
  EXPECT_EQ(message_of([&] { net.replace("table", make<Linear>({.in_features = 1, .out_features = 3})); }),
            "[child] expected a module with the interface EmbeddingInterface for table, got Linear (in table)");
  EXPECT_THROW(Embedding({.num_embeddings = 3, .embedding_dim = 2, .padding_idx = 3}), ValueError);
}

TEST(RotaryLayer, StartsAtItsOffset) {
  RotaryEmbedding rotary({.theta = 100});
  const Tensor x = random({1, 2, 5, 4});
  const Tensor all = rotary(x);
  EXPECT_EQ(values(rotary.rotate(x.slice(2, 3, 5), 3)), values(all.slice(2, 3, 5)));
}

}  // namespace
}  // namespace tern::nn
