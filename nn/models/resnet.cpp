#include <tern/nn/models/resnet.h>

#include <array>

#include <tern/core/autograd/autograd.h>
#include <tern/core/pool.h>
#include <tern/nn/fused.h>
#include <tern/nn/init.h>

namespace tern::nn::models {
namespace {

Conv2d::Options conv3x3(int64_t in, int64_t out, int64_t stride) {
  return {.in_channels = in, .out_channels = out, .kernel_size = 3, .stride = stride, .padding = 1, .bias = false};
}

Conv2d::Options conv1x1(int64_t in, int64_t out, int64_t stride = 1) {
  return {.in_channels = in, .out_channels = out, .kernel_size = 1, .stride = stride, .bias = false};
}

std::unique_ptr<Child<Sequential>> make_downsample(Module* owner, int64_t in, int64_t out, int64_t stride) {
  if (stride == 1 && in == out) return nullptr;
  auto downsample = std::make_unique<Child<Sequential>>(owner, "downsample");
  (*downsample)->add<Conv2d>(conv1x1(in, out, stride));
  (*downsample)->add<BatchNorm2d>({.num_features = out});
  return downsample;
}

template <class Block>
void add_stage(Sequential& stage, int64_t blocks, int64_t& channels_in, int64_t channels, int64_t stride) {
  for (int64_t i = 0; i < blocks; ++i) {
    stage.add<Block>({.in_channels = channels_in, .channels = channels, .stride = i == 0 ? stride : 1});
    channels_in = channels * Block::kExpansion;
  }
}

int64_t features_of(int64_t depth) { return 512 * (depth == 50 ? Bottleneck::kExpansion : BasicBlock::kExpansion); }

}  // namespace

BasicBlock::BasicBlock(const Options& options)
    : options_(options),
      conv1(this, "conv1", conv3x3(options.in_channels, options.channels, options.stride)),
      bn1(this, "bn1", {.num_features = options.channels}),
      conv2(this, "conv2", conv3x3(options.channels, options.channels, 1)),
      bn2(this, "bn2", {.num_features = options.channels}),
      downsample(make_downsample(this, options.in_channels, options.channels, options.stride)) {}

Tensor BasicBlock::forward(const Tensor& x) {
  const Tensor shortcut = downsample ? (*downsample)(x) : x;
  return bn_act(bn2, conv2(bn_act(bn1, conv1(x))), shortcut);
}

Bottleneck::Bottleneck(const Options& options)
    : options_(options),
      conv1(this, "conv1", conv1x1(options.in_channels, options.channels)),
      bn1(this, "bn1", {.num_features = options.channels}),
      conv2(this, "conv2", conv3x3(options.channels, options.channels, options.stride)),
      bn2(this, "bn2", {.num_features = options.channels}),
      conv3(this, "conv3", conv1x1(options.channels, options.channels * kExpansion)),
      bn3(this, "bn3", {.num_features = options.channels * kExpansion}),
      downsample(make_downsample(this, options.in_channels, options.channels * kExpansion, options.stride)) {}

Tensor Bottleneck::forward(const Tensor& x) {
  const Tensor shortcut = downsample ? (*downsample)(x) : x;
  return bn_act(bn3, conv3(bn_act(bn2, conv2(bn_act(bn1, conv1(x))))), shortcut);
}

ResNet::ResNet(const Options& options)
    : options_(options),
      conv1(this, "conv1",
            {.in_channels = options.in_channels, .out_channels = 64, .kernel_size = 7, .stride = 2, .padding = 3, .bias = false}),
      bn1(this, "bn1", {.num_features = 64}),
      layer1(this, "layer1"),
      layer2(this, "layer2"),
      layer3(this, "layer3"),
      layer4(this, "layer4"),
      fc(this, "fc", {.in_features = features_of(options.depth), .out_features = options.num_classes}) {
  std::array<int64_t, 4> blocks{};
  switch (options.depth) {
    case 18: blocks = {2, 2, 2, 2}; break;
    case 34: case 50: blocks = {3, 4, 6, 3}; break;
    default: throw ValueError(concat("[ResNet] expected a depth of 18, 34 or 50, got ", options.depth));
  }
  int64_t in = 64;
  const std::array<Child<Sequential>*, 4> stages{&layer1, &layer2, &layer3, &layer4};
  for (size_t s = 0; s < stages.size(); ++s) {
    const int64_t channels = int64_t{64} << s, stride = s == 0 ? 1 : 2;
    if (options.depth == 50) add_stage<Bottleneck>(**stages[s], blocks[s], in, channels, stride);
    else add_stage<BasicBlock>(**stages[s], blocks[s], in, channels, stride);
  }
  const NoGradGuard no_grad;
  apply([](Module& module) {
    if (dynamic_cast<Conv2d*>(&module) == nullptr) return;
    Tensor weight = module.find_parameter("weight")->latent();
    init::kaiming_normal_(weight, {.mode = init::FanMode::kFanOut, .nonlinearity = init::Nonlinearity::kRelu});
  });
}

Tensor ResNet::forward(const Tensor& x) {
  const Tensor stem = max_pool2d(bn_act(bn1, conv1(x)), {.kernel_size = 3, .stride = 2, .padding = 1});
  return fc(global_avg_pool(layer4(layer3(layer2(layer1(stem))))));
}

}  // namespace tern::nn::models
