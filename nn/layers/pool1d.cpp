#include <tern/core/error.h>
#include <tern/nn/layers/pool1d.h>

namespace tern::nn {
namespace {

// 0 in a stride stands for the kernel_size.
template <class O>
const O& checked_window(const char* layer, const O& o) {
  TERN_CHECK(o.kernel_size >= 1, ValueError, "[", layer, "] expected a kernel_size of at least 1, got ", o.kernel_size);
  TERN_CHECK(o.stride >= 0, ValueError, "[", layer, "] expected a stride of at least 1, got ", o.stride);
  TERN_CHECK(o.padding >= 0 && o.padding <= o.kernel_size / 2, ValueError, "[", layer,
             "] expected a padding from 0 to half the kernel_size ", o.kernel_size, ", got ", o.padding);
  return o;
}

template <class O>
const O& checked_size(const char* layer, const O& o) {
  TERN_CHECK(o.output_size >= 1, ValueError, "[", layer, "] expected an output_size of at least 1, got ",
             o.output_size);
  return o;
}

template <class O>
std::string text_of_window(const O& o) {
  std::string text = concat("kernel_size=", o.kernel_size);
  if (o.stride != 0) text += concat(", stride=", o.stride);
  if (o.padding != 0) text += concat(", padding=", o.padding);
  if (o.ceil_mode) text += ", ceil_mode=true";
  return text;
}

}  // namespace

MaxPool1d::MaxPool1d(const Options& options) : options_(checked_window("MaxPool1d", options)) {
  TERN_CHECK(options.dilation >= 1, ValueError, "[MaxPool1d] expected a dilation of at least 1, got ",
             options.dilation);
}

AvgPool1d::AvgPool1d(const Options& options) : options_(checked_window("AvgPool1d", options)) {}

AdaptiveAvgPool1d::AdaptiveAvgPool1d(const Options& options) : options_(checked_size("AdaptiveAvgPool1d", options)) {}

AdaptiveMaxPool1d::AdaptiveMaxPool1d(const Options& options) : options_(checked_size("AdaptiveMaxPool1d", options)) {}

std::string MaxPool1d::extra_text() const {
  return text_of_window(options_) + (options_.dilation != 1 ? concat(", dilation=", options_.dilation) : "");
}

std::string AvgPool1d::extra_text() const {
  return text_of_window(options_) + (options_.count_include_pad ? "" : ", count_include_pad=false");
}

}  // namespace tern::nn
