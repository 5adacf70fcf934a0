#include <tern/nn/pool.h>

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

}  // namespace

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

}  // namespace tern::nn
