#include <cmath>

#include <tern/core/error.h>
#include <tern/core/io/json.h>
#include <tern/core/ops/shape.h>
#include <tern/data/color.h>
#include <tern/data/detail/image.h>
#include <tern/data/detail/resample.h>
#include <tern/data/transforms.h>

#include "data/support.h"

namespace tern {
namespace {

using data::Transform;
using data::detail::Image;
using test::values;

Tensor image_of(int64_t channels, int64_t height, int64_t width, int salt = 0) {
  Tensor x = empty({channels, height, width}, DType::kU8);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<uint8_t>()[i] = static_cast<uint8_t>(i * 13 + i / 5 + salt + 1);
  return x;
}

Tensor run(const Transform& transform, const Tensor& image, uint64_t seed = 0) {
  Generator random(seed);
  return transform(image, random);
}

// -- the lazy image against moving every pixel at every step

struct Pixels {
  int64_t channels, height, width;
  std::vector<float> v;
  float at(int64_t c, int64_t y, int64_t x) const {
    return y < 0 || x < 0 || y >= height || x >= width ? 0.0f : v[static_cast<size_t>((c * height + y) * width + x)];
  }
};

Pixels cut(const Pixels& in, int64_t top, int64_t left, int64_t height, int64_t width, bool mirror) {
  Pixels out{in.channels, height, width, {}};
  for (int64_t c = 0; c < in.channels; ++c)
    for (int64_t y = 0; y < height; ++y)
      for (int64_t x = 0; x < width; ++x) out.v.push_back(in.at(c, top + y, left + (mirror ? width - 1 - x : x)));
  return out;
}

TEST(LazyImage, AnyChainEqualsMovingThePixels) {
  std::mt19937 random(1);
  const auto pick = [&](int64_t low, int64_t high) {
    return low + static_cast<int64_t>(random() % static_cast<unsigned>(high - low + 1));
  };
  for (int round = 0; round < 3000; ++round) {
    const bool floating = random() % 2;
    const int64_t channels = pick(1, 3);
    Pixels wanted{channels, pick(1, 8), pick(1, 8), {}};
    const Tensor source = image_of(channels, wanted.height, wanted.width, round);
    wanted.v = source.to_vector<float>();
    std::vector<float> table(static_cast<size_t>(channels) * 256);
    for (size_t i = 0; i < table.size(); ++i) table[i] = static_cast<float>(i) * 0.5f - 3;
    Image image;
    image.show(floating ? source.to(DType::kF32) : source);
    bool mapped = false;
    for (int steps = 0; steps < 6; ++steps) {
      switch (random() % 5) {
        case 0:
          image.flip();
          wanted = cut(wanted, 0, 0, wanted.height, wanted.width, true);
          break;
        case 1: {
          const int64_t top = pick(-3, 5), left = pick(-3, 5), height = pick(1, 9), width = pick(1, 9);
          image.window(top, left, height, width);
          wanted = cut(wanted, top, left, height, width, false);
          break;
        }
        case 2:
          if (image.is_float())
            image.floats();
          else
            image.bytes();
          break;
        case 3:
          if (!floating && !mapped && !image.is_float()) {
            image.map(table.data());
            mapped = true;
            const size_t plane = static_cast<size_t>(wanted.height * wanted.width);
            for (size_t i = 0; i < wanted.v.size(); ++i)
              wanted.v[i] = table[i / plane * 256 + static_cast<size_t>(wanted.v[i])];
          }
          break;
        default:
          if (image.is_float()) {
            float* v = image.floats();
            for (size_t i = 0; i < wanted.v.size(); ++i) v[i] = wanted.v[i] = wanted.v[i] * 2 + 1;
          }
      }
      ASSERT_EQ(image.height(), wanted.height);
      ASSERT_EQ(image.width(), wanted.width);
    }
    const bool unit = !image.is_float();  // bytes end as p / 255
    for (float& v : wanted.v)
      if (unit) v /= 255.0f;
    std::vector<float> rows(wanted.v.size()), last(wanted.v.size());
    image.write(rows.data(), wanted.height * wanted.width, wanted.width, 1);
    image.write(last.data(), 1, wanted.width * channels, channels);
    ASSERT_EQ(rows, wanted.v) << round;
    for (int64_t c = 0; c < channels; ++c)
      for (int64_t i = 0; i < wanted.height * wanted.width; ++i)
        ASSERT_EQ(last[static_cast<size_t>(i * channels + c)],
                  wanted.v[static_cast<size_t>(c * wanted.height * wanted.width + i)]);
  }
}

TEST(Transform, EmptyChainDividesBy255) {
  const Tensor x = image_of(3, 2, 2);
  const auto got = values(run({}, x)), raw = values(x);
  for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], raw[i] / 255.0f);
  EXPECT_EQ(values(run(data::to_float(), x)), got);
  EXPECT_EQ(values(run(data::to_float(), x.to(DType::kF32))), raw);  // floats stay
  EXPECT_EQ(values(run({}, x.permute({0, 2, 1}))), values(run({}, x.permute({0, 2, 1}).contiguous())));
}

TEST(Transform, WhatIsNoImageIsRefused) {
  EXPECT_EQ(sentence_of<ShapeError>([] {
              run({}, empty({2, 2}, DType::kU8));
            }),
            "[transform] expected an image [C, H, W] that is not empty, got shape [2, 2]");
  EXPECT_EQ(sentence_of<ShapeError>([] {
              run({}, empty({3, 0, 2}, DType::kU8));
            }),
            "[transform] expected an image [C, H, W] that is not empty, got shape [3, 0, 2]");
  EXPECT_EQ(sentence_of<DTypeError>([] {
              run({}, empty({3, 2, 2}, DType::kF64));
            }),
            "[transform] expected an image of u8 or f32, got f64");
}

TEST(RandomCrop, ReachesEveryPlaceEquallyOften) {
  // With a padding of 2, a 3 x 3 crop of a 4 x 4 image has 6 x 6 places.
  Tensor x = empty({1, 4, 4}, DType::kF32);
  for (int64_t i = 0; i < 16; ++i) x.data<float>()[i] = static_cast<float>(i + 1);
  std::map<std::vector<float>, int> seen;
  constexpr int kRounds = 7200;
  Generator random(3);
  const Transform crop = data::random_crop(3, 2);
  for (int i = 0; i < kRounds; ++i) ++seen[values(crop(x, random))];
  Pixels padded{1, 4, 4, values(x)};
  int places = 0;
  for (int64_t top = -2; top <= 3; ++top)
    for (int64_t left = -2; left <= 3; ++left) {
      const auto found = seen.find(cut(padded, top, left, 3, 3, false).v);
      ASSERT_NE(found, seen.end()) << top << " " << left;
      EXPECT_NEAR(found->second, kRounds / 36, 6 * std::sqrt(kRounds / 36.0));
      ++places;
    }
  EXPECT_EQ(seen.size(), static_cast<size_t>(places));
}

TEST(RandomCrop, BadSizes) {
  EXPECT_EQ(sentence_of<ValueError>([] { static_cast<void>(data::random_crop(0)); }),
            "[random_crop] expected a size in [1, 32768], got 0");
  EXPECT_EQ(sentence_of<ValueError>([] { static_cast<void>(data::random_crop(4, -1)); }),
            "[random_crop] expected a padding in [0, 32768], got -1");
  EXPECT_EQ(sentence_of<ValueError>([] { run(data::random_crop(6, 1), image_of(1, 5, 3)); }),
            "[random_crop] expected an image of at least 6 x 6 pixels with its padding of 1, got 5 x 3");
  EXPECT_EQ(run(data::random_crop(5, 1), image_of(1, 5, 3)).shape(), (Shape{1, 5, 5}));
}

TEST(HorizontalFlip, HappensWithItsProbability) {
  const Tensor x = image_of(3, 4, 5);
  const auto straight = values(run({}, x));
  EXPECT_EQ(values(run(data::horizontal_flip(0), x)), straight);
  const auto mirrored = values(run(data::horizontal_flip(1), x));
  for (int64_t c = 0; c < 3; ++c)
    for (int64_t y = 0; y < 4; ++y)
      for (int64_t i = 0; i < 5; ++i)
        EXPECT_EQ(mirrored[static_cast<size_t>((c * 4 + y) * 5 + i)],
                  straight[static_cast<size_t>((c * 4 + y) * 5 + 4 - i)]);
  int flips = 0;
  for (uint64_t seed = 0; seed < 2000; ++seed) flips += values(run(data::horizontal_flip(0.3), x, seed)) == mirrored;
  EXPECT_NEAR(flips, 600, 5 * std::sqrt(2000 * 0.3 * 0.7));
  EXPECT_EQ(sentence_of<ValueError>([] { static_cast<void>(data::horizontal_flip(1.5)); }),
            "[horizontal_flip] expected a probability in [0, 1], got 1.5");
}

TEST(Normalize, IsTheSameForBytesAndFloats) {
  const Tensor x = image_of(3, 3, 4);
  const std::vector<double> mean{0.1, 0.2, 0.3}, std{0.5, 0.25, 2};
  const auto bytes = values(run(data::normalize(mean, std), x));
  EXPECT_EQ(values(run(data::compose(data::to_float(), data::normalize(mean, std)), x)), bytes);
  const auto raw = values(x);
  for (size_t i = 0; i < bytes.size(); ++i) EXPECT_NEAR(bytes[i], (raw[i] / 255.0 - mean[i / 12]) / std[i / 12], 1e-6);
  // Padding before it is black, padding after it 0.
  const auto before = values(run(data::compose(data::center_crop(5), data::normalize(mean, std)), x));
  const auto after = values(run(data::compose(data::normalize(mean, std), data::center_crop(5)), x));
  EXPECT_NEAR(before[0], -0.1 / 0.5, 1e-6);
  EXPECT_EQ(after[0], 0.0f);
  EXPECT_EQ(sentence_of<ShapeError>([&] { run(data::normalize(mean, std), image_of(1, 2, 2)); }),
            "[normalize] expected images of 3 channels, as mean and std have, got 1");
  EXPECT_EQ(sentence_of<ValueError>([] {
              static_cast<void>(data::normalize({0.1}, {0.1, 0.2}));
            }),
            "[normalize] expected one mean and one std a channel, got 1 and 2");
  EXPECT_EQ(sentence_of<ValueError>([] { static_cast<void>(data::normalize({0.1}, {0.0})); }),
            "[normalize] expected finite means and stds above 0, got mean 0.1 and std 0 for channel 0");
}

TEST(CenterCrop, CutsAndPadsAsTorchvision) {
  Tensor x = empty({1, 5, 4}, DType::kF32);
  for (int64_t i = 0; i < 20; ++i) x.data<float>()[i] = static_cast<float>(i + 1);
  // (5 - 2) / 2 = 1.5 rounds to 2, (4 - 2) / 2 = 1
  EXPECT_EQ(values(run(data::center_crop(2), x)), (std::vector<float>{10, 11, 14, 15}));
  // (5 - 6) / 2 = -0.5 rounds to 0, (4 - 6) / 2 = -1
  const auto padded = values(run(data::center_crop(6), x));
  EXPECT_EQ(padded[0], 0.0f);
  EXPECT_EQ(padded[1], 1.0f);
  EXPECT_EQ(padded[35], 0.0f);
}

TEST(Resize, AgreesWithPyTorch) {
  const io::Json file = io::Json::parse_file("golden", std::string(TERN_GOLDEN_DIR) + "/data/resize.json");
  for (const io::Json& c : file.at("cases").items()) {
    const int64_t height = c.at("from")[0].as_int(), width = c.at("from")[1].as_int();
    const int64_t to_height = c.at("to")[0].as_int(), to_width = c.at("to")[1].as_int();
    const auto mode =
        c.at("mode").as_string() == "bicubic" ? data::Interpolation::kBicubic : data::Interpolation::kBilinear;
    SCOPED_TRACE(concat(height, "x", width, " to ", to_height, "x", to_width, " ", c.at("mode").as_string()));
    Tensor bytes = empty({1, height, width}, DType::kU8);
    for (int64_t i = 0; i < bytes.numel(); ++i)
      bytes.data<uint8_t>()[i] = static_cast<uint8_t>((i * 37 + i * i % 91) % 256);
    const auto wanted = c.at("out").items();
    const auto floats = values(run(data::resize_to(to_height, to_width, mode), bytes.to(DType::kF32)));
    const auto rounded = values(run(data::resize_to(to_height, to_width, mode), bytes));
    ASSERT_EQ(floats.size(), wanted.size());
    for (size_t i = 0; i < wanted.size(); ++i) {
      EXPECT_NEAR(floats[i], wanted[i].as_number(), 2e-4) << i;
      const double byte = std::clamp(wanted[i].as_number(), 0.0, 255.0);  // bicubic overshoots
      EXPECT_NEAR(rounded[i] * 255, byte, 0.501) << i;
    }
  }
}

TEST(Resize, KeepsProportionsAndFlatImages) {
  EXPECT_EQ(run(data::resize(4), image_of(3, 8, 13)).shape(), (Shape{3, 4, 6}));
  EXPECT_EQ(run(data::resize(4), image_of(3, 13, 8)).shape(), (Shape{3, 6, 4}));
  EXPECT_EQ(run(data::resize(7), image_of(3, 7, 9)).shape(), (Shape{3, 7, 9}));
  Tensor flat = empty({1, 9, 5}, DType::kU8);
  flat.fill_(77);
  for (const auto mode : {data::Interpolation::kBilinear, data::Interpolation::kBicubic})
    for (const float v : values(run(data::resize_to(4, 11, mode), flat))) EXPECT_EQ(v, 77.0f / 255.0f);
  EXPECT_EQ(sentence_of<ValueError>([] { static_cast<void>(data::resize(0)); }),
            "[resize] expected a size in [1, 32768], got 0");
  EXPECT_EQ(sentence_of<ValueError>([] { static_cast<void>(data::resize_to(3, 40000)); }),
            "[resize_to] expected a width in [1, 32768], got 40000");
  EXPECT_EQ(sentence_of<ValueError>([] { run(data::resize(30000), image_of(1, 2, 9)); }),
            "[resize] expected a longer side in [1, 32768], got 135000");
}

TEST(Cutout, ZeroesOneSquareInAllChannels) {
  Tensor x = empty({2, 9, 8}, DType::kF32);
  x.fill_(1);
  for (uint64_t seed = 0; seed < 200; ++seed) {
    const auto got = values(run(data::cutout(4), x, seed));
    int64_t top = 9, bottom = -1, left = 8, right = -1, zeros = 0;
    for (int64_t y = 0; y < 9; ++y)
      for (int64_t i = 0; i < 8; ++i) {
        const float v = got[static_cast<size_t>(y * 8 + i)];
        EXPECT_EQ(v, got[static_cast<size_t>(72 + y * 8 + i)]);
        if (v != 0) continue;
        ++zeros;
        top = std::min(top, y), bottom = std::max(bottom, y), left = std::min(left, i), right = std::max(right, i);
      }
    EXPECT_EQ(zeros, (bottom - top + 1) * (right - left + 1));  // a full rectangle
    EXPECT_TRUE(bottom - top + 1 == 4 || top == 0 || bottom == 8) << top << " " << bottom;
    EXPECT_LE(bottom - top + 1, 4);
    EXPECT_GE(zeros, 4);
  }
  EXPECT_EQ(values(run(data::cutout(100), image_of(1, 3, 3))), std::vector<float>(9, 0.0f));  // bytes, too
  EXPECT_EQ(sentence_of<ValueError>([] { static_cast<void>(data::cutout(0)); }),
            "[cutout] expected a size in [1, 32768], got 0");
  EXPECT_EQ(sentence_of<ValueError>([] { static_cast<void>(data::cutout(2, 0)); }),
            "[cutout] expected at least 1 hole, got 0");
}

// -- colours

std::vector<float> colour(float r, float g, float b) {
  return {r, g, b};
}

TEST(Color, FactorsOfOneAndTurnsOfZeroChangeNothing) {
  std::mt19937 random(1);
  std::uniform_real_distribution<float> unit(0, 1);
  std::vector<float> v(3 * 50);
  for (float& x : v) x = unit(random);
  const auto before = v;
  const auto expect_same = [&] {
    for (size_t i = 0; i < v.size(); ++i) EXPECT_NEAR(v[i], before[i], 1e-6);
  };
  data::adjust_brightness(v.data(), 3, 50, 1);
  expect_same();
  data::adjust_contrast(v.data(), 3, 50, 1);
  expect_same();
  data::adjust_saturation(v.data(), 50, 1);
  expect_same();
  data::adjust_hue(v.data(), 50, 0);
  expect_same();
  data::adjust_hue(v.data(), 50, 1);
  expect_same();
  data::adjust_hue(v.data(), 50, 0.25);
  data::adjust_hue(v.data(), 50, -0.25);
  for (size_t i = 0; i < v.size(); ++i) EXPECT_NEAR(v[i], before[i], 1e-5);
}

TEST(Color, HueTurnsThePrimariesIntoOneAnother) {
  const auto turned = [](std::vector<float> v, double shift) {
    data::adjust_hue(v.data(), 1, shift);
    for (float& x : v) x = std::round(x * 1e5f) / 1e5f;
    return v;
  };
  EXPECT_EQ(turned(colour(1, 0, 0), 1.0 / 3), colour(0, 1, 0));
  EXPECT_EQ(turned(colour(1, 0, 0), -1.0 / 3), colour(0, 0, 1));
  EXPECT_EQ(turned(colour(0, 1, 0), 0.5), colour(1, 0, 1));
  EXPECT_EQ(turned(colour(0.25f, 0.25f, 0.25f), 0.3), colour(0.25f, 0.25f, 0.25f));
  EXPECT_EQ(turned(colour(0.5f, 0.25f, 0.25f), 1.0 / 3), colour(0.25f, 0.5f, 0.25f));
}

TEST(Color, OthersFollowTheirFormulas) {
  auto v = colour(0.2f, 0.4f, 0.9f);
  const double grey = 0.2989 * 0.2 + 0.587 * 0.4 + 0.114 * 0.9;
  data::adjust_saturation(v.data(), 1, 0);
  for (const float x : v) EXPECT_NEAR(x, grey, 1e-6);
  v = colour(0.2f, 0.4f, 0.9f);
  data::adjust_saturation(v.data(), 1, 1.5);
  EXPECT_NEAR(v[0], 1.5 * 0.2 - 0.5 * grey, 1e-6);
  v = colour(0.2f, 0.4f, 0.9f);
  data::adjust_brightness(v.data(), 3, 1, 1.5);
  EXPECT_NEAR(v[1], 0.6, 1e-6);
  EXPECT_EQ(v[2], 1.0f);  // cut
  std::vector<float> two{0.1f, 0.3f};
  data::adjust_contrast(two.data(), 1, 2, 2);
  EXPECT_NEAR(two[0], 0.0, 1e-6);
  EXPECT_NEAR(two[1], 0.4, 1e-6);
}

TEST(ColorJitter, StaysWithinItsRanges) {
  Tensor x = empty({3, 1, 1}, DType::kF32);
  x.fill_(0.4);
  double low = 1, high = 0;
  for (uint64_t seed = 0; seed < 500; ++seed) {
    const double v = values(run(data::color_jitter({.brightness = 0.5}), x, seed))[0];
    low = std::min(low, v);
    high = std::max(high, v);
  }
  EXPECT_GE(low, 0.2 - 1e-6);
  EXPECT_LT(low, 0.22);
  EXPECT_LE(high, 0.6 + 1e-6);
  EXPECT_GT(high, 0.58);
  const Tensor photo = image_of(3, 4, 4);
  const Transform all = data::color_jitter({.brightness = 0.4, .contrast = 0.4, .saturation = 0.4, .hue = 0.1});
  for (const float v : values(run(all, photo, 1))) EXPECT_TRUE(v >= 0 && v <= 1);
  EXPECT_EQ(values(run(all, photo, 1)), values(run(all, photo, 1)));
  EXPECT_NE(values(run(all, photo, 1)), values(run(all, photo, 2)));
  EXPECT_EQ(values(run(data::color_jitter({}), photo)), values(run({}, photo)));
}

TEST(ColorJitter, BadUse) {
  EXPECT_EQ(sentence_of<ValueError>([] { static_cast<void>(data::color_jitter({.brightness = -1})); }),
            "[color_jitter] expected brightness, contrast and saturation of at least 0, got -1");
  EXPECT_EQ(sentence_of<ValueError>([] { static_cast<void>(data::color_jitter({.hue = 0.6})); }),
            "[color_jitter] expected hue in [0, 0.5], got 0.6");
  EXPECT_EQ(sentence_of<ShapeError>([] { run(data::color_jitter({.hue = 0.1}), image_of(1, 2, 2)); }),
            "[color_jitter] expected 3 channels for saturation and hue, got 1");
  EXPECT_EQ(sentence_of<StateError>([] {
              run(data::compose(data::normalize({0, 0, 0}, {1, 1, 1}), data::color_jitter({.brightness = 1})),
                  image_of(3, 2, 2));
            }),
            "[color_jitter] expected to stand before normalize, got normalised pixels");
}

TEST(Custom, SeesWhatTheStepsBeforeLeft) {
  const Tensor x = image_of(3, 4, 6);
  DType seen = DType::kI8;
  const Transform look = data::custom([&](const Tensor& image, Generator&) {
    seen = image.dtype();
    return image.slice(2, 1, 3);
  });
  const auto got = run(data::compose(data::horizontal_flip(1), look), x);
  EXPECT_EQ(seen, DType::kU8);
  EXPECT_EQ(values(got), values(run({}, run(data::horizontal_flip(1), x).slice(2, 1, 3))));
  run(data::compose(data::normalize({0, 0, 0}, {1, 1, 1}), look), x);
  EXPECT_EQ(seen, DType::kF32);
  EXPECT_EQ(sentence_of<DTypeError>(
                [&] { run(data::custom([](const Tensor& image, Generator&) { return image.to(DType::kF64); }), x); }),
            "[transform] expected an image of u8 or f32, got f64");
}

TEST(Custom, NeedsAFunction) {
  EXPECT_EQ(sentence_of<ValueError>([] { static_cast<void>(data::custom({})); }),
            "[custom] expected a function, got none");
}

TEST(Compose, IsAssociative) {
  const Transform a = data::random_crop(4, 1), b = data::horizontal_flip(), c = data::cutout(2);
  const Tensor x = image_of(3, 5, 5);
  for (uint64_t seed = 0; seed < 20; ++seed)
    EXPECT_EQ(values(run(data::compose(data::compose(a, b), c), x, seed)),
              values(run(data::compose(a, data::compose(b, c)), x, seed)));
  EXPECT_TRUE(data::compose().empty());
}

}  // namespace
}  // namespace tern
