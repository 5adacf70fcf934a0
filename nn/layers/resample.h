// Images of another size. x: [N, C, H, W], f32 or f64; results have its dtype and memory format. Formulas and errors:
// tern/core/ops/resample.h.
#pragma once

#include <tern/core/ops/resample.h>
#include <tern/nn/module.h>

namespace tern::nn {

/// tern::interpolate, with a fixed size or scale_factor.
class Upsample : public Module {
 public:
  using Options = InterpolateOptions;
  /// Throws ValueError unless the options have either a size or a scale_factor, and for align_corners with kNearest.
  explicit Upsample(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return interpolate(x, options_); }
  std::string extra_text() const override;

 private:
  Options options_;
};

namespace detail {

/// A padding by what the image holds. Throws ValueError for negative amounts.
class BorderPad2d : public Module {
 public:
  struct Options {
    Sides padding = 0;  ///< left, right, top, bottom
  };
  const Options& options() const { return options_; }
  std::string extra_text() const override;

 protected:
  BorderPad2d(const char* type, const Options& options);

 private:
  Options options_;
};

}  // namespace detail

/// tern::reflection_pad2d.
struct ReflectionPad2d : detail::BorderPad2d {
  explicit ReflectionPad2d(const Options& options) : BorderPad2d("ReflectionPad2d", options) {}
  Tensor forward(const Tensor& x) override { return reflection_pad2d(x, options().padding); }
};

/// tern::replication_pad2d.
struct ReplicationPad2d : detail::BorderPad2d {
  explicit ReplicationPad2d(const Options& options) : BorderPad2d("ReplicationPad2d", options) {}
  Tensor forward(const Tensor& x) override { return replication_pad2d(x, options().padding); }
};

}  // namespace tern::nn
