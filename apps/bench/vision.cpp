// ResNet-20 and a tiny ViT on 32 x 32 images.
#include <tern/core/ops/create.h>
#include <tern/nn/fuse_for_inference.h>
#include <tern/nn/models/resnet_cifar.h>
#include <tern/nn/models/vit.h>
#include <tern/optim/adam.h>
#include <tern/optim/sgd.h>
#include <tern/quant/codeq/codeq.h>

#include "training.h"

namespace tern::bench {
namespace {

constexpr int64_t kResNetBatch = 128;
constexpr int64_t kVitBatch = 64;

struct Batch {
  Tensor images, labels;
};

// Images as the data loader yields them: channels-last.
Batch random_batch(int64_t n) {
  return {randn({n, 3, 32, 32}).contiguous(MemoryFormat::kChannelsLast), randint(0, 10, {n})};
}

// Multiply-adds of one image through ResNet-20.
int64_t resnet20_macs() {
  int64_t macs = 32 * 32 * 9 * 3 * 16, in = 16;
  for (int64_t out = 16, side = 32; out <= 64; out *= 2, side /= 2)
    for (int conv = 0; conv < 6; ++conv, in = out) macs += side * side * 9 * in * out;
  return macs + 64 * 10;
}

nn::models::Vit::Options vit_options() {
  return {.image_size = 32, .patch_size = 4, .num_classes = 10, .width = 192, .depth = 12, .num_heads = 3};
}

// Multiply-adds of one image through that ViT; attention's two products included.
int64_t vit_macs() {
  const auto options = vit_options();
  const int64_t d = options.width,
                patches = (options.image_size / options.patch_size) * (options.image_size / options.patch_size),
                tokens = patches + 1;
  const int64_t patch_values = options.in_channels * options.patch_size * options.patch_size;
  const auto hidden = static_cast<int64_t>(static_cast<double>(d) * options.mlp_ratio);
  const int64_t block = tokens * (4 * d * d + 2 * d * hidden) + 2 * tokens * tokens * d;
  return patches * patch_values * d + options.depth * block + d * options.num_classes;
}

Prepared resnet20_train() {
  auto model = nn::make<nn::models::ResNetCifar>({.depth = 20});
  auto optimizer = std::make_shared<optim::Sgd>(model->parameters(),
                                                optim::SgdOptions{.lr = 0.1, .momentum = 0.9, .weight_decay = 1e-4});
  const Batch batch = random_batch(kResNetBatch);
  return training(model, optimizer, batch.images, batch.labels);
}

Prepared resnet20_qat() {
  auto model = nn::make<nn::models::ResNetCifar>({.depth = 20});
  quant::codeq::attach(*model, {.bits = quant::codeq::Learnable{.max_bits = 8}});
  auto optimizer = std::make_shared<optim::Sgd>(
      optim::SgdOptions{.momentum = 0.9},
      std::vector<optim::SgdGroup>{
          {.params = quant::codeq::base_parameters(*model), .lr = 0.1, .weight_decay = 1e-4},
          {.params = quant::codeq::dead_zone_logits(*model), .lr = 1e-3, .weight_decay = 0.01},
          {.params = quant::codeq::bit_width_logits(*model), .lr = 1e-3, .weight_decay = 0.01}});
  const Batch batch = random_batch(kResNetBatch);
  return training(model, optimizer, batch.images, batch.labels);
}

Prepared resnet20_infer(int64_t images) {
  const auto model = nn::make<nn::models::ResNetCifar>({.depth = 20});
  const Batch batch = random_batch(images);
  nn::fuse_for_inference(*model, batch.images);
  return inference(model, batch.images);
}

Prepared vit_tiny_train() {
  auto model = nn::make<nn::models::Vit>(vit_options());
  auto optimizer = std::make_shared<optim::AdamW>(model->parameters(), optim::AdamWOptions{.lr = 1e-3});
  const Batch batch = random_batch(kVitBatch);
  return training(model, optimizer, batch.images, batch.labels);
}

Prepared vit_tiny_infer(int64_t images) {
  const auto model = nn::make<nn::models::Vit>(vit_options());
  const Batch batch = random_batch(images);
  nn::fuse_for_inference(*model, batch.images);
  return inference(model, batch.images);
}

}  // namespace

std::vector<Workload> vision_workloads() {
  const double resnet = 2.0 * kResNetBatch * static_cast<double>(resnet20_macs());
  const double vit = 2.0 * kVitBatch * static_cast<double>(vit_macs());
  return {
      {.name = "resnet20_train",
       .what = "ResNet-20, batch 128 of 3x32x32, SGD with momentum and decay, one full step",
       .items = kResNetBatch,
       .flop = 3 * resnet,
       .prepare = resnet20_train},
      {.name = "resnet20_qat",
       .what = "the same with CoDeQ, mixed precision, on every convolution and linear layer",
       .items = kResNetBatch,
       .flop = 3 * resnet,
       .prepare = resnet20_qat},
      {.name = "resnet20_infer",
       .what = "ResNet-20 after fuse_for_inference, no gradients, batch 128",
       .items = kResNetBatch,
       .flop = resnet,
       .prepare = [] { return resnet20_infer(kResNetBatch); }},
      {.name = "resnet20_infer_b1",
       .what = "the same, one image",
       .flop = resnet / kResNetBatch,
       .repetitions = 50,
       .prepare = [] { return resnet20_infer(1); }},
      {.name = "vit_tiny_train",
       .what = "ViT of width 192, depth 12, 3 heads on 32x32 in patches of 4, batch 64, AdamW, one full step",
       .items = kVitBatch,
       .flop = 3 * vit,
       .prepare = vit_tiny_train},
      {.name = "vit_tiny_infer",
       .what = "the same ViT after fuse_for_inference, no gradients, batch 64",
       .items = kVitBatch,
       .flop = vit,
       .prepare = [] { return vit_tiny_infer(kVitBatch); }},
      {.name = "vit_tiny_infer_b1",
       .what = "the same, one image",
       .flop = vit / kVitBatch,
       .repetitions = 20,
       .prepare = [] { return vit_tiny_infer(1); }},
  };
}

}  // namespace tern::bench
