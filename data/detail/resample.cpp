#include <algorithm>
#include <cmath>

#include <tern/data/detail/resample.h>

namespace tern::data::detail {
namespace {

double bilinear(double x) {
  x = std::abs(x);
  return x < 1 ? 1 - x : 0;
}

// Keys, "Cubic convolution interpolation", 1981, with a = -0.5.
double bicubic(double x) {
  constexpr double a = -0.5;
  x = std::abs(x);
  if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
}

// For each output position: the first input position it depends on, and the weights of it and its successors.
struct Taps {
  std::vector<int64_t> first;
  std::vector<std::vector<float>> weights;
};

Taps taps_for(int64_t in, int64_t out, Interpolation interpolation) {
  const bool cubic = interpolation == Interpolation::kBicubic;
  const double scale = static_cast<double>(in) / static_cast<double>(out);
  const double widening = std::max(scale, 1.0);
  const double reach = (cubic ? 2.0 : 1.0) * widening;
  Taps taps;
  for (int64_t i = 0; i < out; ++i) {
    const double center = scale * (static_cast<double>(i) + 0.5);
    const int64_t begin = std::max<int64_t>(static_cast<int64_t>(center - reach + 0.5), 0);
    const int64_t end = std::min<int64_t>(static_cast<int64_t>(center + reach + 0.5), in);
    std::vector<double> weights;
    double sum = 0;
    for (int64_t j = begin; j < end; ++j) {
      const double x = (static_cast<double>(j) - center + 0.5) / widening;
      weights.push_back(cubic ? bicubic(x) : bilinear(x));
      sum += weights.back();
    }
    taps.first.push_back(begin);
    auto& normalised = taps.weights.emplace_back();
    for (const double w : weights) normalised.push_back(static_cast<float>(w / sum));
  }
  return taps;
}

}  // namespace

template <class T>
void resample(const T* in, int64_t channels, int64_t in_height, int64_t in_width, Interpolation interpolation,
              int64_t height, int64_t width, std::vector<float>& out) {
  const Taps across = taps_for(in_width, width, interpolation), down = taps_for(in_height, height, interpolation);
  std::vector<float> rows(static_cast<size_t>(in_height * width));  // one plane after the pass along its rows
  out.resize(static_cast<size_t>(channels * height * width));
  for (int64_t c = 0; c < channels; ++c) {
    for (int64_t y = 0; y < in_height; ++y) {
      const T* source = in + (c * in_height + y) * in_width;
      float* row = rows.data() + y * width;
      for (int64_t x = 0; x < width; ++x) {
        const auto& weights = across.weights[static_cast<size_t>(x)];
        const T* pixel = source + across.first[static_cast<size_t>(x)];
        float sum = 0;
        for (size_t k = 0; k < weights.size(); ++k) sum += weights[k] * static_cast<float>(pixel[k]);
        row[x] = sum;
      }
    }
    for (int64_t y = 0; y < height; ++y) {
      const auto& weights = down.weights[static_cast<size_t>(y)];
      const float* source = rows.data() + down.first[static_cast<size_t>(y)] * width;
      float* row = out.data() + (c * height + y) * width;
      std::fill_n(row, width, 0.0f);
      for (size_t k = 0; k < weights.size(); ++k) {
        const float* line = source + static_cast<int64_t>(k) * width;
        for (int64_t x = 0; x < width; ++x) row[x] += weights[k] * line[x];
      }
    }
  }
}

template void resample(const uint8_t*, int64_t, int64_t, int64_t, Interpolation, int64_t, int64_t, std::vector<float>&);
template void resample(const float*, int64_t, int64_t, int64_t, Interpolation, int64_t, int64_t, std::vector<float>&);

}  // namespace tern::data::detail
