#include <tern/core/error.h>
#include <tern/core/ops/activation.h>
#include <tern/core/ops/detail/elementwise.h>
#include <tern/core/ops/detail/loop_plan.h>

namespace tern {
namespace {

using detail::unary;

void check_alike(const char* op, const Tensor& a, const Tensor& b) {
  check_defined(op, a, b);
  detail::check_real(op, a);
  TERN_CHECK(a.dtype() == b.dtype(), DTypeError, "[", op, "] expected two tensors of one dtype, got ", a.dtype(),
             " and ", b.dtype());
  TERN_CHECK(a.shape() == b.shape(), ShapeError, "[", op, "] expected two tensors of one shape, got ", a.shape(),
             " and ", b.shape());
}

struct SwigluBackward {
  static constexpr const char* kName = "swiglu";
  SavedTensor gate, up;
  Gradients backward(const Tensor& g, NeedsGrad needs) const {
    Tensor grad_gate = empty_like(*gate), grad_up = empty_like(*up);
    dispatch_float(kName, g.dtype(), [&]<class T>() {
      TERN_KERNEL(swiglu_backward<T>)
      (make_plan<5>(g.shape(), {&grad_gate, &grad_up, &g, &*gate, &*up}), grad_gate.data<T>(), grad_up.data<T>(),
       g.data<T>(), gate->data<T>(), up->data<T>());
    });
    return {needs[0] ? grad_gate : Tensor(), needs[1] ? grad_up : Tensor()};
  }
};

struct PreluBackward {
  static constexpr const char* kName = "prelu";
  SavedTensor x, slope;  // slope: the weight, of as many axes as x
  Shape weight_shape;
  Gradients backward(const Tensor& g, NeedsGrad needs) const {
    const auto gradient = [&](detail::Operand operand) {
      return detail::binary_gradient(detail::binary_function<PreluOp>(), operand, g, *x, *slope);
    };
    return {needs[0] ? gradient(detail::Operand::kFirst) : Tensor(),
            needs[1] ? gradient(detail::Operand::kSecond).reshape(weight_shape) : Tensor()};
  }
};

// Views of the first and the second half of an axis.
struct Halves {
  Tensor first, second;
};
Halves halves_of(const Tensor& x, int64_t axis) {
  const int64_t size = x.size(axis);
  return {x.detach().slice(axis, 0, size / 2), x.detach().slice(axis, size / 2, size)};
}

struct GluBackward {
  static constexpr const char* kName = "glu";
  SavedTensor x;
  int64_t axis = 0;
  Gradients backward(const Tensor& g) const {
    const Tensor grad_input = empty_like(*x);
    Halves to = halves_of(grad_input, axis);
    const Halves from = halves_of(*x, axis);
    dispatch_float(kName, g.dtype(), [&]<class T>() {
      TERN_KERNEL(glu_backward<T>)
      (make_plan<5>(g.shape(), {&to.first, &to.second, &g, &from.first, &from.second}), to.first.data<T>(),
       to.second.data<T>(), g.data<T>(), from.first.data<T>(), from.second.data<T>());
    });
    return {grad_input};
  }
};

struct AddReluBackward {
  static constexpr const char* kName = "add_relu";
  SavedTensor y;
  Gradients backward(const Tensor& g, NeedsGrad needs) const {
    const Tensor both =
        detail::UnaryBackward{.name = kName, .function = &detail::unary_function<ReluOp>(), .saved = y}.backward(g)[0];
    return {needs[0] ? both : Tensor(), needs[1] ? both : Tensor()};
  }
};

}  // namespace

Tensor relu(const Tensor& x) {
  return unary<ReluOp>(x);
}
Tensor relu6(const Tensor& x) {
  return unary<HardTanhOp>(x, 0, 6, "relu6");
}
Tensor hardtanh(const Tensor& x, double min_val, double max_val) {
  TERN_CHECK(min_val <= max_val, ValueError, "[hardtanh] expected bounds in order, got ", min_val, " and ", max_val);
  return unary<HardTanhOp>(x, min_val, max_val);
}
Tensor leaky_relu(const Tensor& x, double negative_slope) {
  return unary<LeakyReluOp>(x, negative_slope);
}
Tensor elu(const Tensor& x, double alpha) {
  return unary<EluOp>(x, alpha, 1);
}
Tensor selu(const Tensor& x) {
  constexpr double kAlpha = 1.6732632423543772848, kScale = 1.0507009873554804934;
  return unary<EluOp>(x, kAlpha, kScale, "selu");
}
Tensor celu(const Tensor& x, double alpha) {
  TERN_CHECK(alpha != 0, ValueError, "[celu] expected an alpha other than 0, got 0");
  return unary<CeluOp>(x, alpha);
}
Tensor prelu(const Tensor& x, const Tensor& weight) {
  constexpr const char* kOp = PreluBackward::kName;
  check_defined(kOp, x, weight);
  detail::check_real(kOp, x);
  TERN_CHECK(x.dtype() == weight.dtype(), DTypeError, "[prelu] expected a weight of ", x.dtype(), ", got ",
             weight.dtype());
  const int64_t channels = x.dim() >= 2 ? x.size(1) : 1;
  TERN_CHECK(weight.dim() <= 1 && (weight.numel() == 1 || weight.numel() == channels), ShapeError,
             "[prelu] expected a weight of shape [1] or [", channels, "] for input ", x.shape(), ", got ",
             weight.shape());
  Shape along_channels(x.dim(), 1);
  if (weight.numel() != 1) along_channels[1] = channels;
  const Tensor slope = weight.detach().reshape(along_channels);
  return autograd::record<PreluBackward>(detail::apply_binary<PreluOp>(x, slope), {x, weight},
                                         {.x = x, .slope = slope, .weight_shape = weight.shape()});
}
Tensor gelu(const Tensor& x, Gelu approximation) {
  return approximation == Gelu::kErf ? unary<GeluErfOp>(x) : unary<GeluTanhOp>(x);
}
Tensor sigmoid(const Tensor& x) {
  return unary<SigmoidOp>(x);
}
Tensor logsigmoid(const Tensor& x) {
  return unary<LogSigmoidOp>(x);
}
Tensor tanh(const Tensor& x) {
  return unary<TanhOp>(x);
}
Tensor silu(const Tensor& x) {
  return unary<SiluOp>(x);
}
Tensor mish(const Tensor& x) {
  return unary<MishOp>(x);
}
Tensor softsign(const Tensor& x) {
  return unary<SoftSignOp>(x);
}
Tensor tanhshrink(const Tensor& x) {
  return unary<TanhShrinkOp>(x);
}
Tensor hardshrink(const Tensor& x, double lambd) {
  return unary<HardShrinkOp>(x, lambd);
}
Tensor softshrink(const Tensor& x, double lambd) {
  TERN_CHECK(lambd >= 0, ValueError, "[softshrink] expected a lambd of at least 0, got ", lambd);
  return unary<SoftShrinkOp>(x, lambd);
}
Tensor threshold(const Tensor& x, double threshold, double value) {
  return unary<ThresholdOp>(x, threshold, value);
}
Tensor hardsigmoid(const Tensor& x) {
  return unary<HardSigmoidOp>(x);
}
Tensor hardswish(const Tensor& x) {
  return unary<HardSwishOp>(x);
}
Tensor softplus(const Tensor& x, double beta, double threshold) {
  TERN_CHECK(beta != 0, ValueError, "[softplus] expected a beta other than 0, got 0");
  return unary<SoftplusOp>(x, beta, threshold);
}

Tensor glu(const Tensor& x, int64_t wanted_axis) {
  constexpr const char* kOp = GluBackward::kName;
  detail::check_real(kOp, x);
  TERN_CHECK(x.dim() >= 1, ShapeError, "[glu] expected at least one axis, got a scalar");
  const int64_t axis = normalize_axis(kOp, wanted_axis, x.dim());
  TERN_CHECK(x.size(axis) % 2 == 0, ShapeError, "[glu] expected an even size along axis ", axis, ", got ", x.shape());
  Shape shape = x.shape();
  shape[axis] /= 2;
  Tensor y = empty(shape, x.dtype(), x.memory_format());
  const Halves halves = halves_of(x, axis);
  dispatch_float(kOp, x.dtype(), [&]<class T>() {
    const BinaryLoopsOf<T>& loops = TERN_KERNEL(binary_loops<GluOp>)();
    TERN_KERNEL(binary<T>)
    (loops.forward, make_plan<3>(shape, {&y, &halves.first, &halves.second}), y.data<T>(), halves.first.data<T>(),
     halves.second.data<T>());
  });
  return autograd::record<GluBackward>(y, {x}, {.x = x, .axis = axis});
}

Tensor swiglu(const Tensor& gate, const Tensor& up) {
  check_alike("swiglu", gate, up);
  return autograd::record<SwigluBackward>(detail::apply_binary<SwigluOp>(gate, up), {gate, up},
                                          {.gate = gate, .up = up});
}

Tensor add_relu(const Tensor& a, const Tensor& b) {
  check_alike("add_relu", a, b);
  const Tensor y = detail::apply_binary<AddReluOp>(a, b);
  return autograd::record<AddReluBackward>(y, {a, b}, {.y = y});
}

}  // namespace tern
