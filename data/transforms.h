// What happens to an image between the data set and the batch. A Transform is a chain of steps; the functions below
// make chains of one step, compose joins them:
//
//   auto train = data::compose(data::random_crop(32, 4), data::horizontal_flip(), data::normalize(mean, std));
//
// Images start as bytes (0 to 255) and end as f32; bytes that nothing has turned into f32 before end as p / 255. Crops,
// flips and normalisation move no pixels until the image is written into its batch. Sizes are in pixels, from 1 to
// 32768; functions throw ValueError for settings out of range.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <tern/core/random.h>
#include <tern/core/tensor.h>

namespace tern::data {

namespace detail {
class Image;
/// One step of a chain. Steps are shared between threads: apply() must not change the step.
class TransformStep {
 public:
  virtual ~TransformStep() = default;
  virtual void apply(Image& image, Generator& random) const = 0;
};
}  // namespace detail

/// A chain of steps; empty: bytes become p / 255. Cheap to copy.
class Transform {
 public:
  Transform() = default;
  explicit Transform(std::shared_ptr<const detail::TransformStep> step) { steps_.push_back(std::move(step)); }

  /// Applies the chain to one image, u8 or f32 [C, H, W]; the result is f32 [C, H', W']. Throws DTypeError for other
  /// dtypes, ShapeError for other or empty shapes, and what the steps throw.
  Tensor operator()(const Tensor& image, Generator& random) const;
  void apply(detail::Image& image, Generator& random) const {
    for (const auto& step : steps_) step->apply(image, random);
  }
  /// This chain, then another.
  Transform then(const Transform& next) const;
  bool empty() const { return steps_.empty(); }

 private:
  std::vector<std::shared_ptr<const detail::TransformStep>> steps_;
};

/// The chains one after another.
template <class... Chains>
Transform compose(const Chains&... chains) {
  Transform all;
  ((all = all.then(chains)), ...);
  return all;
}

/// Pads all sides by `padding` zeros (0 to 32768) and cuts a square of `size` at a random place. When applied,
/// ValueError for an image that is smaller than the square even with its padding.
Transform random_crop(int64_t size, int64_t padding = 0);

/// Swaps left and right with probability p in [0, 1].
Transform horizontal_flip(double p = 0.5);

/// (v - mean[c]) / std[c] where v is p / 255 for bytes. One finite value a channel; std above 0; an image with another
/// number of channels is a ShapeError.
Transform normalize(const std::vector<double>& mean, const std::vector<double>& std);

/// Bytes become f32 p / 255; f32 stays.
Transform to_float();

/// How pixels between pixels are computed.
enum class Interpolation {
  kBilinear,
  kBicubic,  ///< Keys' kernel with a = -0.5
};

/// Scales the shorter side to `size`, keeping proportions (the longer side is cut to whole pixels). Shrinking averages
/// over all pixels it covers, as PIL and torchvision's antialias do. When applied, ValueError for a longer side beyond
/// 32768.
Transform resize(int64_t size, Interpolation interpolation = Interpolation::kBilinear);
/// Scales to height x width.
Transform resize_to(int64_t height, int64_t width, Interpolation interpolation = Interpolation::kBilinear);

/// The square of `size` in the middle; a smaller image is padded with zeros.
Transform center_crop(int64_t size);

/// Zeroes `holes` squares of side `size` around random pixels, cut at the borders (DeVries and Taylor, 2017). After
/// normalize 0 is the mean, before it black. holes: at least 1.
Transform cutout(int64_t size, int64_t holes = 1);

/// How far color_jitter goes; all at least 0.
struct ColorJitterOptions {
  double brightness = 0;  ///< each factor is drawn from [max(0, 1 - v), 1 + v]
  double contrast = 0;
  double saturation = 0;
  double hue = 0;  ///< shift drawn from [-hue, hue], of a full turn; at most 0.5
};
/// Changes the four in random order, as torchvision's ColorJitter (color.h has them one by one). Must stand before
/// normalize (StateError); saturation and hue need 3 channels (ShapeError). The image is f32 in [0, 1] afterwards.
Transform color_jitter(const ColorJitterOptions& options);

/// A step of your own, from u8 or f32 [C, H, W] (what the steps before left) to u8 or f32 [C, H', W']. It is called
/// from loader threads. `random` is this image's own stream: drawing from it keeps epochs repeatable. What it throws
/// comes out of the loader; DTypeError and ShapeError for another result. Throws ValueError for an empty function.
Transform custom(std::function<Tensor(const Tensor& image, Generator& random)> function);

}  // namespace tern::data
