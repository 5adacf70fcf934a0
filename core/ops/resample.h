// Images of another size: interpolation, and padding by what the image itself holds.
#pragma once

#include <optional>

#include <tern/core/size2.h>
#include <tern/core/tensor.h>

namespace tern {

/// How a pixel of the result is computed from x.
enum class InterpolationMode {
  kNearest,   ///< the pixel at floor(position)
  kBilinear,  ///< between the two nearest rows and columns
  kBicubic,   ///< cubic convolution over four of each (Keys, 1981, with a = -0.75)
};

/// A factor for the height and one for the width; a single number stands for both.
struct ScaleFactor {
  double h = 1;
  double w = 1;
  constexpr ScaleFactor(double both) : h(both), w(both) {}
  constexpr ScaleFactor(double height, double width) : h(height), w(width) {}
};

/// Settings of interpolate. Exactly one of size and scale_factor is given (ValueError).
struct InterpolateOptions {
  std::optional<Size2> size = std::nullopt;                ///< of the result
  std::optional<ScaleFactor> scale_factor = std::nullopt;  ///< the result has floor(size of x * factor) pixels
  InterpolationMode mode = InterpolationMode::kNearest;
  bool align_corners = false;  ///< the centres of the corner pixels of x and result coincide; not for kNearest
};

/// x at other sizes, with the coordinates of torch.nn.functional.interpolate. With r the size of x over that of the
/// result (or, where scale_factor is given, 1 / scale_factor), pixel i of the result lies in x at
///   kNearest: r i (in single precision, as there);  else: r (i + 1/2) - 1/2, for kBilinear at least 0;
///   with align_corners: i (size of x - 1) / (size of the result - 1), 0 for a single pixel.
/// Positions outside of x take its border. x: [N, C, H, W], f32 or f64; the result has its dtype and memory format.
/// Throws ShapeError for other shapes and images without pixels, DTypeError for other dtypes, ValueError for settings
/// that contradict each other, a size below 1 or not below 2^24, or a factor that is not above 0 and finite.
[[nodiscard]] Tensor interpolate(const Tensor& x, const InterpolateOptions& options);

/// Amounts of padding on each side of an image, at least 0; a single number stands for all four.
struct Sides {
  int64_t left = 0, right = 0, top = 0, bottom = 0;
  constexpr Sides() = default;
  constexpr Sides(int64_t all) : left(all), right(all), top(all), bottom(all) {}
  constexpr Sides(int64_t l, int64_t r, int64_t t, int64_t b) : left(l), right(r), top(t), bottom(b) {}
};

/// x with its own pixels around it, mirrored at the border's pixels: (3 2) 1 2 3 (2 1). x: [N, C, H, W], f32 or f64;
/// the result has its dtype and memory format. Throws ValueError for amounts that are negative or not below the size of
/// their axis; here and below ShapeError and DTypeError as interpolate.
[[nodiscard]] Tensor reflection_pad2d(const Tensor& x, const Sides& padding);

/// x with its border's pixels repeated around it: (1 1) 1 2 3 (3 3). Throws ValueError for amounts that are negative or
/// above 2^24.
[[nodiscard]] Tensor replication_pad2d(const Tensor& x, const Sides& padding);

}  // namespace tern
