#include <algorithm>
#include <array>
#include <cmath>

#include <tern/core/error.h>
#include <tern/core/rounding.h>
#include <tern/data/color.h>
#include <tern/data/detail/image.h>
#include <tern/data/detail/resample.h>
#include <tern/data/sampler.h>
#include <tern/data/transforms.h>

namespace tern::data {
namespace {

using detail::Image;

constexpr int64_t kMaxSide = 32768;

// A step made of a function.
template <class F>
class Step final : public detail::TransformStep {
 public:
  explicit Step(F function) : function_(std::move(function)) {}
  void apply(Image& image, Generator& random) const override { function_(image, random); }

 private:
  F function_;
};

template <class F>
Transform step(F function) {
  return Transform(std::make_shared<const Step<F>>(std::move(function)));
}

void check_size(const char* op, std::string_view what, int64_t v) {
  TERN_CHECK(v >= 1 && v <= kMaxSide, ValueError, "[", op, "] expected ", what, " in [1, ", kMaxSide, "], got ", v);
}

void resize_image(Image& image, int64_t height, int64_t width, Interpolation interpolation) {
  if (height == image.height() && width == image.width()) return;
  std::vector<float> out;
  if (image.is_float()) {
    const float* in = image.floats();
    detail::resample(in, image.channels(), image.height(), image.width(), interpolation, height, width, out);
    image.show_floats(out, height, width);
    return;
  }
  const uint8_t* in = image.bytes();
  detail::resample(in, image.channels(), image.height(), image.width(), interpolation, height, width, out);
  std::vector<uint8_t> rounded(out.size());
  for (size_t i = 0; i < out.size(); ++i) rounded[i] = static_cast<uint8_t>(round_clamp(out[i], 0.0f, 255.0f));
  image.show_bytes(rounded, height, width);
}

}  // namespace

Tensor Transform::operator()(const Tensor& image, Generator& random) const {
  Image state;
  state.show(image);
  apply(state, random);
  state.floats();
  return state.to_tensor();
}

Transform Transform::then(const Transform& next) const {
  Transform both = *this;
  both.steps_.insert(both.steps_.end(), next.steps_.begin(), next.steps_.end());
  return both;
}

Transform random_crop(int64_t size, int64_t padding) {
  check_size("random_crop", "a size", size);
  TERN_CHECK(padding >= 0 && padding <= kMaxSide, ValueError, "[random_crop] expected a padding in [0, ", kMaxSide,
             "], got ", padding);
  return step([=](Image& image, Generator& random) {
    const int64_t rows = image.height() + 2 * padding - size, columns = image.width() + 2 * padding - size;
    TERN_CHECK(rows >= 0 && columns >= 0, ValueError, "[random_crop] expected an image of at least ", size, " x ", size,
               " pixels with its padding of ", padding, ", got ", image.height(), " x ", image.width());
    const auto top = static_cast<int64_t>(random.below(static_cast<uint64_t>(rows) + 1));
    const auto left = static_cast<int64_t>(random.below(static_cast<uint64_t>(columns) + 1));
    image.window(top - padding, left - padding, size, size);
  });
}

Transform horizontal_flip(double p) {
  TERN_CHECK(p >= 0 && p <= 1, ValueError, "[horizontal_flip] expected a probability in [0, 1], got ", p);
  return step([=](Image& image, Generator& random) {
    if (random.uniform() < p) image.flip();
  });
}

Transform normalize(const std::vector<double>& mean, const std::vector<double>& std) {
  TERN_CHECK(!mean.empty() && mean.size() == std.size(), ValueError,
             "[normalize] expected one mean and one std a channel, got ", mean.size(), " and ", std.size());
  std::vector<float> m, s;
  for (size_t c = 0; c < mean.size(); ++c) {
    TERN_CHECK(std::isfinite(mean[c]) && std::isfinite(std[c]) && std[c] > 0, ValueError,
               "[normalize] expected finite means and stds above 0, got mean ", mean[c], " and std ", std[c],
               " for channel ", c);
    m.push_back(static_cast<float>(mean[c]));
    s.push_back(static_cast<float>(std[c]));
  }
  std::vector<float> table;  // [C, 256]
  for (size_t c = 0; c < m.size(); ++c)
    for (const float v : detail::unit_table()) table.push_back((v - m[c]) / s[c]);
  return step([m, s, table](Image& image, Generator&) {
    TERN_CHECK(image.channels() == static_cast<int64_t>(m.size()), ShapeError, "[normalize] expected images of ",
               m.size(), " channels, as mean and std have, got ", image.channels());
    if (!image.is_float()) {
      image.map(table.data());
    } else {
      float* v = image.floats();
      const int64_t n = image.height() * image.width();
      for (size_t c = 0; c < m.size(); ++c)
        for (int64_t i = 0; i < n; ++i, ++v) *v = (*v - m[c]) / s[c];
    }
    image.normalized = true;
  });
}

Transform to_float() {
  return step([](Image& image, Generator&) {
    if (!image.is_float()) image.floats();
  });
}

Transform resize(int64_t size, Interpolation interpolation) {
  check_size("resize", "a size", size);
  return step([=](Image& image, Generator&) {
    const int64_t shorter = std::min(image.height(), image.width());
    const int64_t longer = std::max(image.height(), image.width());
    const int64_t scaled = size * longer / shorter;
    check_size("resize", "a longer side", scaled);
    const bool tall = image.height() > image.width();
    resize_image(image, tall ? scaled : size, tall ? size : scaled, interpolation);
  });
}

Transform resize_to(int64_t height, int64_t width, Interpolation interpolation) {
  check_size("resize_to", "a height", height);
  check_size("resize_to", "a width", width);
  return step([=](Image& image, Generator&) { resize_image(image, height, width, interpolation); });
}

Transform center_crop(int64_t size) {
  check_size("center_crop", "a size", size);
  return step([=](Image& image, Generator&) {
    const auto middle = [&](int64_t whole) {
      return static_cast<int64_t>(round_half_even(static_cast<double>(whole - size) / 2));
    };
    image.window(middle(image.height()), middle(image.width()), size, size);
  });
}

Transform cutout(int64_t size, int64_t holes) {
  check_size("cutout", "a size", size);
  TERN_CHECK(holes >= 1, ValueError, "[cutout] expected at least 1 hole, got ", holes);
  return step([=](Image& image, Generator& random) {
    const int64_t height = image.height(), width = image.width();
    float* floats = image.is_float() ? image.floats() : nullptr;
    uint8_t* bytes = floats == nullptr ? image.bytes() : nullptr;
    for (int64_t hole = 0; hole < holes; ++hole) {
      const auto y = static_cast<int64_t>(random.below(static_cast<uint64_t>(height)));
      const auto x = static_cast<int64_t>(random.below(static_cast<uint64_t>(width)));
      const int64_t top = std::max<int64_t>(y - size / 2, 0), bottom = std::min(y - size / 2 + size, height);
      const int64_t left = std::max<int64_t>(x - size / 2, 0), right = std::min(x - size / 2 + size, width);
      for (int64_t c = 0; c < image.channels(); ++c)
        for (int64_t row = top; row < bottom; ++row) {
          const int64_t at = (c * height + row) * width + left;
          if (floats != nullptr)
            std::fill_n(floats + at, right - left, 0.0f);
          else
            std::fill_n(bytes + at, right - left, uint8_t{0});
        }
    }
  });
}

Transform color_jitter(const ColorJitterOptions& options) {
  for (const double v : {options.brightness, options.contrast, options.saturation})
    TERN_CHECK(std::isfinite(v) && v >= 0, ValueError,
               "[color_jitter] expected brightness, contrast and saturation of at least 0, got ", v);
  TERN_CHECK(options.hue >= 0 && options.hue <= 0.5, ValueError, "[color_jitter] expected hue in [0, 0.5], got ",
             options.hue);
  return step([o = options](Image& image, Generator& random) {
    TERN_CHECK(!image.normalized, StateError,
               "[color_jitter] expected to stand before normalize, got normalised pixels");
    TERN_CHECK(image.channels() == 3 || (o.saturation == 0 && o.hue == 0), ShapeError,
               "[color_jitter] expected 3 channels for saturation and hue, got ", image.channels());
    float* v = image.floats();
    const int64_t channels = image.channels(), n = image.height() * image.width();
    const auto factor = [&](double spread) { return random.uniform(std::max(0.0, 1 - spread), 1 + spread); };
    std::vector<int> order{0, 1, 2, 3};
    shuffle(order, random);
    for (const int what : order) {
      if (what == 0 && o.brightness > 0) adjust_brightness(v, channels, n, factor(o.brightness));
      if (what == 1 && o.contrast > 0) adjust_contrast(v, channels, n, factor(o.contrast));
      if (what == 2 && o.saturation > 0) adjust_saturation(v, n, factor(o.saturation));
      if (what == 3 && o.hue > 0) adjust_hue(v, n, random.uniform(-o.hue, o.hue));
    }
  });
}

Transform custom(std::function<Tensor(const Tensor& image, Generator& random)> function) {
  TERN_CHECK(function != nullptr, ValueError, "[custom] expected a function, got none");
  return step([f = std::move(function)](Image& image, Generator& random) {
    const bool normalized = image.normalized;
    image.show(f(image.to_tensor(), random));
    image.normalized = normalized;
  });
}

}  // namespace tern::data
