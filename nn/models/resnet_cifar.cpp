#include <tern/core/ops/pool.h>
#include <tern/nn/fused.h>
#include <tern/nn/init.h>
#include <tern/nn/models/config_reader.h>
#include <tern/nn/models/resnet_cifar.h>

namespace tern::nn::models {
namespace {

constexpr int64_t kWidths[] = {16, 32, 64};

Conv2d::Options conv3x3(int64_t in_channels, int64_t out_channels, int64_t stride = 1) {
  return {.in_channels = in_channels,
          .out_channels = out_channels,
          .kernel_size = 3,
          .stride = stride,
          .padding = 1,
          .bias = false};
}

const ResNetCifar::Options& checked(const ResNetCifar::Options& o) {
  TERN_CHECK(o.depth >= 8 && o.depth % 6 == 2, ValueError,
             "[ResNetCifar] expected a depth of 6 n + 2 (20, 32, 44, 56, 110, 1202), got ", o.depth);
  TERN_CHECK(o.num_classes >= 1 && o.in_channels >= 1, ValueError,
             "[ResNetCifar] expected num_classes and in_channels of at least 1, got ", o.num_classes, " and ",
             o.in_channels);
  return o;
}

}  // namespace

CifarBlock::CifarBlock(const Options& options)
    : options_(options),
      conv1(this, "conv1", conv3x3(options.in_channels, options.out_channels, options.stride)),
      bn1(this, "bn1", {.num_features = options.out_channels}),
      conv2(this, "conv2", conv3x3(options.out_channels, options.out_channels)),
      bn2(this, "bn2", {.num_features = options.out_channels}) {}

Tensor CifarBlock::forward(const Tensor& x) {
  const bool same = options_.stride == 1 && options_.in_channels == options_.out_channels;
  const Tensor shortcut = same ? x : shortcut_a(x, options_.out_channels, options_.stride);
  return conv_bn_act(conv2, bn2, conv_bn_act(conv1, bn1, x), shortcut);
}

ResNetCifar::ResNetCifar(const Options& options)
    : options_(checked(options)),
      conv1(this, "conv1", conv3x3(options.in_channels, kWidths[0])),
      bn1(this, "bn1", {.num_features = kWidths[0]}),
      linear(this, "linear", {.in_features = kWidths[2], .out_features = options.num_classes}) {
  int64_t width = kWidths[0];
  const Child<Sequential>* stages[] = {&layer1, &layer2, &layer3};
  for (int stage = 0; stage < 3; ++stage) {
    for (int64_t block = 0; block < (options.depth - 2) / 6; ++block) {
      const int64_t stride = stage > 0 && block == 0 ? 2 : 1;
      (*stages[stage])->add<CifarBlock>({.in_channels = width, .out_channels = kWidths[stage], .stride = stride});
      width = kWidths[stage];
    }
  }
  for (const auto& [name, module] : named_modules()) {
    if (dynamic_cast<Conv2d*>(module.get()) == nullptr && dynamic_cast<Linear*>(module.get()) == nullptr) continue;
    Tensor weight = module->find_parameter("weight")->latent();
    init::kaiming_normal_(weight);
  }
}

Tensor ResNetCifar::forward(const Tensor& x) {
  const Tensor stem = conv_bn_act(conv1, bn1, x);
  return linear(global_avg_pool(layer3(layer2(layer1(stem)))));
}

std::string ResNetCifar::model_name() const {
  return concat("resnet", options_.depth);
}

io::Json ResNetCifar::config() const {
  return io::Json::object(
      {{"depth", options_.depth}, {"num_classes", options_.num_classes}, {"in_channels", options_.in_channels}});
}

ResNetCifar::Options ResNetCifar::options_from(const io::Json& config) {
  Options o;
  ConfigReader reader("ResNetCifar", config);
  reader.read("depth", o.depth, 8);
  reader.read("num_classes", o.num_classes, 1);
  reader.read("in_channels", o.in_channels, 1);
  reader.finish();
  return o;
}

}  // namespace tern::nn::models
