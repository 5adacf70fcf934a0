#include <algorithm>

#include <tern/core/ops/pool.h>
#include <tern/nn/fused.h>
#include <tern/nn/init.h>
#include <tern/nn/models/config_reader.h>
#include <tern/nn/models/resnet.h>

namespace tern::nn::models {
namespace {

constexpr int64_t kStem = 64;

Conv2d::Options conv(int64_t in_channels, int64_t out_channels, int64_t kernel_size, int64_t stride = 1) {
  return {.in_channels = in_channels,
          .out_channels = out_channels,
          .kernel_size = kernel_size,
          .stride = stride,
          .padding = kernel_size / 2,
          .bias = false};
}

// The projection of the shortcut, where block and input differ in shape.
template <class Block>
void add_downsample(Block& block) {
  const auto& o = block.options();
  const int64_t out_channels = o.channels * Block::kExpansion;
  if (o.stride == 1 && o.in_channels == out_channels) return;
  block.downsample.emplace(&block, "downsample");
  (*block.downsample)->template add<Conv2d>(conv(o.in_channels, out_channels, 1, o.stride));
  (*block.downsample)->template add<BatchNorm2d>({.num_features = out_channels});
}

const ResNet::Options& checked(const ResNet::Options& o) {
  TERN_CHECK(o.depth == 18 || o.depth == 34 || o.depth == 50, ValueError,
             "[ResNet] expected a depth of 18, 34 or 50, got ", o.depth);
  TERN_CHECK(o.num_classes >= 1 && o.in_channels >= 1, ValueError,
             "[ResNet] expected num_classes and in_channels of at least 1, got ", o.num_classes, " and ",
             o.in_channels);
  return o;
}

}  // namespace

BasicBlock::BasicBlock(const Options& options)
    : options_(options),
      conv1(this, "conv1", conv(options.in_channels, options.channels, 3, options.stride)),
      bn1(this, "bn1", {.num_features = options.channels}),
      conv2(this, "conv2", conv(options.channels, options.channels, 3)),
      bn2(this, "bn2", {.num_features = options.channels}) {
  add_downsample(*this);
}

Tensor BasicBlock::forward(const Tensor& x) {
  const Tensor shortcut = downsample ? (*downsample)(x) : x;
  return conv_bn_act(conv2, bn2, conv_bn_act(conv1, bn1, x), shortcut);
}

Bottleneck::Bottleneck(const Options& options)
    : options_(options),
      conv1(this, "conv1", conv(options.in_channels, options.channels, 1)),
      bn1(this, "bn1", {.num_features = options.channels}),
      conv2(this, "conv2", conv(options.channels, options.channels, 3, options.stride)),
      bn2(this, "bn2", {.num_features = options.channels}),
      conv3(this, "conv3", conv(options.channels, options.channels * kExpansion, 1)),
      bn3(this, "bn3", {.num_features = options.channels * kExpansion}) {
  add_downsample(*this);
}

Tensor Bottleneck::forward(const Tensor& x) {
  const Tensor shortcut = downsample ? (*downsample)(x) : x;
  const Tensor y = conv_bn_act(conv2, bn2, conv_bn_act(conv1, bn1, x));
  return conv_bn_act(conv3, bn3, y, shortcut);
}

template <class Block>
void ResNet::add_stages(const int64_t (&blocks)[4]) {
  const Child<Sequential>* stages[] = {&layer1, &layer2, &layer3, &layer4};
  int64_t in_channels = kStem;
  for (int stage = 0; stage < 4; ++stage) {
    const int64_t width = kStem << stage;
    for (int64_t block = 0; block < blocks[stage]; ++block) {
      const int64_t stride = stage > 0 && block == 0 ? 2 : 1;
      Block& added =
          (*stages[stage])->template add<Block>({.in_channels = in_channels, .channels = width, .stride = stride});
      in_channels = width * Block::kExpansion;
      if (!options_.zero_init_residual) continue;
      Tensor last = [&] {
        if constexpr (std::is_same_v<Block, BasicBlock>)
          return added.bn2->weight.latent();
        else
          return added.bn3->weight.latent();
      }();
      init::zeros_(last);
    }
  }
}

ResNet::ResNet(const Options& options)
    : options_(checked(options)),
      conv1(this, "conv1", conv(options.in_channels, kStem, 7, 2)),
      bn1(this, "bn1", {.num_features = kStem}),
      fc(this, "fc",
         {.in_features = 8 * kStem * (options.depth == 50 ? Bottleneck::kExpansion : BasicBlock::kExpansion),
          .out_features = options.num_classes}) {
  if (options.depth == 18)
    add_stages<BasicBlock>({2, 2, 2, 2});
  else if (options.depth == 34)
    add_stages<BasicBlock>({3, 4, 6, 3});
  else
    add_stages<Bottleneck>({3, 4, 6, 3});
  for (const auto& [name, module] : named_modules()) {
    auto* layer = dynamic_cast<Conv2d*>(module.get());
    if (layer == nullptr) continue;
    Tensor weight = layer->weight.latent();
    init::kaiming_normal_(weight, {.mode = init::FanMode::kFanOut, .nonlinearity = init::Nonlinearity::kRelu});
  }
}

Tensor ResNet::forward(const Tensor& x) {
  const Tensor stem = maxpool(conv_bn_act(conv1, bn1, x));
  return fc(global_avg_pool(layer4(layer3(layer2(layer1(stem))))));
}

std::string ResNet::model_name() const {
  return concat("resnet", options_.depth);
}

io::Json ResNet::config() const {
  return io::Json::object({{"depth", options_.depth},
                           {"num_classes", options_.num_classes},
                           {"in_channels", options_.in_channels},
                           {"zero_init_residual", options_.zero_init_residual}});
}

ResNet::Options ResNet::options_from(const io::Json& config) {
  Options o;
  ConfigReader reader("ResNet", config);
  reader.read("depth", o.depth, 18, 50);
  reader.read("num_classes", o.num_classes, 1);
  reader.read("in_channels", o.in_channels, 1);
  reader.read("zero_init_residual", o.zero_init_residual);
  reader.finish();
  return o;
}

}  // namespace tern::nn::models
