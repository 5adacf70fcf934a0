// Made-up images: for demonstrations and tests without a data set.
#pragma once

#include <string>
#include <vector>

#include <tern/data/dataset.h>

namespace tern::data {

/// Settings of Synthetic; sizes in pixels.
struct SyntheticOptions {
  int64_t size = 1000;  ///< number of images
  int64_t classes = 10;
  int64_t channels = 3;
  int64_t height = 32;
  int64_t width = 32;
  double noise =
      0.5;  ///< share of noise in each image, from 0 (every image is its class's pattern) to 1 (nothing to learn)
  uint64_t seed = 0;  ///< of patterns and noise
};

/// Each class has a random pattern of 4 x 4 cells; an image is its class's pattern mixed with noise of its own. Labels
/// go round: index modulo classes. Images are made when asked for and depend on seed and index alone. Throws ValueError
/// for sizes below 1 (size may be 0) and noise outside [0, 1].
class Synthetic : public Dataset {
 public:
  explicit Synthetic(const SyntheticOptions& options = {});
  int64_t size() const override { return options_.size; }
  Example get(int64_t index) const override;
  int64_t label(int64_t index) const override;
  uint64_t fingerprint() const override;  ///< of the options, which say all
  const std::vector<std::string>& class_names() const override { return names_; }

 private:
  SyntheticOptions options_;
  std::vector<std::string> names_;
  std::vector<uint8_t> patterns_;  // [classes, channels, 4, 4]
};

}  // namespace tern::data
