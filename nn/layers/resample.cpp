#include <tern/core/error.h>
#include <tern/nn/layers/resample.h>

namespace tern::nn {

Upsample::Upsample(const Options& options) : options_(options) {
  TERN_CHECK(options.size.has_value() != options.scale_factor.has_value(), ValueError,
             "[Upsample] expected either a size or a scale_factor, got ", options.size ? "both" : "neither");
  TERN_CHECK(!options.align_corners || options.mode != InterpolationMode::kNearest, ValueError,
             "[Upsample] expected align_corners with bilinear or bicubic interpolation only, got it with nearest");
}

std::string Upsample::extra_text() const {
  const Options& o = options_;
  std::string text =
      o.size ? concat("size=", *o.size) : concat("scale_factor=[", o.scale_factor->h, ", ", o.scale_factor->w, "]");
  const char* mode = o.mode == InterpolationMode::kNearest    ? "nearest"
                     : o.mode == InterpolationMode::kBilinear ? "bilinear"
                                                              : "bicubic";
  text += concat(", mode=", mode);
  if (o.align_corners) text += ", align_corners=true";
  return text;
}

namespace detail {

BorderPad2d::BorderPad2d(const char* type, const Options& options) : options_(options) {
  const Sides& p = options.padding;
  TERN_CHECK(p.left >= 0 && p.right >= 0 && p.top >= 0 && p.bottom >= 0, ValueError, "[", type,
             "] expected amounts of at least 0, got [", p.left, ", ", p.right, ", ", p.top, ", ", p.bottom, "]");
}

std::string BorderPad2d::extra_text() const {
  const Sides& p = options_.padding;
  return concat("padding=[", p.left, ", ", p.right, ", ", p.top, ", ", p.bottom, "]");
}

}  // namespace detail

}  // namespace tern::nn
