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

}  // namespace
}  // namespace tern::train
