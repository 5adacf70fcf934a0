// Networks of grouped and depthwise convolutions on 32 x 32 images: MobileNetV2 (Sandler et al., 2018) and ResNeXt-29
// (Xie et al., 2017), in the forms that are common for CIFAR-10.
#include <algorithm>

#include <tern/core/ops/create.h>
#include <tern/core/ops/pool.h>
#include <tern/nn/fused.h>
#include <tern/nn/layers/activations.h>
#include <tern/nn/layers/containers.h>
#include <tern/optim/sgd.h>

#include "training.h"

namespace tern::bench {
namespace {

constexpr int64_t kMobileNetBatch = 64;
constexpr int64_t kResNeXtBatch = 32;

nn::Conv2d::Options conv(int64_t in_channels, int64_t out_channels, int64_t kernel_size = 1, int64_t stride = 1,
                         int64_t groups = 1) {
  return {.in_channels = in_channels,
          .out_channels = out_channels,
          .kernel_size = kernel_size,
          .stride = stride,
          .padding = kernel_size / 2,
          .groups = groups,
          .bias = false};
}

// 1 x 1, a grouped 3 x 3, 1 x 1, each with batch norm, beside a shortcut.
struct BlockOptions {
  int64_t in_channels, width, out_channels, groups, stride;
  bool shortcut;  ///< add the input, through a 1 x 1 convolution where its shape differs
  bool activate;  ///< ReLU after the sum
};

struct Block : nn::Module {
  using Options = BlockOptions;
  explicit Block(const Options& o)
      : options_(o),
        conv1(this, "conv1", conv(o.in_channels, o.width)),
        bn1(this, "bn1", {.num_features = o.width}),
        conv2(this, "conv2", conv(o.width, o.width, 3, o.stride, o.groups)),
        bn2(this, "bn2", {.num_features = o.width}),
        conv3(this, "conv3", conv(o.width, o.out_channels)),
        bn3(this, "bn3", {.num_features = o.out_channels}) {
    if (o.shortcut && (o.in_channels != o.out_channels || o.stride != 1)) {
      shortcut->add<nn::Conv2d>(conv(o.in_channels, o.out_channels, 1, o.stride));
      shortcut->add<nn::BatchNorm2d>({.num_features = o.out_channels});
    }
  }
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override {
    const Tensor y = conv_bn_act(conv2, bn2, conv_bn_act(conv1, bn1, x));
    return conv_bn_act(conv3, bn3, y, options_.shortcut ? shortcut(x) : Tensor(), options_.activate);
  }

  Options options_;
  nn::Child<nn::Conv2d> conv1;
  nn::Child<nn::BatchNorm2d> bn1;
  nn::Child<nn::Conv2d> conv2;
  nn::Child<nn::BatchNorm2d> bn2;
  nn::Child<nn::Conv2d> conv3;
  nn::Child<nn::BatchNorm2d> bn3;
  nn::Child<nn::Sequential> shortcut{this, "shortcut"};
};

// What both networks are made of: a stem, blocks, an optional last convolution, the mean of each channel, a classifier.
struct Plan {
  int64_t stem_channels, stem_kernel, last_channels;  // last_channels 0: no last convolution
  std::vector<BlockOptions> blocks;
};

Plan mobilenetv2() {
  Plan plan{32, 3, 1280, {}};
  struct Stage {
    int64_t expansion, channels, blocks, stride;
  };
  int64_t in = plan.stem_channels;
  for (const Stage& s : {Stage{1, 16, 1, 1},
                         {6, 24, 2, 1},
                         {6, 32, 3, 2},
                         {6, 64, 4, 2},
                         {6, 96, 3, 1},
                         {6, 160, 3, 2},
                         {6, 320, 1, 1}}) {
    for (int64_t block = 0; block < s.blocks; ++block, in = s.channels) {
      const int64_t stride = block == 0 ? s.stride : 1, width = in * s.expansion;
      plan.blocks.push_back({in, width, s.channels, width, stride, stride == 1, false});
    }
  }
  return plan;
}

// 32 groups, of 4 channels in the first stage.
Plan resnext29() {
  Plan plan{64, 1, 0, {}};
  int64_t in = plan.stem_channels;
  for (int64_t width = 128; width <= 512; width *= 2) {
    for (int64_t block = 0; block < 3; ++block, in = 2 * width)
      plan.blocks.push_back({in, width, 2 * width, 32, block == 0 && width > 128 ? 2 : 1, true, true});
  }
  return plan;
}

struct Network : nn::Module {
  explicit Network(const Plan& plan)
      : conv1(this, "conv1", conv(3, plan.stem_channels, plan.stem_kernel)),
        bn1(this, "bn1", {.num_features = plan.stem_channels}),
        linear(this, "linear",
               {.in_features = std::max(plan.last_channels, plan.blocks.back().out_channels), .out_features = 10}) {
    for (const BlockOptions& block : plan.blocks) layers->add<Block>(block);
    if (plan.last_channels == 0) return;
    last->add<nn::Conv2d>(conv(plan.blocks.back().out_channels, plan.last_channels));
    last->add<nn::BatchNorm2d>({.num_features = plan.last_channels});
    last->add<nn::ReLU>();
  }
  Tensor forward(const Tensor& x) override { return linear(global_avg_pool(last(layers(conv_bn_act(conv1, bn1, x))))); }

  nn::Child<nn::Conv2d> conv1;
  nn::Child<nn::BatchNorm2d> bn1;
  nn::Child<nn::Sequential> layers{this, "layers"};
  nn::Child<nn::Sequential> last{this, "last"};
  nn::Child<nn::Linear> linear;
};

// Multiply-adds of one image.
int64_t macs(const Plan& plan) {
  int64_t side = 32, sum = side * side * plan.stem_kernel * plan.stem_kernel * 3 * plan.stem_channels;
  for (const BlockOptions& b : plan.blocks) {
    sum += side * side * b.in_channels * b.width;
    side /= b.stride;
    int64_t each = 9 * b.width * (b.width / b.groups) + b.width * b.out_channels;
    if (b.shortcut && (b.in_channels != b.out_channels || b.stride != 1)) each += b.in_channels * b.out_channels;
    sum += side * side * each;
  }
  const int64_t channels = plan.blocks.back().out_channels;
  sum += side * side * channels * plan.last_channels;
  return sum + 10 * std::max(channels, plan.last_channels);
}

Workload whole_step(const char* name, const char* what, int64_t batch, Plan (*plan)()) {
  return {.name = name,
          .what = concat(what, ", batch ", batch, " of 3x32x32, SGD with momentum and decay, one full step"),
          .items = batch,
          .flop = 3 * 2.0 * static_cast<double>(batch * macs(plan())),
          .prepare = [batch, plan]() -> Prepared {
            const auto model = std::make_shared<Network>(plan());
            const auto optimizer = std::make_shared<optim::Sgd>(
                model->parameters(), optim::SgdOptions{.lr = 0.1, .momentum = 0.9, .weight_decay = 1e-4});
            return training(model, optimizer, randn({batch, 3, 32, 32}).contiguous(MemoryFormat::kChannelsLast),
                            randint(0, 10, {batch}));
          }};
}

}  // namespace

std::vector<Workload> grouped_workloads() {
  return {whole_step("mobilenetv2_train", "MobileNetV2", kMobileNetBatch, mobilenetv2),
          whole_step("resnext29_train", "ResNeXt-29 of 32 groups of 4", kResNeXtBatch, resnext29)};
}

}  // namespace tern::bench
