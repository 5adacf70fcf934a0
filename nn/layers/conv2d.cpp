#include <tern/nn/init.h>
#include <tern/nn/layers/conv2d.h>

namespace tern::nn {
namespace {

const Conv2d::Options& checked(const Conv2d::Options& o) {
  TERN_CHECK(o.in_channels >= 1 && o.out_channels >= 1, ValueError,
             "[Conv2d] expected in_channels and out_channels of at least 1, got ", o.in_channels, " and ",
             o.out_channels);
  TERN_CHECK(o.kernel_size.h >= 1 && o.kernel_size.w >= 1, ValueError,
             "[Conv2d] expected a kernel_size of at least 1, got ", o.kernel_size);
  TERN_CHECK(o.stride.h >= 1 && o.stride.w >= 1, ValueError, "[Conv2d] expected a stride of at least 1, got ",
             o.stride);
  TERN_CHECK(o.padding.h >= 0 && o.padding.w >= 0, ValueError, "[Conv2d] expected a padding of at least 0, got ",
             o.padding);
  TERN_CHECK(o.dilation.h >= 1 && o.dilation.w >= 1, ValueError, "[Conv2d] expected a dilation of at least 1, got ",
             o.dilation);
  TERN_CHECK(o.groups >= 1 && o.in_channels % o.groups == 0 && o.out_channels % o.groups == 0, ValueError,
             "[Conv2d] expected a number of groups that divides in_channels ", o.in_channels, " and out_channels ",
             o.out_channels, ", got ", o.groups);
  return o;
}

}  // namespace

Conv2d::Conv2d(const Options& options)
    : options_(checked(options)),
      weight(this, "weight",
             empty({options.out_channels, options.in_channels / options.groups, options.kernel_size.h,
                    options.kernel_size.w})),
      bias(this, "bias", options.bias ? empty({options.out_channels}) : Tensor()) {
  reset_parameters();
}

void Conv2d::reset_parameters() {
  Tensor w = weight.latent(), b = bias.latent();
  init::default_weight_(w);
  if (b.defined()) init::default_bias_(b, w);
}

Conv2dOptions Conv2d::conv2d_options() const {
  return {
      .stride = options_.stride, .padding = options_.padding, .dilation = options_.dilation, .groups = options_.groups};
}

Tensor Conv2d::forward(const Tensor& x) {
  return conv2d(x, weight(), bias(), conv2d_options());
}

std::string Conv2d::extra_text() const {
  const auto both = [](const Size2& size) { return size.h == size.w ? concat(size.h) : to_string(size); };
  const Options& o = options_;
  std::string text = concat(o.in_channels, ", ", o.out_channels, ", kernel_size=", both(o.kernel_size));
  if (o.stride != Size2(1)) text += concat(", stride=", both(o.stride));
  if (o.padding != Size2(0)) text += concat(", padding=", both(o.padding));
  if (o.dilation != Size2(1)) text += concat(", dilation=", both(o.dilation));
  if (o.groups != 1) text += concat(", groups=", o.groups);
  if (!o.bias) text += ", bias=false";
  return text;
}

int64_t Conv2d::macs(const Shape&, const Shape& output) const {
  return numel_of(output) * (options_.in_channels / options_.groups) * options_.kernel_size.h * options_.kernel_size.w;
}

}  // namespace tern::nn
