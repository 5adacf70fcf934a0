#include <tern/core/activation.h>
#include <tern/core/elementwise_detail.h>
#include <tern/core/error.h>
#include <tern/core/loop_plan.h>

namespace tern {
namespace {

using detail::Keeps;
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

struct AddReluBackward {
  static constexpr const char* kName = "add_relu";
  SavedTensor y;
  Gradients backward(const Tensor& g, NeedsGrad needs) const {
    const Tensor both = detail::UnaryBackward{.name = kName, .op = UnaryOp::kRelu, .saved = y}.backward(g)[0];
    return {needs[0] ? both : Tensor(), needs[1] ? both : Tensor()};
  }
};

}  // namespace

Tensor relu(const Tensor& x) {
  return unary("relu", UnaryOp::kRelu, Keeps::kOutput, x);
}
Tensor relu6(const Tensor& x) {
  return unary("relu6", UnaryOp::kRelu6, Keeps::kInput, x);
}
Tensor leaky_relu(const Tensor& x, double negative_slope) {
  return unary("leaky_relu", UnaryOp::kLeakyRelu, Keeps::kInput, x, negative_slope);
}
Tensor elu(const Tensor& x, double alpha) {
  return unary("elu", UnaryOp::kElu, Keeps::kInput, x, alpha);
}
Tensor gelu(const Tensor& x, Gelu approximation) {
  return unary("gelu", approximation == Gelu::kErf ? UnaryOp::kGeluErf : UnaryOp::kGeluTanh, Keeps::kInput, x);
}
Tensor sigmoid(const Tensor& x) {
  return unary("sigmoid", UnaryOp::kSigmoid, Keeps::kOutput, x);
}
Tensor logsigmoid(const Tensor& x) {
  return unary("logsigmoid", UnaryOp::kLogSigmoid, Keeps::kInput, x);
}
Tensor tanh(const Tensor& x) {
  return unary("tanh", UnaryOp::kTanh, Keeps::kOutput, x);
}
Tensor silu(const Tensor& x) {
  return unary("silu", UnaryOp::kSilu, Keeps::kInput, x);
}
Tensor hardsigmoid(const Tensor& x) {
  return unary("hardsigmoid", UnaryOp::kHardSigmoid, Keeps::kInput, x);
}
Tensor hardswish(const Tensor& x) {
  return unary("hardswish", UnaryOp::kHardSwish, Keeps::kInput, x);
}
Tensor softplus(const Tensor& x, double beta, double threshold) {
  TERN_CHECK(beta != 0, ValueError, "[softplus] expected a beta other than 0, got 0");
  return unary("softplus", UnaryOp::kSoftplus, Keeps::kInput, x, beta, threshold);
}

Tensor swiglu(const Tensor& gate, const Tensor& up) {
  check_alike("swiglu", gate, up);
  return autograd::record<SwigluBackward>(detail::apply_binary("swiglu", BinaryOp::kSwiglu, gate, up), {gate, up},
                                          {.gate = gate, .up = up});
}

Tensor add_relu(const Tensor& a, const Tensor& b) {
  check_alike("add_relu", a, b);
  const Tensor y = detail::apply_binary("add_relu", BinaryOp::kAddRelu, a, b);
  return autograd::record<AddReluBackward>(y, {a, b}, {.y = y});
}

}  // namespace tern
