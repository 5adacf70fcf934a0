#include <tern/nn/models/resnet_cifar.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/pool.h>
#include <tern/nn/fused.h>
#include <tern/nn/init.h>

namespace tern::nn::models {
namespace {

Conv2d::Options conv3x3(int64_t in, int64_t out, int64_t stride) {
  return {.in_channels = in, .out_channels = out, .kernel_size = 3, .stride = stride, .padding = 1, .bias = false};
}

void add_stage(Sequential& stage, int64_t blocks, int64_t in, int64_t out) {
  for (int64_t i = 0; i < blocks; ++i)
    stage.add<CifarBlock>({.in_channels = i == 0 ? in : out, .out_channels = out, .stride = i == 0 && in != out ? 2 : 1});
}

}  // namespace

CifarBlock::CifarBlock(const Options& options)
    : options_(options),
      conv1(this, "conv1", conv3x3(options.in_channels, options.out_channels, options.stride)),
      bn1(this, "bn1", {.num_features = options.out_channels}),
      conv2(this, "conv2", conv3x3(options.out_channels, options.out_channels, 1)),
      bn2(this, "bn2", {.num_features = options.out_channels}) {}

Tensor CifarBlock::forward(const Tensor& x) {
  const bool same = options_.stride == 1 && options_.in_channels == options_.out_channels;
  const Tensor shortcut = same ? x : shortcut_a(x, options_.out_channels, options_.stride);
  return bn_act(bn2, conv2(bn_act(bn1, conv1(x))), shortcut);
}

ResNetCifar::ResNetCifar(const Options& options)
    : options_(options),
      conv1(this, "conv1", conv3x3(options.in_channels, 16, 1)),
      bn1(this, "bn1", {.num_features = 16}),
      layer1(this, "layer1"),
      layer2(this, "layer2"),
      layer3(this, "layer3"),
      linear(this, "linear", {.in_features = 64, .out_features = options.num_classes}) {
  TERN_CHECK(options.depth >= 8 && (options.depth - 2) % 6 == 0, ValueError,
             "[ResNetCifar] expected a depth of 6n + 2 with n at least 1 (20, 32, 44, 56, 110, 1202), got ", options.depth);
  const int64_t blocks = (options.depth - 2) / 6;
  add_stage(*layer1, blocks, 16, 16);
  add_stage(*layer2, blocks, 16, 32);
  add_stage(*layer3, blocks, 32, 64);

  const NoGradGuard no_grad;
  apply([](Module& module) {
    if (dynamic_cast<Conv2d*>(&module) == nullptr && dynamic_cast<Linear*>(&module) == nullptr) return;
    Tensor weight = module.find_parameter("weight")->latent();
    init::kaiming_normal_(weight);
  });
}

Tensor ResNetCifar::forward(const Tensor& x) {
  return linear(global_avg_pool(layer3(layer2(layer1(bn_act(bn1, conv1(x)))))));
}

}  // namespace tern::nn::models
