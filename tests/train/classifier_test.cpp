// What the classifier's configuration does to images and to a model: every setting must reach what it is for.
#include <algorithm>
#include <cmath>
#include <set>
#include <string>
#include <tuple>

#include <gtest/gtest.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/ops/create.h>
#include <tern/core/random.h>
#include <tern/nn/child.h>
#include <tern/nn/layers/linear.h>
#include <tern/quant/codeq/codeq.h>
#include <tern/train/vision/classifier.h>

#include "message_of.h"

namespace tern::train {
namespace {

namespace codeq = quant::codeq;
using Names = std::vector<std::string>;

// -- images

// 3 x 8 x 8 without two equal pixels in a channel, and none that is its own mirror image.
Tensor image() {
  Tensor x = empty({3, 8, 8}, DType::kU8);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<uint8_t>()[i] = static_cast<uint8_t>(i + 20);
  return x;
}
std::vector<float> run(const data::Transform& transform, uint64_t seed) {
  Generator random(seed);
  return transform(image(), random).to_vector<float>();
}
const Preprocessing kNormal{.mean = {0.41, 0.5, 0.61}, .std = {0.2, 0.3, 0.4}};

TEST(ClassifierTransforms, TrainingWithNothingElseIsEvaluation) {
  ClassifierConfig::Data none;
  none.crop_padding = 0;
  none.flip = false;
  const Preprocessing cropped{.mean = kNormal.mean, .std = kNormal.std, .resize = 6, .crop = 6};
  for (const Preprocessing& p : {Preprocessing{}, kNormal, cropped})
    EXPECT_EQ(run(train_transform(none, p, 8), 1), run(eval_transform(p), 2));
  const auto plain = run(eval_transform({}), 0), normal = run(eval_transform(kNormal), 0);
  for (size_t i = 0; i < plain.size(); ++i)
    EXPECT_NEAR(normal[i], (plain[i] - kNormal.mean[i / 64]) / kNormal.std[i / 64], 1e-6);
  EXPECT_EQ(run(eval_transform(cropped), 0).size(), 3u * 36);
  EXPECT_EQ(run(eval_transform({.mean = {}, .std = {}, .resize = 0, .crop = 4}), 0).size(), 3u * 16);
}

TEST(ClassifierTransforms, MirrorsAboutHalfOfTheImages) {
  ClassifierConfig::Data c;
  c.crop_padding = 0;
  const auto straight = run(eval_transform(kNormal), 0);
  auto mirrored = straight;
  for (size_t row = 0; row < mirrored.size(); row += 8)
    std::reverse(mirrored.begin() + static_cast<std::ptrdiff_t>(row),
                 mirrored.begin() + static_cast<std::ptrdiff_t>(row + 8));
  int flips = 0;
  for (uint64_t seed = 0; seed < 400; ++seed) {
    const auto got = run(train_transform(c, kNormal, 8), seed);
    flips += got == mirrored;
    EXPECT_TRUE(got == mirrored || got == straight);
  }
  EXPECT_NEAR(flips, 200, 50);
}

TEST(ClassifierTransforms, CropsWithItsPadding) {
  ClassifierConfig::Data c;
  c.flip = false;
  c.crop_padding = 2;
  std::set<std::vector<float>> seen;
  for (uint64_t seed = 0; seed < 500; ++seed) seen.insert(run(train_transform(c, kNormal, 8), seed));
  EXPECT_EQ(seen.size(), 25u) << "five places each way";
  for (const auto& pixels : seen) EXPECT_EQ(pixels.size(), 3u * 64);
  const Preprocessing cropped{.mean = kNormal.mean, .std = kNormal.std, .resize = 0, .crop = 4};
  EXPECT_EQ(run(train_transform(c, cropped, 8), 0).size(), 3u * 16);
  EXPECT_THROW((void)train_transform(c, {}, 0), ValueError) << "images of varying size";
}

TEST(ClassifierTransforms, CutsHolesOfTheMeanAndChangesColoursBefore) {
  ClassifierConfig::Data c;
  c.flip = false;
  c.crop_padding = 0;
  c.cutout = 4;
  const auto straight = run(eval_transform(kNormal), 0);
  for (uint64_t seed = 0; seed < 20; ++seed) {
    const auto got = run(train_transform(c, kNormal, 8), seed);
    int64_t cut = 0;
    for (size_t i = 0; i < got.size(); ++i) {
      cut += got[i] != straight[i];
      EXPECT_TRUE(got[i] == straight[i] || got[i] == 0.0f);
    }
    EXPECT_GE(cut, 3 * 4) << "a corner";
    EXPECT_LE(cut, 3 * 16);
  }
  c.cutout = 0;
  c.color_jitter = 0.4;
  const auto other = run(train_transform(c, kNormal, 8), 1);
  EXPECT_NE(other, straight);
  for (size_t i = 0; i < other.size(); ++i) {
    const double unit = other[i] * kNormal.std[i / 64] + kNormal.mean[i / 64];
    EXPECT_TRUE(unit > -1e-6 && unit < 1 + 1e-6) << unit;
  }
}

TEST(ClassifierTransforms, MixesBatchesAsItIsTold) {
  ClassifierConfig::Data c;
  EXPECT_FALSE(static_cast<bool>(batch_transform(c, 4)));
  const data::Batch batch{rand({8, 1, 16, 16}), randint(0, 4, {8})};
  // By cutmix every pixel is one of the batch's, by mixup few are.
  const auto whole_pixels = [&](uint64_t seed) {
    Generator random(seed);
    const data::Batch mixed = batch_transform(c, 4)(batch, random);
    EXPECT_EQ(mixed.labels.shape(), (Shape{8, 4}));
    const auto all = batch.images.to_vector<float>();
    const std::set<float> known(all.begin(), all.end());
    for (const float v : mixed.images.to_vector<float>())
      if (!known.contains(v)) return false;
    return true;
  };
  const auto share = [&] {
    int whole = 0;
    for (uint64_t seed = 0; seed < 40; ++seed) whole += whole_pixels(seed);
    return whole;
  };
  c.mixup = 1;
  EXPECT_EQ(share(), 0);
  c.cutmix = 1;
  EXPECT_NEAR(share(), 20, 15);
  c.mixup = 0;
  EXPECT_EQ(share(), 40);
}

// -- CoDeQ

struct TwoLayers : nn::Module {
  nn::Child<nn::Linear> first{this, "first", {.in_features = 4, .out_features = 4}};
  nn::Child<nn::Linear> second{this, "second", {.in_features = 4, .out_features = 2}};
  Tensor forward(const Tensor& x) override { return second(first(x)); }
};

// A model whose first layer came with a quantizer, moved from where it started.
void attach_first(TwoLayers& model) {
  codeq::attach(model, {.exclude = {"second"}, .bits = codeq::Learnable{}});
  const NoGradGuard no_grad;
  Tensor logit = model.get_parameter("first.weight.codeq.logit_dz").latent();
  logit.fill_(1.25);
}

TEST(AttachCodeq, TakesTheLogitsOfFormerQuantizersOn) {
  TwoLayers model;
  attach_first(model);
  EXPECT_EQ(attach_codeq(model, {.mode = "fixed", .bits = 3, .exclude = {}}), "CoDeQ on 2 layers: first second");
  EXPECT_EQ(codeq::attached_layers(model), (Names{"first", "second"}));
  EXPECT_EQ(model.get_parameter("first.weight.codeq.logit_dz").latent().item(), 1.25);
  EXPECT_EQ(model.first->weight.parametrization_as<codeq::Quantizer>()->options().dead_zone.fixed_bits, 3);
}

TEST(AttachCodeq, LeavesTheModelAsItWasWhereItThrows) {
  TwoLayers model;
  attach_first(model);
  const nn::Parametrization* before = model.first->weight.parametrization();
  for (const bool enabled : {true, false}) {
    codeq::set_enabled(model, enabled);
    EXPECT_EQ(test::message_of<ValueError>([&] { (void)attach_codeq(model, {.mode = "fixed", .exclude = {"thrid"}}); }),
              "[codeq] expected exclude patterns that match a convolution or linear layer, got \"thrid\", which "
              "matches none");
    EXPECT_EQ(codeq::attached_layers(model), Names{"first"});
    EXPECT_EQ(model.first->weight.parametrization(), before);
    EXPECT_EQ(model.first->weight.is_parametrized(), enabled);
  }
}

std::shared_ptr<nn::models::Model> small_resnet() {
  manual_seed(3);
  return make_image_model({.name = "resnet20", .classes = 10});
}

TEST(AttachCodeq, EverySettingReachesTheQuantizers) {
  const auto options_of = [](const ClassifierConfig::Codeq& c) {
    const auto model = small_resnet();
    attach_codeq(*model, c);
    const auto* quantizer = model->get_parameter("layer1.0.conv1.weight").parametrization_as<codeq::Quantizer>();
    return std::tuple(quantizer->options().dead_zone, quantizer->logit_dz.latent().item(),
                      quantizer->logit_bit.latent().item());
  };
  {
    const auto [o, dz, bit] = options_of({.mode = "fixed", .bits = 6, .init_logit_dz = 2, .init_logit_bit = 1.5});
    EXPECT_FALSE(o.learnable_bits);
    EXPECT_EQ(o.fixed_bits, 6);
    EXPECT_EQ(dz, 2);
    EXPECT_EQ(bit, 1.5);
    EXPECT_EQ(o.range, codeq::Range::kQuantile);
    EXPECT_FALSE(o.relative_eps || o.mask_clamped || o.mask_weight_gradient);
    EXPECT_EQ(o.max_logit_gradient, 0);
    EXPECT_EQ(o.min_abs_logit, 0);
  }
  ClassifierConfig::Codeq c{.mode = "mixed", .min_bits = 3, .max_bits = 7};
  {
    const auto [o, dz, bit] = options_of(c);
    EXPECT_TRUE(o.learnable_bits);
    EXPECT_EQ(o.min_bits, 3);
    EXPECT_EQ(o.max_bits, 7);
    EXPECT_EQ(dz, 3);
  }
  c.start_uniform = true;
  EXPECT_NEAR(std::get<1>(options_of(c)), std::atanh(1 - 1 / (2.0 * 63)), 1e-6);
  c.true_maximum = true;
  EXPECT_EQ(std::get<0>(options_of(c)).range, codeq::Range::kMaximum);
  c.relative_eps = true;
  EXPECT_TRUE(std::get<0>(options_of(c)).relative_eps);
  EXPECT_FALSE(std::get<0>(options_of(c)).mask_clamped);
  c.mask_clamped = true;
  EXPECT_TRUE(std::get<0>(options_of(c)).mask_clamped);
  EXPECT_FALSE(std::get<0>(options_of(c)).mask_weight_gradient);
  c.mask_weight_gradient = true;
  EXPECT_TRUE(std::get<0>(options_of(c)).mask_weight_gradient);
  c.max_logit_gradient = 0.5;
  EXPECT_EQ(std::get<0>(options_of(c)).max_logit_gradient, 0.5);
  c.min_abs_logit = 0.25;
  EXPECT_EQ(std::get<0>(options_of(c)).min_abs_logit, 0.25);
}

TEST(AttachCodeq, SparesWhatItIsToldTo) {
  const auto layers = [](const ClassifierConfig::Codeq& c) {
    const auto model = small_resnet();
    attach_codeq(*model, c);
    const std::vector<std::string> attached = codeq::attached_layers(*model);
    return std::set<std::string>(attached.begin(), attached.end());
  };
  EXPECT_TRUE(layers({}).empty()) << "mode none";
  EXPECT_EQ(layers({.mode = "fixed"}).size(), 20u);
  const auto glob = layers({.mode = "fixed", .exclude = {"conv1", "linear"}});
  EXPECT_EQ(glob.size(), 18u);
  EXPECT_TRUE(glob.contains("layer1.0.conv1"));
  const auto substring = layers({.mode = "fixed", .exclude = {"conv1", "linear"}, .exclude_rule = "substring"});
  EXPECT_FALSE(substring.contains("layer1.0.conv1"));
  EXPECT_TRUE(substring.contains("layer1.0.conv2"));
}

TEST(ObserveCodeq, TellsWhatTheLayersAre) {
  const auto model = small_resnet();
  EXPECT_TRUE(observe_codeq(*model).empty());
  attach_codeq(*model, {.mode = "mixed", .exclude = {"conv1"}, .init_logit_dz = 1});
  const codeq::Report states = codeq::layer_states(*model);
  const MetricRow row = observe_codeq(*model);
  EXPECT_EQ(number_of(row, "mean_bits", -1), states.mean_bits());
  EXPECT_EQ(number_of(row, "sparsity", -1), states.sparsity());
  EXPECT_NEAR(number_of(row, "dead_zone", -1), 1 - std::tanh(1.0), 1e-6) << "of quantized layers alone";
  const io::Json json = layers_row(3, 40, codeq_layers(*model));
  EXPECT_EQ(json.at("epoch").as_int(), 3);
  EXPECT_EQ(json.at("step").as_int(), 40);
  ASSERT_EQ(json.at("layers").size(), states.layers.size());
  for (size_t i = 0; i < states.layers.size(); ++i) {
    const io::Json& layer = json.at("layers")[i];
    const codeq::LayerReport& state = states.layers[i];
    const auto weights = static_cast<double>(state.weights);
    EXPECT_EQ(layer.at("name").as_string(), state.name);
    EXPECT_EQ(layer.at("bits").as_int(), state.bits);
    EXPECT_EQ(layer.at("sparsity").as_number(), static_cast<double>(state.zeros) / weights);
    EXPECT_EQ(layer.at("clamped").as_number(), static_cast<double>(state.clamped) / weights);
    EXPECT_EQ(layer.at("range").as_number(), state.dead_zone.range);
    EXPECT_EQ(layer.at("logit_dz").as_number(), state.logit_dz);
    EXPECT_EQ(layer.at("logit_bit").as_number(), state.logit_bit);
    EXPECT_NEAR(layer.at("dead_zone").as_number(), state.quantized ? 1 - std::tanh(1.0) : 0, 1e-6);
  }
}

}  // namespace
}  // namespace tern::train
