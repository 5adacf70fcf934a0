#include <cmath>
#include <limits>
#include <vector>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/kernels/resample.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/detail/image.h>
#include <tern/core/ops/resample.h>
#include <tern/core/ops/shape.h>

namespace tern {
namespace {

constexpr int64_t kMaxSide = int64_t{1} << 24;  // along an axis: tables hold what each pixel sees

// What the output positions of an axis see, owned.
struct Taps {
  std::vector<int64_t> begin{0}, index;
  std::vector<double> weight;

  void add(int64_t position, double w) {
    index.push_back(position);
    weight.push_back(w);
  }
  void end_position() { begin.push_back(static_cast<int64_t>(index.size())); }
  int64_t positions() const { return static_cast<int64_t>(begin.size()) - 1; }
  ResampleAxis axis() const { return {begin.data(), index.data(), weight.data()}; }

  /// What the `size` input positions are seen by, in the order of the outputs.
  Taps transposed(int64_t size) const {
    Taps t;
    t.begin.assign(static_cast<size_t>(size) + 1, 0);
    for (const int64_t i : index) ++t.begin[static_cast<size_t>(i) + 1];
    for (size_t i = 1; i < t.begin.size(); ++i) t.begin[i] += t.begin[i - 1];
    t.index.resize(index.size());
    t.weight.resize(index.size());
    std::vector<int64_t> next(t.begin.begin(), t.begin.end() - 1);
    for (int64_t o = 0; o < positions(); ++o)
      for (int64_t k = begin[static_cast<size_t>(o)]; k < begin[static_cast<size_t>(o) + 1]; ++k) {
        const size_t from = static_cast<size_t>(k);
        const size_t to = static_cast<size_t>(next[static_cast<size_t>(index[from])]++);
        t.index[to] = o;
        t.weight[to] = weight[from];
      }
    return t;
  }
};

// Pixels of the result per pixel of x are 1 / ratio.
double ratio_of(int64_t in, int64_t out, std::optional<double> factor) {
  return factor ? 1 / *factor : static_cast<double>(in) / static_cast<double>(out);
}

// In single precision whatever the dtype, as in PyTorch: other roundings would choose other pixels.
Taps nearest_taps(int64_t in, int64_t out, std::optional<double> factor) {
  const float ratio = factor ? static_cast<float>(1 / *factor) : static_cast<float>(in) / static_cast<float>(out);
  Taps taps;
  for (int64_t i = 0; i < out; ++i) {
    int64_t at = static_cast<int64_t>(std::floor(static_cast<float>(i) * ratio));
    if (in == out) at = i;
    if (out == 2 * in) at = i / 2;
    taps.add(std::min(at, in - 1), 1);
    taps.end_position();
  }
  return taps;
}

double position_of(int64_t i, int64_t in, int64_t out, std::optional<double> factor, bool align_corners) {
  if (!align_corners) return ratio_of(in, out, factor) * (static_cast<double>(i) + 0.5) - 0.5;
  return out > 1 ? static_cast<double>(i) * (static_cast<double>(in - 1) / static_cast<double>(out - 1)) : 0;
}

Taps linear_taps(int64_t in, int64_t out, std::optional<double> factor, bool align_corners) {
  Taps taps;
  for (int64_t i = 0; i < out; ++i) {
    const double at = std::max(position_of(i, in, out, factor, align_corners), 0.0);
    const int64_t low = std::min(static_cast<int64_t>(at), in - 1), high = std::min(low + 1, in - 1);
    const double share = std::clamp(at - static_cast<double>(low), 0.0, 1.0);
    taps.add(low, 1 - share);
    taps.add(high, share);
    taps.end_position();
  }
  return taps;
}

Taps cubic_taps(int64_t in, int64_t out, std::optional<double> factor, bool align_corners) {
  constexpr double kA = -0.75;
  const auto near = [](double d) { return ((kA + 2) * d - (kA + 3)) * d * d + 1; };
  const auto far = [](double d) { return ((kA * d - 5 * kA) * d + 8 * kA) * d - 4 * kA; };
  Taps taps;
  for (int64_t i = 0; i < out; ++i) {
    const double at = position_of(i, in, out, factor, align_corners), floor = std::floor(at), t = at - floor;
    const int64_t middle = static_cast<int64_t>(floor);
    const double weights[] = {far(t + 1), near(t), near(1 - t), far(2 - t)};
    for (int64_t k = 0; k < 4; ++k) taps.add(std::clamp<int64_t>(middle - 1 + k, 0, in - 1), weights[k]);
    taps.end_position();
  }
  return taps;
}

Taps taps_of(const InterpolateOptions& o, int64_t in, int64_t out, std::optional<double> factor) {
  switch (o.mode) {
    case InterpolationMode::kBilinear:
      return linear_taps(in, out, factor, o.align_corners);
    case InterpolationMode::kBicubic:
      return cubic_taps(in, out, factor, o.align_corners);
    default:
      return nearest_taps(in, out, factor);
  }
}

Tensor apply(const Tensor& x, const Taps& rows, const Taps& columns, MemoryFormat format) {
  const Shape& s = x.shape();
  const PoolImages images{
      s[0], s[1], s[2], s[3], rows.positions(), columns.positions(), format == MemoryFormat::kChannelsLast};
  Tensor y = empty({s[0], s[1], images.out_h, images.out_w}, x.dtype(), format);
  dispatch_float("interpolate", x.dtype(), [&]<class T>() {
    TERN_KERNEL(resample<T>)(images, rows.axis(), columns.axis(), x.data<T>(), y.data<T>());
  });
  return y;
}

struct ResampleBackward {
  const char* name = nullptr;
  Taps rows, columns;
  int64_t height = 0, width = 0;  ///< of the input
  MemoryFormat format = MemoryFormat::kContiguous;
  Gradients backward(const Tensor& grad_output) const {
    const Tensor g = contiguous(grad_output, format);
    return {apply(g, rows.transposed(height), columns.transposed(width), format)};
  }
};

Tensor resampled(const char* op, const Tensor& input, Taps rows, Taps columns) {
  const MemoryFormat format = input.memory_format();
  const Tensor x = contiguous(input, format);
  const Tensor y = apply(x, rows, columns, format);
  return autograd::record<ResampleBackward>(y, {x},
                                            {.name = op,
                                             .rows = std::move(rows),
                                             .columns = std::move(columns),
                                             .height = x.shape()[2],
                                             .width = x.shape()[3],
                                             .format = format});
}

// The result for no images, of any size: no table of positions is made for it.
Tensor of_no_images(const Tensor& x, int64_t height, int64_t width) {
  return reshape(x, {0, x.shape()[1], height, width});
}

// Padding whose position i, counted from the input's first, holds the input's position source(i).
template <class Source>
Tensor padded(const char* op, const Tensor& x, const Sides& p, const Source& source) {
  if (x.numel() == 0) return of_no_images(x, x.shape()[2] + p.top + p.bottom, x.shape()[3] + p.left + p.right);
  const auto taps = [&](int64_t before, int64_t size, int64_t after) {
    Taps t;
    for (int64_t i = -before; i < size + after; ++i) {
      t.add(source(i, size), 1);
      t.end_position();
    }
    return t;
  };
  return resampled(op, x, taps(p.top, x.shape()[2], p.bottom), taps(p.left, x.shape()[3], p.right));
}

void check_sides(const char* op, const Sides& p, int64_t most_across, int64_t most_down) {
  const auto within = [](int64_t amount, int64_t most) { return amount >= 0 && amount <= most; };
  TERN_CHECK(within(p.left, most_across) && within(p.right, most_across) && within(p.top, most_down) &&
                 within(p.bottom, most_down),
             ValueError, "[", op, "] expected amounts from 0 to ", most_across, " on the left and right and to ",
             most_down, " at the top and bottom, got [", p.left, ", ", p.right, ", ", p.top, ", ", p.bottom, "]");
}

}  // namespace

Tensor interpolate(const Tensor& x, const InterpolateOptions& o) {
  const char* const op = "interpolate";
  detail::check_images(op, x);
  TERN_CHECK(o.size.has_value() != o.scale_factor.has_value(), ValueError, "[", op,
             "] expected either a size or a scale_factor, got ", o.size ? "both" : "neither");
  TERN_CHECK(!o.align_corners || o.mode != InterpolationMode::kNearest, ValueError, "[", op,
             "] expected align_corners with bilinear or bicubic interpolation only, got it with nearest");
  Size2 size = o.size.value_or(Size2(0));
  std::optional<double> factor_h, factor_w;
  if (o.scale_factor) {
    factor_h = o.scale_factor->h, factor_w = o.scale_factor->w;
    const auto usable = [](double f) { return f > 0 && std::isfinite(f); };
    TERN_CHECK(usable(*factor_h) && usable(*factor_w), ValueError, "[", op, "] expected a scale_factor above 0, got [",
               *factor_h, ", ", *factor_w, "]");
    const auto scaled = [](int64_t pixels, double f) {
      return static_cast<int64_t>(std::min(std::floor(static_cast<double>(pixels) * f), 0x1p62));
    };
    size = {scaled(x.shape()[2], *factor_h), scaled(x.shape()[3], *factor_w)};
  }
  TERN_CHECK(size.h >= 1 && size.w >= 1 && size.h < kMaxSide && size.w < kMaxSide, ValueError, "[", op,
             "] expected a size of at least 1 and below 2^24, got ", size, " from input ", x.shape());
  if (x.numel() == 0) return of_no_images(x, size.h, size.w);
  return resampled(op, x, taps_of(o, x.shape()[2], size.h, factor_h), taps_of(o, x.shape()[3], size.w, factor_w));
}

Tensor reflection_pad2d(const Tensor& x, const Sides& padding) {
  const char* const op = "reflection_pad2d";
  detail::check_images(op, x);
  check_sides(op, padding, x.shape()[3] - 1, x.shape()[2] - 1);
  return padded(op, x, padding, [](int64_t i, int64_t size) {
    const int64_t from_front = std::abs(i);
    return from_front < size ? from_front : 2 * (size - 1) - from_front;
  });
}

Tensor replication_pad2d(const Tensor& x, const Sides& padding) {
  const char* const op = "replication_pad2d";
  detail::check_images(op, x);
  check_sides(op, padding, kMaxSide, kMaxSide);
  return padded(op, x, padding, [](int64_t i, int64_t size) { return std::clamp<int64_t>(i, 0, size - 1); });
}

}  // namespace tern
