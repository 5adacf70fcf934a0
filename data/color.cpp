#include <algorithm>
#include <cmath>

#include <tern/data/color.h>

namespace tern::data {
namespace {

float unit(double v) {
  return static_cast<float>(std::clamp(v, 0.0, 1.0));
}

double grey_of(double r, double g, double b) {
  return 0.2989 * r + 0.587 * g + 0.114 * b;
}

}  // namespace

void adjust_brightness(float* image, int64_t channels, int64_t n, double factor) {
  for (int64_t i = 0; i < channels * n; ++i) image[i] = unit(image[i] * factor);
}

void adjust_contrast(float* image, int64_t channels, int64_t n, double factor) {
  double sum = 0;
  if (channels == 3) {
    for (int64_t i = 0; i < n; ++i) sum += grey_of(image[i], image[n + i], image[2 * n + i]);
  } else {
    for (int64_t i = 0; i < channels * n; ++i) sum += image[i] / static_cast<double>(channels);
  }
  const double mean = sum / static_cast<double>(n);
  for (int64_t i = 0; i < channels * n; ++i) image[i] = unit(factor * image[i] + (1 - factor) * mean);
}

void adjust_saturation(float* image, int64_t n, double factor) {
  for (int64_t i = 0; i < n; ++i) {
    const double grey = grey_of(image[i], image[n + i], image[2 * n + i]);
    for (int64_t c = 0; c < 3; ++c) image[c * n + i] = unit(factor * image[c * n + i] + (1 - factor) * grey);
  }
}

void adjust_hue(float* image, int64_t n, double shift) {
  for (int64_t i = 0; i < n; ++i) {
    const double r = image[i], g = image[n + i], b = image[2 * n + i];
    const double value = std::max({r, g, b}), chroma = value - std::min({r, g, b});
    if (chroma == 0) continue;  // grey has no hue
    double sixths;
    if (value == r)
      sixths = (g - b) / chroma;
    else if (value == g)
      sixths = 2 + (b - r) / chroma;
    else
      sixths = 4 + (r - g) / chroma;
    double hue = sixths / 6 + shift;
    hue -= std::floor(hue);
    // A channel is value - chroma * clamp(min(k, 4 - k), 0, 1) with k = (offset + 6 hue) mod 6.
    const auto channel = [&](double offset) {
      const double k = std::fmod(offset + hue * 6, 6.0);
      return unit(value - chroma * std::clamp(std::min(k, 4 - k), 0.0, 1.0));
    };
    image[i] = channel(5);
    image[n + i] = channel(3);
    image[2 * n + i] = channel(1);
  }
}

}  // namespace tern::data
