#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include <tern/core/error.h>
#include <tern/data/batch.h>
#include <tern/data/sampler.h>

namespace tern::data {
namespace {

// A draw of the gamma distribution: main * uniform^(1 / shape). Kept apart, as the product underflows for small shapes.
struct GammaDraw {
  double main = 0, uniform = 1;
};

// Marsaglia and Tsang, "A simple method for generating gamma variables", 2000; below 1 by their boost, U^(1 / shape).
GammaDraw gamma(double shape, Generator& random) {
  if (shape < 1) {
    const double uniform = 1 - random.uniform();
    return {gamma(shape + 1, random).main, uniform};
  }
  const double d = shape - 1.0 / 3, c = 1 / std::sqrt(9 * d);
  for (;;) {
    const double x = random.normal();
    const double v = std::pow(1 + c * x, 3);
    if (v <= 0) continue;
    if (std::log(1 - random.uniform()) < 0.5 * x * x + d - d * v + d * std::log(v)) return {d * v, 1};
  }
}

// a / (a + b) of two gamma draws; by their logarithms where a small shape leaves nothing of both, or a large one too
// much.
double beta(double alpha, Generator& random) {
  const GammaDraw a = gamma(alpha, random), b = gamma(alpha, random);
  const auto whole = [alpha](const GammaDraw& draw) {
    return alpha < 1 ? draw.main * std::pow(draw.uniform, 1 / alpha) : draw.main;
  };
  const double x = whole(a), y = whole(b);
  if (x + y > std::numeric_limits<double>::min() * 0x1p60 && std::isfinite(x + y)) return x / (x + y);
  double log_ratio = std::log(a.main) - std::log(b.main);
  if (alpha < 1) log_ratio += (std::log(a.uniform) - std::log(b.uniform)) / alpha;
  return 1 / (1 + std::exp(-log_ratio));
}

void check_options(const char* op, const MixOptions& options) {
  TERN_CHECK(std::isfinite(options.alpha) && options.alpha > 0, ValueError, "[", op, "] expected alpha above 0, got ",
             options.alpha);
  TERN_CHECK(options.classes >= 2, ValueError, "[", op, "] expected at least 2 classes, got ", options.classes);
  TERN_CHECK(options.p >= 0 && options.p <= 1, ValueError, "[", op, "] expected p in [0, 1], got ", options.p);
}

// The batch with its images row-major or channels-last and its labels dense.
Batch checked(const char* op, const Batch& batch, int64_t classes) {
  const auto& [images, labels] = batch;
  TERN_CHECK(images.dtype() == DType::kF32, DTypeError, "[", op, "] expected images of f32, got ", images.dtype());
  TERN_CHECK(images.dim() == 4, ShapeError, "[", op, "] expected images [N, C, H, W], got ", images.shape());
  TERN_CHECK(labels.dtype() == DType::kI64 && labels.dim() == 1, DTypeError, "[", op, "] expected labels i64 [N], got ",
             describe(labels));
  TERN_CHECK(labels.numel() == images.size(0), ShapeError, "[", op, "] expected a label for each of ", images.size(0),
             " images, got ", labels.numel());
  const Batch dense{images.contiguous(images.memory_format()), labels.contiguous()};
  const int64_t* label = dense.labels.data<int64_t>();
  for (int64_t i = 0; i < labels.numel(); ++i)
    TERN_CHECK(label[i] >= 0 && label[i] < classes, ValueError, "[", op, "] expected labels in [0, ", classes,
               "), got ", label[i]);
  return dense;
}

// labels[i], checked, gets the share `keep`, labels[partner[i]] the rest.
Tensor soft_labels(const Tensor& labels, int64_t classes, const std::vector<int64_t>& partner, double keep) {
  Tensor out = empty({labels.numel(), classes});
  out.fill_(0);
  const int64_t* label = labels.data<int64_t>();
  float* row = out.data<float>();
  for (int64_t i = 0; i < labels.numel(); ++i, row += classes) {
    row[label[i]] += static_cast<float>(keep);
    row[label[partner[static_cast<size_t>(i)]]] += static_cast<float>(1 - keep);
  }
  return out;
}

std::vector<int64_t> random_partners(int64_t n, Generator& random) {
  std::vector<int64_t> partner(static_cast<size_t>(n));
  std::iota(partner.begin(), partner.end(), int64_t{0});
  shuffle(partner, random);
  return partner;
}

}  // namespace

BatchTransform mixup(const MixOptions& options) {
  check_options("mixup", options);
  return [options](const Batch& given, Generator& random) -> Batch {
    const Batch batch = checked("mixup", given, options.classes);
    const int64_t n = batch.images.size(0);
    const auto partner = random_partners(n, random);
    if (random.uniform() >= options.p) return {batch.images, soft_labels(batch.labels, options.classes, partner, 1)};
    const auto keep = static_cast<float>(beta(options.alpha, random));
    Tensor mixed = empty_like(batch.images);
    const int64_t each = batch.images.numel() / std::max<int64_t>(n, 1);
    const float* from = batch.images.data<float>();
    float* out = mixed.data<float>();
    for (int64_t i = 0; i < n; ++i) {
      const float* a = from + i * each;
      const float* b = from + partner[static_cast<size_t>(i)] * each;
      for (int64_t k = 0; k < each; ++k) out[i * each + k] = keep * a[k] + (1 - keep) * b[k];
    }
    return {mixed, soft_labels(batch.labels, options.classes, partner, keep)};
  };
}

BatchTransform cutmix(const MixOptions& options) {
  check_options("cutmix", options);
  return [options](const Batch& given, Generator& random) -> Batch {
    const Batch batch = checked("cutmix", given, options.classes);
    const int64_t n = batch.images.size(0), channels = batch.images.size(1);
    const int64_t height = batch.images.size(2), width = batch.images.size(3);
    const auto partner = random_partners(n, random);
    if (random.uniform() >= options.p) return {batch.images, soft_labels(batch.labels, options.classes, partner, 1)};
    const double side = std::sqrt(1 - beta(options.alpha, random));
    const auto cut_height = static_cast<int64_t>(static_cast<double>(height) * side);
    const auto cut_width = static_cast<int64_t>(static_cast<double>(width) * side);
    const auto center_y = static_cast<int64_t>(random.below(static_cast<uint64_t>(height)));
    const auto center_x = static_cast<int64_t>(random.below(static_cast<uint64_t>(width)));
    const int64_t top = std::max<int64_t>(center_y - cut_height / 2, 0);
    const int64_t bottom = std::min(center_y - cut_height / 2 + cut_height, height);
    const int64_t left = std::max<int64_t>(center_x - cut_width / 2, 0);
    const int64_t right = std::min(center_x - cut_width / 2 + cut_width, width);
    Tensor mixed = batch.images.clone();
    const float* from = batch.images.data<float>();
    float* out = mixed.data<float>();
    const Strides& s = batch.images.strides();
    for (int64_t i = 0; i < n; ++i)
      for (int64_t c = 0; c < channels; ++c)
        for (int64_t y = top; y < bottom; ++y)
          for (int64_t x = left; x < right; ++x) {
            const int64_t at = c * s[1] + y * s[2] + x * s[3];
            out[i * s[0] + at] = from[partner[static_cast<size_t>(i)] * s[0] + at];
          }
    const int64_t cut = std::max<int64_t>(bottom - top, 0) * std::max<int64_t>(right - left, 0);
    const double keep = 1 - static_cast<double>(cut) / static_cast<double>(height * width);
    return {mixed, soft_labels(batch.labels, options.classes, partner, keep)};
  };
}

BatchTransform one_of(std::vector<BatchTransform> choices) {
  TERN_CHECK(!choices.empty(), ValueError, "[one_of] expected at least one transform, got none");
  for (size_t i = 0; i < choices.size(); ++i)
    TERN_CHECK(choices[i] != nullptr, ValueError, "[one_of] expected transforms, got an empty one at position ", i);
  return [choices = std::move(choices)](const Batch& batch, Generator& random) {
    return choices[random.below(choices.size())](batch, random);
  };
}

}  // namespace tern::data
