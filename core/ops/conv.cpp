#include <numeric>
#include <type_traits>
#include <vector>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/kept_forms.h>
#include <tern/core/kernels/batch_norm.h>
#include <tern/core/kernels/conv_direct.h>
#include <tern/core/kernels/conv_grouped.h>
#include <tern/core/kernels/conv_weight_grad.h>
#include <tern/core/linalg/blas.h>
#include <tern/core/ops/conv.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/detail/conv.h>
#include <tern/core/ops/detail/elementwise.h>
#include <tern/core/ops/detail/winograd_plan.h>
#include <tern/core/ops/shape.h>
#include <tern/core/scratch.h>

namespace tern {
namespace {

int64_t output_size(int64_t in, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation) {
  const int64_t room = in + 2 * padding - dilation * (kernel - 1) - 1;
  return room < 0 ? 0 : room / stride + 1;
}

Size2 output_size(const Shape& x_shape, const Shape& weight_shape, const Conv2dOptions& o) {
  return {output_size(x_shape[2], weight_shape[2], o.stride.h, o.padding.h, o.dilation.h),
          output_size(x_shape[3], weight_shape[3], o.stride.w, o.padding.w, o.dilation.w)};
}

// The forward convolution as the kernels see it. x_shape [N, C, H, W], weight_shape [O, C / groups, kh, kw].
DirectConv forward_conv(const Shape& x_shape, const Shape& weight_shape, Size2 out, const Conv2dOptions& o) {
  DirectConv c;
  c.batch = x_shape[0];
  c.groups = o.groups;
  c.in_h = x_shape[2];
  c.in_w = x_shape[3];
  c.in_pixel = x_shape[1];
  c.channels = weight_shape[1];
  c.taps_h = weight_shape[2];
  c.taps_w = weight_shape[3];
  c.out_h = out.h;
  c.out_w = out.w;
  c.out_pixel = weight_shape[0];
  c.out_row = c.out_w * c.out_pixel;
  c.out_image = c.out_h * c.out_row;
  c.out_channels = weight_shape[0] / o.groups;
  c.step_h = o.stride.h;
  c.step_w = o.stride.w;
  c.dilation_h = o.dilation.h;
  c.dilation_w = o.dilation.w;
  c.first_h = -o.padding.h;
  c.first_w = -o.padding.w;
  return c;
}

WeightStrides strides_of(const Tensor& weight, const DirectConv& c) {
  const Strides& s = weight.strides();
  return {0, c.out_channels * s[0], s[0], s[1], s[2], s[3]};
}

// The convolution itself, of whichever kind. weights: at the strides; what they are packed into is kept beside the
// memory of `keeper`, if that is defined.
template <class T>
void convolve(const DirectConv& c, const T* x, const T* weights, const WeightStrides& strides, const Tensor& keeper,
              const ConvFinish<T>& finish, T* y) {
  const auto packed = [&](detail::Form form, int64_t variant, int64_t elements, const auto& pack) {
    const auto make = [&] {
      Tensor made = empty({elements}, dtype_of<T>());
      pack(made.data<T>());
      return made;
    };
    return keeper.defined() ? detail::kept_form(keeper, form, variant, make) : make();
  };
  if constexpr (std::is_same_v<T, float>) {
    if (const WinogradPlan plan = winograd_plan(c, false, keeper.defined()); plan.tile > 0) {
      const Tensor w = packed(detail::Form::kConvWinograd, plan.tile, plan.elements, [&](float* to) {
        TERN_KERNEL(winograd_pack)(c, plan, weights, strides, to);
      });
      TERN_KERNEL(conv_winograd)(c, plan, x, w.data<float>(), finish, y);
      return;
    }
  }
  if (is_grouped_conv(c)) {
    const Tensor w = packed(detail::Form::kConvGrouped, c.groups, c.depth() * c.groups * c.out_channels, [&](T* to) {
      TERN_KERNEL(conv_grouped_pack<T>)(c, weights, strides, to);
    });
    TERN_KERNEL(conv_grouped<T>)(c, x, w.data<T>(), finish, y);
    return;
  }
  const Tensor w = packed(detail::Form::kConvDirect, c.groups, c.groups * c.packed_group(), [&](T* to) {
    TERN_KERNEL(conv_pack<T>)(c, weights, strides, to);
  });
  TERN_KERNEL(conv_direct<T>)(c, x, w.data<T>(), finish, y);
}

// The taps of one axis that reach the input positions phase, phase + stride, ...: tap first, first - dilation', ... in
// the order in which they walk up the output.
struct Phase {
  int64_t taps = 0, last_tap = 0, tap_step = 1;
  int64_t dilation = 1, first = 0;  ///< output position of the first one, for the phase's first input position
};

std::vector<Phase> phases_of(int64_t in, int64_t kernel, int64_t stride, int64_t padding, int64_t dilation) {
  const int64_t count = std::min(stride, in);
  std::vector<Phase> phases(static_cast<size_t>(count));
  for (int64_t i = 0; i < count; ++i) {
    Phase& p = phases[static_cast<size_t>(i)];
    p.tap_step = stride / std::gcd(stride, dilation);
    p.dilation = dilation * p.tap_step / stride;
    for (int64_t tap = 0; tap < kernel; ++tap) {
      if ((i + padding - tap * dilation) % stride != 0) continue;
      ++p.taps;
      p.last_tap = tap;
      p.first = (i + padding - tap * dilation) / stride;
    }
  }
  return phases;
}

Size2 image_size(const Tensor& images) {
  return {images.shape()[2], images.shape()[3]};
}

// Gradient of the input: for each phase of the stride a convolution of the output's gradient, with the taps that reach
// that phase, in reverse, and the roles of the channels exchanged. A bias is added to every pixel.
template <class T>
Tensor grad_input(const Tensor& grad, const Tensor& weight, const Shape& x_shape, const Conv2dOptions& o,
                  const Tensor& bias = {}) {
  const DirectConv f = forward_conv(x_shape, weight.shape(), image_size(grad), o);
  Tensor grad_x = empty(x_shape, weight.dtype(), MemoryFormat::kChannelsLast);
  const auto row_phases = phases_of(f.in_h, f.taps_h, o.stride.h, o.padding.h, o.dilation.h);
  const auto column_phases = phases_of(f.in_w, f.taps_w, o.stride.w, o.padding.w, o.dilation.w);
  const auto unreached = [](const Phase& p) { return p.taps == 0; };
  if (std::any_of(row_phases.begin(), row_phases.end(), unreached) ||
      std::any_of(column_phases.begin(), column_phases.end(), unreached)) {
    if (bias.defined())
      grad_x.copy_(reshape(bias, {1, f.in_pixel, 1, 1}));
    else
      grad_x.zero_();
  }
  const WeightStrides s = strides_of(weight, f);
  for (int64_t a = 0; a < o.stride.h && a < f.in_h; ++a) {
    const Phase& rows = row_phases[static_cast<size_t>(a)];
    for (int64_t b = 0; b < o.stride.w && b < f.in_w; ++b) {
      const Phase& columns = column_phases[static_cast<size_t>(b)];
      if (rows.taps == 0 || columns.taps == 0) continue;
      DirectConv c;
      c.batch = f.batch;
      c.groups = f.groups;
      c.in_h = f.out_h;
      c.in_w = f.out_w;
      c.in_pixel = f.out_pixel;
      c.channels = f.out_channels;
      c.out_channels = f.channels;
      c.out_h = (f.in_h - a + o.stride.h - 1) / o.stride.h;
      c.out_w = (f.in_w - b + o.stride.w - 1) / o.stride.w;
      c.out_pixel = o.stride.w * f.in_pixel;
      c.out_row = o.stride.h * f.in_w * f.in_pixel;
      c.out_image = f.in_h * f.in_w * f.in_pixel;
      c.taps_h = rows.taps;
      c.taps_w = columns.taps;
      c.dilation_h = rows.dilation;
      c.dilation_w = columns.dilation;
      c.first_h = rows.first;
      c.first_w = columns.first;
      const WeightStrides reversed{rows.last_tap * s.tap_h + columns.last_tap * s.tap_w,
                                   s.group,
                                   s.in,
                                   s.out,
                                   -rows.tap_step * s.tap_h,
                                   -columns.tap_step * s.tap_w};
      T* to = grad_x.data<T>() + (a * f.in_w + b) * f.in_pixel;
      convolve<T>(c, grad.data<T>(), weight.data<T>(), reversed, {},
                  {.bias = bias.defined() ? bias.data<T>() : nullptr, .residual = nullptr, .relu = false}, to);
    }
  }
  return grad_x;
}

// Parts of the batch that are summed by themselves: as many as keep the partial gradients within a megabyte, at least
// four and at most 32.
WeightGradPlan plan_weight_grad(const DirectConv& c, int64_t element_bytes) {
  WeightGradPlan plan;
  plan.elements = c.groups * c.packed_group();
  plan.count = std::clamp<int64_t>((int64_t{1} << 20) / (plan.elements * element_bytes + 1), 4, 32);
  plan.count = std::max<int64_t>(std::min(plan.count, c.batch * c.out_h), 1);
  return plan;
}

// Where the weights are large, partial gradients would cost more than they save: the work is shared out by taps and
// input channels instead, each a matrix product over all positions.
constexpr int64_t kLargeWeightBytes = 512 << 10;
constexpr int64_t kGatherPositions = 1024;
constexpr int64_t kGatherChannels = 128;

template <class T>
void grad_weight_by_products(const DirectConv& c, const T* grad, const T* x, T* sums) {
  const int64_t positions = c.batch * c.out_h * c.out_w;
  const int64_t blocks = (c.channels + kGatherChannels - 1) / kGatherChannels;
  parallel_for(c.taps_h * c.taps_w * blocks, 1, [&](int64_t task, int64_t) {
    const int64_t tap = task / blocks, first = task % blocks * kGatherChannels;
    const int64_t count = std::min(kGatherChannels, c.channels - first);
    T* columns = static_cast<T*>(thread_scratch(kGatherPositions * count * static_cast<int64_t>(sizeof(T))));
    T* to = sums + (tap * c.channels + first) * c.out_channels;
    std::fill_n(to, count * c.out_channels, T(0));
    for (int64_t begin = 0; begin < positions; begin += kGatherPositions) {
      const int64_t end = std::min(begin + kGatherPositions, positions);
      TERN_KERNEL(conv_gather<T>)(c, tap / c.taps_w, tap % c.taps_w, first, count, begin, end, x, columns);
      blas::gemm(true, false, count, c.out_channels, end - begin, T(1), columns, count, grad + begin * c.out_channels,
                 c.out_channels, T(1), to, c.out_channels);
    }
  });
}

template <class T>
Tensor grad_weight(const Tensor& grad, const Tensor& x, const Shape& weight_shape, const Conv2dOptions& o) {
  const DirectConv c = forward_conv(x.shape(), weight_shape, image_size(grad), o);
  Tensor grad_w = empty(weight_shape, x.dtype());
  const WeightStrides strides = strides_of(grad_w, c);
  if (is_grouped_conv(c)) {
    const WeightGradPlan plan = plan_weight_grad(c, sizeof(T));
    Tensor partials = empty({plan.count, plan.elements}, x.dtype());
    Tensor sums = empty({c.taps_h, c.taps_w, c.channels, c.groups * c.out_channels}, x.dtype());
    TERN_KERNEL(conv_grouped_weight_grad<T>)
    (c, plan, x.data<T>(), grad.data<T>(), partials.data<T>(), sums.data<T>());
    return contiguous(permute(sums, {3, 2, 0, 1}));
  }
  if constexpr (std::is_same_v<T, float>) {
    if (const WinogradPlan plan = winograd_plan(c, true); plan.tile > 0) {
      Tensor partials = empty({plan.parts, plan.elements});
      TERN_KERNEL(winograd_weight_grad)
      (c, plan, x.data<float>(), grad.data<float>(), partials.data<float>(), grad_w.data<float>(), strides);
      return grad_w;
    }
  }
  if (c.groups == 1 && c.channels >= kGatherChannels / 2 && grad_w.bytes() > kLargeWeightBytes) {
    Tensor sums = empty({c.depth(), c.out_channels}, x.dtype());
    grad_weight_by_products(c, grad.data<T>(), x.data<T>(), sums.data<T>());
    TERN_KERNEL(conv_store_weight_grad<T>)(c, 1, 0, c.out_channels, sums.data<T>(), grad_w.data<T>(), strides);
    return grad_w;
  }
  const WeightGradPlan plan = plan_weight_grad(c, sizeof(T));
  Tensor partials = empty({plan.count, plan.elements}, x.dtype());
  TERN_KERNEL(conv_weight_grad<T>)(c, plan, x.data<T>(), grad.data<T>(), partials.data<T>(), grad_w.data<T>(), strides);
  return grad_w;
}

template <class T>
Tensor grad_bias(const Tensor& grad) {
  const int64_t channels = grad.shape()[1];
  const ChannelView view{grad.numel() / channels, channels, 1};
  ChannelBlocks blocks{std::max<int64_t>(32768 / channels, 64), 0};
  blocks.count = (view.outer + blocks.size - 1) / blocks.size;
  Tensor partials = empty({blocks.count, channels}, DType::kF64), sums = empty({channels}, DType::kF64);
  TERN_KERNEL(channel_sums<T>)(view, blocks, grad.data<T>(), partials.data<double>(), sums.data<double>());
  return cast(sums, grad.dtype());
}

struct Conv2dBackward {
  static constexpr const char* kName = "conv2d";
  SavedTensor x, weight;
  Conv2dOptions options;

  Gradients backward(const Tensor& grad_output, NeedsGrad needs) const {
    const Tensor grad = contiguous(grad_output, MemoryFormat::kChannelsLast);
    Gradients grads(3);
    dispatch_float(kName, grad.dtype(), [&]<class T>() {
      if (needs[0]) grads[0] = grad_input<T>(grad, *weight, x->shape(), options);
      if (needs[1]) grads[1] = grad_weight<T>(grad, *x, weight->shape(), options);
      if (needs[2]) grads[2] = grad_bias<T>(grad);
    });
    return grads;
  }
};

struct Conv2dActBackward {
  static constexpr const char* kName = "conv2d_act";
  Conv2dBackward conv;
  SavedTensor y;  // undefined without ReLU

  Gradients backward(const Tensor& grad_output, NeedsGrad needs) const {
    const Tensor grad =
        y.defined()
            ? detail::UnaryBackward{.name = kName, .function = &detail::unary_function<ReluOp>(), .saved = y}.backward(
                  grad_output)[0]
            : grad_output;
    Gradients grads = conv.backward(grad, needs);
    grads.push_back(needs[3] ? grad : Tensor());
    return grads;
  }
};

void check(const char* op, const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv2dOptions& o) {
  check_defined(op, x, weight);
  TERN_CHECK(x.dim() == 4, ShapeError, "[", op, "] expected an input of shape [N, C, H, W], got ", x.shape());
  TERN_CHECK(weight.dim() == 4, ShapeError, "[", op,
             "] expected a weight of shape [out_channels, in_channels / groups, kh, kw], got ", weight.shape());
  TERN_CHECK(x.dtype() == DType::kF32 || x.dtype() == DType::kF64, DTypeError, "[", op,
             "] expected an input of f32 or f64, got ", x.dtype());
  TERN_CHECK(weight.dtype() == x.dtype(), DTypeError, "[", op, "] expected a weight of the input's dtype ", x.dtype(),
             ", got ", weight.dtype());
  TERN_CHECK(o.stride.h >= 1 && o.stride.w >= 1, ValueError, "[", op, "] expected a stride of at least 1, got ",
             o.stride);
  TERN_CHECK(o.padding.h >= 0 && o.padding.w >= 0, ValueError, "[", op, "] expected a padding of at least 0, got ",
             o.padding);
  TERN_CHECK(o.dilation.h >= 1 && o.dilation.w >= 1, ValueError, "[", op, "] expected a dilation of at least 1, got ",
             o.dilation);
  TERN_CHECK(o.groups >= 1, ValueError, "[", op, "] expected at least 1 group, got ", o.groups);
  for (const Size2& size : {o.stride, o.padding, o.dilation, Size2{x.shape()[2], x.shape()[3]},
                            Size2{weight.shape()[2], weight.shape()[3]}})
    TERN_CHECK(size.h < detail::kMaxPixels && size.w < detail::kMaxPixels, ValueError, "[", op,
               "] expected images, kernel, stride, padding and dilation below 2^31, got input ", x.shape(), ", weight ",
               weight.shape(), ", stride ", o.stride, ", padding ", o.padding, ", dilation ", o.dilation);
  const Shape& w = weight.shape();
  TERN_CHECK(w[0] > 0 && w[1] > 0 && w[2] > 0 && w[3] > 0, ShapeError, "[", op,
             "] expected a weight with sizes of at least 1, got ", w);
  TERN_CHECK(w[0] % o.groups == 0, ValueError, "[", op, "] expected groups that divide the ", w[0],
             " output channels (weight is ", w, "), got ", o.groups);
  if (o.groups == 1) {
    TERN_CHECK(x.shape()[1] == w[1], ShapeError, "[", op, "] expected input with ", w[1], " channels (weight is ", w,
               "), got input ", x.shape());
  } else {
    TERN_CHECK(x.shape()[1] == w[1] * o.groups, ShapeError, "[", op, "] expected input with ", w[1] * o.groups,
               " channels (weight is ", w, ", ", o.groups, " groups), got input ", x.shape());
  }
  if (bias.defined()) {
    TERN_CHECK(bias.shape() == Shape({w[0]}), ShapeError, "[", op, "] expected a bias of shape [", w[0],
               "] (weight is ", w, "), got ", bias.shape());
    TERN_CHECK(bias.dtype() == x.dtype(), DTypeError, "[", op, "] expected a bias of the input's dtype ", x.dtype(),
               ", got ", bias.dtype());
  }
  TERN_CHECK(output_size(x.shape()[2], w[2], o.stride.h, o.padding.h, o.dilation.h) > 0 &&
                 output_size(x.shape()[3], w[3], o.stride.w, o.padding.w, o.dilation.w) > 0,
             ShapeError, "[", op, "] expected an input at least as large as the kernel (weight is ", w, ", padding ",
             o.padding, ", dilation ", o.dilation, "), got input ", x.shape());
}

// x: channels-last.
Tensor forward(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& residual, Size2 out,
               const Conv2dOptions& options, bool relu) {
  const Tensor inputs[] = {x, weight, bias, residual};
  const Tensor keeper = keeps_forms(weight) && !autograd::detail::wants_grad(inputs) ? weight : Tensor();
  const DirectConv c = forward_conv(x.shape(), weight.shape(), out, options);
  Tensor y = empty({c.batch, weight.shape()[0], c.out_h, c.out_w}, x.dtype(), MemoryFormat::kChannelsLast);
  if (residual.defined()) {
    TERN_CHECK(residual.shape() == y.shape(), ShapeError, "[conv2d_act] expected a residual of the result's shape ",
               y.shape(), ", got ", residual.shape());
    TERN_CHECK(residual.dtype() == x.dtype(), DTypeError, "[conv2d_act] expected a residual of the input's dtype ",
               x.dtype(), ", got ", residual.dtype());
  }
  const Tensor dense_bias = bias.defined() ? contiguous(bias) : bias;
  const Tensor dense_residual = residual.defined() ? contiguous(residual, MemoryFormat::kChannelsLast) : residual;
  dispatch_float("conv2d", x.dtype(), [&]<class T>() {
    convolve<T>(c, x.data<T>(), weight.data<T>(), strides_of(weight, c), keeper,
                {.bias = bias.defined() ? dense_bias.data<T>() : nullptr,
                 .residual = residual.defined() ? dense_residual.data<T>() : nullptr,
                 .relu = relu},
                y.data<T>());
  });
  return y;
}

}  // namespace

Tensor conv2d(const Tensor& input, const Tensor& weight, const Tensor& bias, const Conv2dOptions& options) {
  check("conv2d", input, weight, bias, options);
  const Tensor x = contiguous(input, MemoryFormat::kChannelsLast);
  const Tensor y = forward(x, weight, bias, {}, output_size(x.shape(), weight.shape(), options), options, false);
  return autograd::record<Conv2dBackward>(y, {x, weight, bias}, {.x = x, .weight = weight, .options = options});
}

Tensor conv2d_act(const Tensor& input, const Tensor& weight, const Tensor& bias, const Tensor& residual,
                  const Conv2dOptions& options, bool relu) {
  check("conv2d_act", input, weight, bias, options);
  const Tensor x = contiguous(input, MemoryFormat::kChannelsLast);
  const Tensor y = forward(x, weight, bias, residual, output_size(x.shape(), weight.shape(), options), options, relu);
  return autograd::record<Conv2dActBackward>(
      y, {x, weight, bias, residual},
      {.conv = {.x = x, .weight = weight, .options = options}, .y = relu ? y : Tensor()});
}

namespace detail {

Tensor conv_forward(const Tensor& x, const Tensor& weight, Size2 out, const Conv2dOptions& options) {
  return forward(x, weight, {}, {}, out, options, false);
}

Tensor conv_input_gradient(const Tensor& grad, const Tensor& weight, const Shape& x_shape, const Conv2dOptions& options,
                           const Tensor& bias) {
  Tensor out;
  dispatch_float("conv2d", grad.dtype(), [&]<class T>() { out = grad_input<T>(grad, weight, x_shape, options, bias); });
  return out;
}

Tensor conv_weight_gradient(const Tensor& grad, const Tensor& x, const Shape& weight_shape,
                            const Conv2dOptions& options) {
  Tensor out;
  dispatch_float("conv2d", grad.dtype(), [&]<class T>() { out = grad_weight<T>(grad, x, weight_shape, options); });
  return out;
}

Tensor conv_bias_gradient(const Tensor& grad) {
  Tensor out;
  dispatch_float("conv2d", grad.dtype(), [&]<class T>() { out = grad_bias<T>(grad); });
  return out;
}

}  // namespace detail

}  // namespace tern
