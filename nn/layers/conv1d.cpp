#include <tern/nn/init.h>
#include <tern/nn/layers/conv1d.h>

namespace tern::nn {
namespace {

const Conv1d::Options& checked(const Conv1d::Options& o) {
  TERN_CHECK(o.in_channels >= 1 && o.out_channels >= 1, ValueError,
             "[Conv1d] expected in_channels and out_channels of at least 1, got ", o.in_channels, " and ",
             o.out_channels);
  TERN_CHECK(o.kernel_size >= 1 && o.stride >= 1 && o.dilation >= 1, ValueError,
             "[Conv1d] expected a kernel_size, stride and dilation of at least 1, got ", o.kernel_size, ", ", o.stride,
             " and ", o.dilation);
  TERN_CHECK(o.padding >= 0, ValueError, "[Conv1d] expected a padding of at least 0, got ", o.padding);
  TERN_CHECK(o.groups >= 1 && o.in_channels % o.groups == 0 && o.out_channels % o.groups == 0, ValueError,
             "[Conv1d] expected a number of groups that divides in_channels ", o.in_channels, " and out_channels ",
             o.out_channels, ", got ", o.groups);
  return o;
}

}  // namespace

Conv1d::Conv1d(const Options& options)
    : options_(checked(options)),
      weight(this, "weight", empty({options.out_channels, options.in_channels / options.groups, options.kernel_size})),
      bias(this, "bias", options.bias ? empty({options.out_channels}) : Tensor()) {
  reset_parameters();
}

void Conv1d::reset_parameters() {
  Tensor w = weight.latent(), b = bias.latent();
  init::default_weight_(w);
  if (b.defined()) init::default_bias_(b, w);
}

Tensor Conv1d::forward(const Tensor& x) {
  return conv1d(x, weight(), bias(),
                {.stride = options_.stride,
                 .padding = options_.padding,
                 .dilation = options_.dilation,
                 .groups = options_.groups});
}

std::string Conv1d::extra_text() const {
  const Options& o = options_;
  std::string text = concat(o.in_channels, ", ", o.out_channels, ", kernel_size=", o.kernel_size);
  if (o.stride != 1) text += concat(", stride=", o.stride);
  if (o.padding != 0) text += concat(", padding=", o.padding);
  if (o.dilation != 1) text += concat(", dilation=", o.dilation);
  if (o.groups != 1) text += concat(", groups=", o.groups);
  if (!o.bias) text += ", bias=false";
  return text;
}

int64_t Conv1d::macs(const Shape&, const Shape& output) const {
  return numel_of(output) * (options_.in_channels / options_.groups) * options_.kernel_size;
}

}  // namespace tern::nn
