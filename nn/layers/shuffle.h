// Channels into pixels and back, and channels among groups. Formulas and errors: tern/core/ops/shuffle.h. Making one
// throws ValueError for a number below 1.
#pragma once

#include <tern/core/error.h>
#include <tern/core/ops/shuffle.h>
#include <tern/nn/module.h>

namespace tern::nn {

/// tern::pixel_shuffle. x: [N, C upscale_factor^2, H, W].
class PixelShuffle : public Module {
 public:
  struct Options {
    int64_t upscale_factor = 1;
  };
  explicit PixelShuffle(const Options& options) : options_(options) {
    TERN_CHECK(options.upscale_factor >= 1, ValueError, "[PixelShuffle] expected an upscale_factor of at least 1, got ",
               options.upscale_factor);
  }
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return pixel_shuffle(x, options_.upscale_factor); }
  std::string extra_text() const override { return concat("upscale_factor=", options_.upscale_factor); }

 private:
  Options options_;
};

/// tern::pixel_unshuffle. x: [N, C, H downscale_factor, W downscale_factor].
class PixelUnshuffle : public Module {
 public:
  struct Options {
    int64_t downscale_factor = 1;
  };
  explicit PixelUnshuffle(const Options& options) : options_(options) {
    TERN_CHECK(options.downscale_factor >= 1, ValueError,
               "[PixelUnshuffle] expected a downscale_factor of at least 1, got ", options.downscale_factor);
  }
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return pixel_unshuffle(x, options_.downscale_factor); }
  std::string extra_text() const override { return concat("downscale_factor=", options_.downscale_factor); }

 private:
  Options options_;
};

/// tern::channel_shuffle. x: [N, C, H, W], groups divides C.
class ChannelShuffle : public Module {
 public:
  struct Options {
    int64_t groups = 1;
  };
  explicit ChannelShuffle(const Options& options) : options_(options) {
    TERN_CHECK(options.groups >= 1, ValueError, "[ChannelShuffle] expected groups of at least 1, got ", options.groups);
  }
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return channel_shuffle(x, options_.groups); }
  std::string extra_text() const override { return concat("groups=", options_.groups); }

 private:
  Options options_;
};

}  // namespace tern::nn
