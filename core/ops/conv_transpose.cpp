#include <algorithm>
#include <limits>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/ops/conv_transpose.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/detail/conv.h>

namespace tern {
namespace {

// Sizes beyond this are refused before they can overflow in the size of the result.
using detail::kMaxPixels;

int64_t output_size(int64_t in, int64_t kernel, int64_t stride, int64_t padding, int64_t output_padding,
                    int64_t dilation) {
  return (in - 1) * stride - 2 * padding + dilation * (kernel - 1) + output_padding + 1;
}

struct ConvTranspose2dBackward {
  static constexpr const char* kName = "conv_transpose2d";
  SavedTensor x, weight;
  Conv2dOptions options;

  Gradients backward(const Tensor& grad_output, NeedsGrad needs) const {
    const Tensor grad = contiguous(grad_output, MemoryFormat::kChannelsLast);
    Gradients grads(3);
    if (needs[0]) grads[0] = detail::conv_forward(grad, *weight, {x->shape()[2], x->shape()[3]}, options);
    if (needs[1]) grads[1] = detail::conv_weight_gradient(*x, grad, weight->shape(), options);
    if (needs[2]) grads[2] = detail::conv_bias_gradient(grad);
    return grads;
  }
};

void check(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias, const ConvTranspose2dOptions& o) {
  check_defined(op, x, weight);
  TERN_CHECK(x.dim() == 4, ShapeError, "[", op, "] expected an input of shape [N, C, H, W], got ", x.shape());
  TERN_CHECK(weight.dim() == 4, ShapeError, "[", op,
             "] expected a weight of shape [in_channels, out_channels / groups, kh, kw], got ", weight.shape());
  TERN_CHECK(x.dtype() == DType::kF32 || x.dtype() == DType::kF64, DTypeError, "[", op,
             "] expected an input of f32 or f64, got ", x.dtype());
  TERN_CHECK(weight.dtype() == x.dtype(), DTypeError, "[", op, "] expected a weight of the input's dtype ", x.dtype(),
             ", got ", weight.dtype());
  const auto in_range = [](Size2 size, int64_t low) {
    return size.h >= low && size.w >= low && size.h < kMaxPixels && size.w < kMaxPixels;
  };
  TERN_CHECK(in_range(o.stride, 1), ValueError, "[", op, "] expected a stride of at least 1, got ", o.stride);
  TERN_CHECK(in_range(o.padding, 0), ValueError, "[", op, "] expected a padding of at least 0, got ", o.padding);
  TERN_CHECK(in_range(o.dilation, 1), ValueError, "[", op, "] expected a dilation of at least 1, got ", o.dilation);
  TERN_CHECK(o.output_padding.h >= 0 && o.output_padding.w >= 0 &&
                 o.output_padding.h < std::max(o.stride.h, o.dilation.h) &&
                 o.output_padding.w < std::max(o.stride.w, o.dilation.w),
             ValueError, "[", op, "] expected an output_padding of at least 0 and below the larger of stride ",
             o.stride, " and dilation ", o.dilation, ", got ", o.output_padding);
  const Shape& w = weight.shape();
  TERN_CHECK(w[0] > 0 && w[1] > 0 && w[2] > 0 && w[3] > 0, ShapeError, "[", op,
             "] expected a weight with sizes of at least 1, got ", w);
  TERN_CHECK(o.groups >= 1 && w[0] % o.groups == 0, ValueError, "[", op, "] expected groups that divide the ", w[0],
             " input channels (weight is ", w, "), got ", o.groups);
  TERN_CHECK(x.shape()[1] == w[0] && x.shape()[2] > 0 && x.shape()[3] > 0, ShapeError, "[", op,
             "] expected images of at least one pixel with ", w[0], " channels (weight is ", w, "), got input ",
             x.shape());
  TERN_CHECK(x.shape()[2] < kMaxPixels && x.shape()[3] < kMaxPixels && w[2] < kMaxPixels && w[3] < kMaxPixels,
             ShapeError, "[", op, "] expected images and a kernel of fewer than 2^31 rows and columns, got input ",
             x.shape(), " and weight ", w);
  if (!bias.defined()) return;
  TERN_CHECK(bias.shape() == Shape({w[1] * o.groups}), ShapeError, "[", op, "] expected a bias of shape [",
             w[1] * o.groups, "] (weight is ", w, ", ", o.groups, " groups), got ", bias.shape());
  TERN_CHECK(bias.dtype() == x.dtype(), DTypeError, "[", op, "] expected a bias of the input's dtype ", x.dtype(),
             ", got ", bias.dtype());
}

}  // namespace

Tensor conv_transpose2d(const Tensor& input, const Tensor& weight, const Tensor& bias,
                        const ConvTranspose2dOptions& o) {
  const char* const op = ConvTranspose2dBackward::kName;
  check(op, input, weight, bias, o);
  const Shape &in = input.shape(), &w = weight.shape();
  const int64_t height = output_size(in[2], w[2], o.stride.h, o.padding.h, o.output_padding.h, o.dilation.h);
  const int64_t width = output_size(in[3], w[3], o.stride.w, o.padding.w, o.output_padding.w, o.dilation.w);
  TERN_CHECK(height > 0 && width > 0, ShapeError, "[", op, "] expected a result of at least one pixel (padding ",
             o.padding, ", weight ", w, "), got ", Size2(height, width), " from input ", in);
  const Tensor x = contiguous(input, MemoryFormat::kChannelsLast);
  const Conv2dOptions options{.stride = o.stride, .padding = o.padding, .dilation = o.dilation, .groups = o.groups};
  const Tensor y = detail::conv_input_gradient(x, weight, {in[0], w[1] * o.groups, height, width}, options,
                                               bias.defined() ? contiguous(bias.detach()) : Tensor());
  return autograd::record<ConvTranspose2dBackward>(y, {x, weight, bias},
                                                   {.x = x, .weight = weight, .options = options});
}

}  // namespace tern
