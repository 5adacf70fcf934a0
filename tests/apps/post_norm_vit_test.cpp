// A model that is not in the zoo, made of public layers in under 60 lines: a small post-norm vision transformer, whose
// published weights load under their own names.
#include <gtest/gtest.h>

#include <tern/tern.h>

#include "apps/process.h"

namespace {

using namespace tern;

struct EncoderLayer : nn::Module {
  nn::Child<nn::MultiheadAttention> self_attn{
      this, "self_attn", {.embed_dim = 128, .num_heads = 8, .batch_first = true}};
  nn::Child<nn::Linear> linear1{this, "linear1", {.in_features = 128, .out_features = 256}};
  nn::Child<nn::Linear> linear2{this, "linear2", {.in_features = 256, .out_features = 128}};
  nn::Child<nn::LayerNorm> norm1{this, "norm1", {.normalized_shape = {128}}};
  nn::Child<nn::LayerNorm> norm2{this, "norm2", {.normalized_shape = {128}}};
  Tensor forward(const Tensor& x) override {
    const Tensor y = norm1(x + self_attn(x, x, x, nn::AttentionArgs{.need_weights = false}).output);
    return norm2(y + linear2(relu(linear1(y))));
  }
};

struct Encoder : nn::Module {
  nn::Child<nn::Sequential> layers{this, "layers"};
  Encoder() {
    for (int i = 0; i < 6; ++i) layers->add<EncoderLayer>();
  }
  Tensor forward(const Tensor& x) override { return layers(x); }
};

struct Patches : nn::Module {
  nn::Child<nn::Conv2d> proj{this, "proj", {.in_channels = 3, .out_channels = 128, .kernel_size = 4, .stride = 4}};
  Tensor forward(const Tensor& x) override { return proj(x).flatten(2).transpose(1, 2); }
};

struct PostNormVit : nn::Module {
  nn::Parameter cls_token{this, "cls_token", zeros({1, 1, 128})};
  nn::Parameter pos_embed{this, "pos_embed", zeros({1, 65, 128})};
  nn::Child<Patches> patch_embed{this, "patch_embed"};
  nn::Child<Encoder> transformer{this, "transformer"};
  nn::Child<nn::Sequential> mlp_head{this, "mlp_head"};
  PostNormVit() {
    mlp_head->add<nn::LayerNorm>({.normalized_shape = {128}});
    mlp_head->add<nn::Linear>({.in_features = 128, .out_features = 10});
  }
  Tensor forward(const Tensor& x) override {
    const Tensor tokens = cat({cls_token().expand({x.size(0), 1, 128}), patch_embed(x)}, 1) + pos_embed();
    return mlp_head(transformer(tokens).select(1, 0));
  }
};

TEST(PostNormVit, LoadsUnderItsOwnNamesAndReachesItsAccuracy) {
  TERN_NEEDS_TEST_DATA();
  const std::string data = tern::testing::test_data();
  PostNormVit model;
  model.load_state_dict(io::load_safetensors(data + "/pretrained/cifar10_vit.safetensors").tensors.entries());
  data::DataLoader loader(data::Cifar10(data + "/cifar-10-batches-bin", data::Split::kTest),
                          {.batch_size = 200,
                           .workers = 1,
                           .transform = data::normalize({0.4914, 0.4822, 0.4465}, {0.2023, 0.1994, 0.2010})});
  const train::EvalResult result = train::evaluate(model, loader);
  EXPECT_EQ(result.n, 10000);
  EXPECT_NEAR(result.top1, 0.7373, 0.0002);
}

TEST(PostNormVit, TrainsLikeAnyOtherModel) {
  manual_seed(0);
  PostNormVit model;
  data::DataLoader loader(data::Cifar10(tern::testing::mini_data(), data::Split::kTrain), {.batch_size = 32});
  optim::AdamW optimizer(model.parameters(), {.lr = 1e-3});
  train::ClassifierTask task({.train = &loader});
  train::Trainer trainer(model, {.optimizer = optimizer, .max_steps = 8});
  task.start(0, {});
  const train::TaskBatch batch = *task.next();
  const double first = trainer.step(task, std::span(&batch, 1));
  double last = first;
  for (int i = 0; i < 7; ++i) last = trainer.step(task, std::span(&batch, 1));
  EXPECT_LT(last, first);
  EXPECT_EQ(trainer.global_step(), 8);
}

}  // namespace
