#include <cmath>

#include <tern/core/error.h>
#include <tern/data/batch.h>

#include "data/support.h"

namespace tern {
namespace {

using data::Batch;
using test::values;

// Image i is all i + 1, of class i mod 3.
Batch flat_batch(int64_t n, MemoryFormat format = MemoryFormat::kChannelsLast) {
  Batch batch{empty({n, 2, 4, 5}, DType::kF32, format), empty({n}, DType::kI64)};
  for (int64_t i = 0; i < n; ++i) {
    batch.images[i].fill_(static_cast<double>(i + 1));
    batch.labels.data<int64_t>()[i] = i % 3;
  }
  return batch;
}

double row_sum(const std::vector<float>& rows, int64_t i, int64_t classes) {
  double sum = 0;
  for (int64_t c = 0; c < classes; ++c) sum += rows[static_cast<size_t>(i * classes + c)];
  return sum;
}

TEST(Mixup, ImagesAndLabelsMixInTheSameShares) {
  for (uint64_t seed = 0; seed < 50; ++seed) {
    Generator random(seed);
    const Batch in = flat_batch(6);
    const auto [images, labels] = data::mixup({.alpha = 0.4, .classes = 4})(in, random);
    ASSERT_EQ(labels.shape(), (Shape{6, 4}));
    EXPECT_EQ(labels.dtype(), DType::kF32);
    EXPECT_TRUE(images.is_contiguous(MemoryFormat::kChannelsLast));
    const auto y = values(labels);
    for (int64_t i = 0; i < 6; ++i) {
      EXPECT_NEAR(row_sum(y, i, 4), 1, 1e-6);
      EXPECT_EQ(y[static_cast<size_t>(i * 4 + 3)], 0.0f);
      // Every pixel of a flat image is keep * (i + 1) + (1 - keep) * (j + 1) for one j.
      const auto v = values(images[i]);
      for (const float pixel : v) EXPECT_EQ(pixel, v[0]);
      const double own = y[static_cast<size_t>(i * 4 + i % 3)];
      bool explained = false;
      for (int64_t j = 0; j < 6 && !explained; ++j) {
        if (j % 3 == i % 3) {
          explained = std::abs(own - 1) < 1e-6;  // the same class: the label tells nothing about the share
        } else {
          explained = std::abs(own * static_cast<double>(i + 1) + (1 - own) * static_cast<double>(j + 1) - v[0]) < 1e-5;
        }
      }
      EXPECT_TRUE(explained) << i;
    }
  }
}

TEST(Cutmix, PixelsComeFromOneOfTwoImages) {
  for (const auto format : {MemoryFormat::kChannelsLast, MemoryFormat::kContiguous})
    for (uint64_t seed = 0; seed < 50; ++seed) {
      Generator random(seed);
      const auto [images, labels] = data::cutmix({.alpha = 1, .classes = 3})(flat_batch(6, format), random);
      const auto y = values(labels);
      for (int64_t i = 0; i < 6; ++i) {
        const auto v = values(images[i]);
        int64_t own = 0;
        float other = 0;
        for (const float pixel : v) {
          if (pixel == static_cast<float>(i + 1)) {
            ++own;
          } else {
            EXPECT_TRUE(other == 0 || pixel == other);
            other = pixel;
          }
        }
        const double share = static_cast<double>(own) / 40;
        const int64_t partner = other == 0 ? i : static_cast<int64_t>(other) - 1;
        EXPECT_NEAR(row_sum(y, i, 3), 1, 1e-6);
        if (partner % 3 != i % 3) {
          EXPECT_NEAR(y[static_cast<size_t>(i * 3 + i % 3)], share, 1e-6);
          EXPECT_NEAR(y[static_cast<size_t>(i * 3 + partner % 3)], 1 - share, 1e-6);
        }
      }
    }
}

TEST(Mixup, SharesFollowTheBetaDistribution) {
  for (const double alpha : {0.2, 1.0, 3.0}) {
    const auto mix = data::mixup({.alpha = alpha, .classes = 2});
    Generator random(1);
    double sum = 0, squares = 0;
    int64_t n = 0;
    for (int round = 0; round < 6000; ++round) {
      Batch batch{empty({2, 1, 1, 1}), empty({2}, DType::kI64)};
      batch.images.data<float>()[0] = 0;
      batch.images.data<float>()[1] = 1;
      batch.labels.data<int64_t>()[0] = 0;
      batch.labels.data<int64_t>()[1] = 1;
      const Batch out = mix(batch, random);
      const double first = values(out.images)[0];  // 0 or 1 - keep
      EXPECT_NEAR(values(out.labels)[1], first, 1e-6);
      if (values(out.images)[0] == 0 && values(out.images)[1] == 1) continue;  // each is its own partner
      sum += first;
      squares += first * first;
      ++n;
    }
    const double mean = sum / static_cast<double>(n), variance = squares / static_cast<double>(n) - mean * mean;
    EXPECT_NEAR(mean, 0.5, 0.04);
    EXPECT_NEAR(variance, 1 / (4 * (2 * alpha + 1)), 0.02);  // of Beta(alpha, alpha)
    EXPECT_GT(n, 2000);
  }
}

// The smaller alpha, the nearer draws lie to 0 or 1: of Beta(a, a), about a log(99^2) lies between 0.01 and 0.99.
TEST(Mixup, SmallAndLargeAlpha) {
  const auto shares = [](double alpha) {
    const auto mix = data::mixup({.alpha = alpha, .classes = 2});
    Generator random(1);
    std::vector<double> found;
    for (int round = 0; round < 2000; ++round) {
      const Tensor images = empty({2, 1, 1, 1}).fill_(0), labels = arange(2);
      const double share = values(mix({images, labels}, random).labels)[0];
      EXPECT_TRUE(share >= 0 && share <= 1) << alpha << ": " << share;
      found.push_back(share);
    }
    return found;
  };
  for (const double alpha : {1e-2, 1e-3, 1e-5, 1e-100, 1e-310}) {
    int64_t between = 0, low = 0;
    for (const double share : shares(alpha)) between += share > 0.01 && share < 0.99, low += share <= 0.01;
    EXPECT_LE(between, 2000 * alpha * 9.2 + 4 * std::sqrt(2000 * alpha * 9.2)) << alpha;
    EXPECT_NEAR(static_cast<double>(low), 500, 80) << alpha;  // half of the batches have swapped partners
  }
  for (const double alpha : {1e6, 1e300, 1e308})
    for (const double share : shares(alpha)) EXPECT_TRUE(share == 1 || std::abs(share - 0.5) < 0.01) << alpha;
}

TEST(Mixup, SomeBatchesOnlyGetSoftLabels) {
  Generator random(1);
  const Batch in = flat_batch(3);
  for (const auto& mix : {data::mixup({.classes = 3, .p = 0}), data::cutmix({.classes = 3, .p = 0})}) {
    const Batch out = mix(in, random);
    EXPECT_TRUE(out.images.is_same(in.images));
    EXPECT_EQ(values(out.labels), (std::vector<float>{1, 0, 0, 0, 1, 0, 0, 0, 1}));
  }
}

TEST(OneOf, UsesEachOfItsChoices) {
  const auto mark = [](double v) {
    return data::BatchTransform([v](const Batch& b, Generator&) { return Batch{empty({1}).fill_(v), b.labels}; });
  };
  const auto any = data::one_of({mark(1), mark(2), mark(3)});
  std::map<float, int> seen;
  for (uint64_t seed = 0; seed < 300; ++seed) {
    Generator random(seed);
    ++seen[values(any(flat_batch(1), random).images)[0]];
  }
  ASSERT_EQ(seen.size(), 3u);
  for (const auto& [v, n] : seen) EXPECT_NEAR(n, 100, 50);
  EXPECT_EQ(sentence_of<ValueError>([] { static_cast<void>(data::one_of({})); }),
            "[one_of] expected at least one transform, got none");
  EXPECT_EQ(sentence_of<ValueError>([&] {
              static_cast<void>(data::one_of({mark(1), {}}));
            }),
            "[one_of] expected transforms, got an empty one at position 1");
}

TEST(Mixup, BadUse) {
  EXPECT_EQ(sentence_of<ValueError>([] { static_cast<void>(data::mixup({.alpha = 0, .classes = 3})); }),
            "[mixup] expected alpha above 0, got 0");
  EXPECT_EQ(sentence_of<ValueError>([] { static_cast<void>(data::cutmix({})); }),
            "[cutmix] expected at least 2 classes, got 0");
  EXPECT_EQ(sentence_of<ValueError>([] { static_cast<void>(data::cutmix({.classes = 3, .p = 2})); }),
            "[cutmix] expected p in [0, 1], got 2");
  Generator random(0);
  EXPECT_EQ(sentence_of<ValueError>([&] { data::mixup({.classes = 2})(flat_batch(4), random); }),
            "[mixup] expected labels in [0, 2), got 2");
  const std::pair<const char*, data::BatchTransform> mixes[] = {{"mixup", data::mixup({.classes = 3})},
                                                                {"cutmix", data::cutmix({.classes = 3})}};
  for (const auto& entry : mixes) {
    const char* const op = entry.first;
    const data::BatchTransform& mix = entry.second;  // clang 14 hands no structured binding to a lambda
    for (const int64_t wrong : {int64_t{3}, int64_t{-1}, int64_t{1} << 40}) {
      for (uint64_t seed = 0; seed < 20; ++seed) {  // whoever is whose partner
        Generator order(seed);
        Batch batch = flat_batch(4);
        batch.labels.data<int64_t>()[3] = wrong;
        EXPECT_EQ(sentence_of<ValueError>([&] { mix(batch, order); }),
                  concat("[", op, "] expected labels in [0, 3), got ", wrong));
      }
    }
    for (const int64_t labels : {2, 5})
      EXPECT_EQ(sentence_of<ShapeError>([&] {
                  mix({flat_batch(4).images, flat_batch(labels).labels}, random);
                }),
                concat("[", op, "] expected a label for each of 4 images, got ", labels));
    EXPECT_EQ(sentence_of<ShapeError>([&] {
                mix({empty({4, 3}), flat_batch(4).labels}, random);
              }),
              concat("[", op, "] expected images [N, C, H, W], got [4, 3]"));
    EXPECT_EQ(sentence_of<DTypeError>([&] {
                mix({empty({4, 1, 2, 2}, DType::kU8), flat_batch(4).labels}, random);
              }),
              concat("[", op, "] expected images of f32, got u8"));
  }
}

// Views of images and labels, in any order of axes, mix as what they show.
TEST(Mixup, LayoutDoesNotMatter) {
  Tensor wide = empty({6, 2, 5, 4});
  for (int64_t i = 0; i < wide.numel(); ++i) wide.data<float>()[i] = static_cast<float>(i);
  Tensor six = empty({12}, DType::kI64);
  for (int64_t i = 0; i < 12; ++i) six.data<int64_t>()[i] = i % 2 == 0 ? i / 2 % 3 : 99;
  const Tensor labels = six.slice(0, 0, 12, 2);
  const Tensor holes = wide.slice(2, 0, 5, 2), turned = wide.permute({3, 1, 2, 0}).contiguous().permute({3, 1, 2, 0});
  for (const auto& mix : {data::mixup({.classes = 3}), data::cutmix({.classes = 3})})
    for (const Tensor& images : {holes, turned})
      for (uint64_t seed = 0; seed < 10; ++seed) {
        Generator one(seed), other(seed);
        const Batch got = mix({images, labels}, one);
        const Batch want = mix({images.contiguous(), labels.contiguous()}, other);
        EXPECT_EQ(values(got.images), values(want.images));
        EXPECT_EQ(values(got.labels), values(want.labels));
      }
}

}  // namespace
}  // namespace tern
