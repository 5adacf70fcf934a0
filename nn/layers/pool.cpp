#include <tern/core/error.h>
#include <tern/nn/layers/pool.h>

namespace tern::nn {
namespace {

template <class O>
std::string window_text(const O& o) {
  std::string text = concat("kernel_size=", o.kernel_size);
  if (o.stride != Size2(0)) text += concat(", stride=", o.stride);
  if (o.padding != Size2(0)) text += concat(", padding=", o.padding);
  if (o.ceil_mode) text += ", ceil_mode=true";
  return text;
}

// What both kinds of windows must satisfy. 0 in a stride stands for the kernel_size.
template <class O>
const O& checked(const char* layer, const O& o) {
  TERN_CHECK(o.kernel_size.h >= 1 && o.kernel_size.w >= 1, ValueError, "[", layer,
             "] expected a kernel_size of at least 1, got ", o.kernel_size);
  TERN_CHECK(o.stride.h >= 0 && o.stride.w >= 0, ValueError, "[", layer, "] expected a stride of at least 1, got ",
             o.stride);
  TERN_CHECK(o.padding.h >= 0 && o.padding.w >= 0, ValueError, "[", layer, "] expected a padding of at least 0, got ",
             o.padding);
  TERN_CHECK(o.padding.h <= o.kernel_size.h / 2 && o.padding.w <= o.kernel_size.w / 2, ValueError, "[", layer,
             "] expected a padding of at most half the kernel_size ", o.kernel_size, ", got ", o.padding);
  return o;
}

}  // namespace

MaxPool2d::MaxPool2d(const Options& options) : options_(checked("MaxPool2d", options)) {
  TERN_CHECK(options.dilation.h >= 1 && options.dilation.w >= 1, ValueError,
             "[MaxPool2d] expected a dilation of at least 1, got ", options.dilation);
}

AvgPool2d::AvgPool2d(const Options& options) : options_(checked("AvgPool2d", options)) {}

AdaptiveAvgPool2d::AdaptiveAvgPool2d(const Options& options) : options_(options) {
  TERN_CHECK(options.output_size.h >= 1 && options.output_size.w >= 1, ValueError,
             "[AdaptiveAvgPool2d] expected an output_size of at least 1, got ", options.output_size);
}

AdaptiveMaxPool2d::AdaptiveMaxPool2d(const Options& options) : options_(options) {
  TERN_CHECK(options.output_size.h >= 1 && options.output_size.w >= 1, ValueError,
             "[AdaptiveMaxPool2d] expected an output_size of at least 1, got ", options.output_size);
}

std::string MaxPool2d::extra_text() const {
  std::string text = window_text(options_);
  if (options_.dilation != Size2(1)) text += concat(", dilation=", options_.dilation);
  return text;
}

std::string AvgPool2d::extra_text() const {
  std::string text = window_text(options_);
  if (!options_.count_include_pad) text += ", count_include_pad=false";
  return text;
}

std::string AdaptiveAvgPool2d::extra_text() const {
  return concat("output_size=", options_.output_size);
}

std::string AdaptiveMaxPool2d::extra_text() const {
  return concat("output_size=", options_.output_size);
}

}  // namespace tern::nn
