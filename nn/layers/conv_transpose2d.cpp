#include <algorithm>

#include <tern/nn/init.h>
#include <tern/nn/layers/conv_transpose2d.h>

namespace tern::nn {
namespace {

const ConvTranspose2d::Options& checked(const ConvTranspose2d::Options& o) {
  TERN_CHECK(o.in_channels >= 1 && o.out_channels >= 1, ValueError,
             "[ConvTranspose2d] expected in_channels and out_channels of at least 1, got ", o.in_channels, " and ",
             o.out_channels);
  TERN_CHECK(o.kernel_size.h >= 1 && o.kernel_size.w >= 1, ValueError,
             "[ConvTranspose2d] expected a kernel_size of at least 1, got ", o.kernel_size);
  TERN_CHECK(o.stride.h >= 1 && o.stride.w >= 1, ValueError, "[ConvTranspose2d] expected a stride of at least 1, got ",
             o.stride);
  TERN_CHECK(o.padding.h >= 0 && o.padding.w >= 0, ValueError,
             "[ConvTranspose2d] expected a padding of at least 0, got ", o.padding);
  TERN_CHECK(o.dilation.h >= 1 && o.dilation.w >= 1, ValueError,
             "[ConvTranspose2d] expected a dilation of at least 1, got ", o.dilation);
  TERN_CHECK(o.output_padding.h >= 0 && o.output_padding.w >= 0 &&
                 o.output_padding.h < std::max(o.stride.h, o.dilation.h) &&
                 o.output_padding.w < std::max(o.stride.w, o.dilation.w),
             ValueError, "[ConvTranspose2d] expected an output_padding of at least 0 and below the larger of stride ",
             o.stride, " and dilation ", o.dilation, ", got ", o.output_padding);
  TERN_CHECK(o.groups >= 1 && o.in_channels % o.groups == 0 && o.out_channels % o.groups == 0, ValueError,
             "[ConvTranspose2d] expected a number of groups that divides in_channels ", o.in_channels,
             " and out_channels ", o.out_channels, ", got ", o.groups);
  return o;
}

}  // namespace

ConvTranspose2d::ConvTranspose2d(const Options& options)
    : options_(checked(options)),
      weight(this, "weight",
             empty({options.in_channels, options.out_channels / options.groups, options.kernel_size.h,
                    options.kernel_size.w})),
      bias(this, "bias", options.bias ? empty({options.out_channels}) : Tensor()) {
  reset_parameters();
}

void ConvTranspose2d::reset_parameters() {
  Tensor w = weight.latent(), b = bias.latent();
  init::default_weight_(w);
  if (b.defined()) init::default_bias_(b, w);
}

Tensor ConvTranspose2d::forward(const Tensor& x) {
  return conv_transpose2d(x, weight(), bias(),
                          {.stride = options_.stride,
                           .padding = options_.padding,
                           .output_padding = options_.output_padding,
                           .dilation = options_.dilation,
                           .groups = options_.groups});
}

std::string ConvTranspose2d::extra_text() const {
  const auto both = [](const Size2& size) { return size.h == size.w ? concat(size.h) : to_string(size); };
  const Options& o = options_;
  std::string text = concat(o.in_channels, ", ", o.out_channels, ", kernel_size=", both(o.kernel_size));
  if (o.stride != Size2(1)) text += concat(", stride=", both(o.stride));
  if (o.padding != Size2(0)) text += concat(", padding=", both(o.padding));
  if (o.output_padding != Size2(0)) text += concat(", output_padding=", both(o.output_padding));
  if (o.dilation != Size2(1)) text += concat(", dilation=", both(o.dilation));
  if (o.groups != 1) text += concat(", groups=", o.groups);
  if (!o.bias) text += ", bias=false";
  return text;
}

int64_t ConvTranspose2d::macs(const Shape& input, const Shape&) const {
  return numel_of(input) * (options_.out_channels / options_.groups) * options_.kernel_size.h * options_.kernel_size.w;
}

}  // namespace tern::nn
