#include <tern/core/error.h>
#include <tern/core/ops/detail/elementwise.h>
#include <tern/core/ops/ste.h>

namespace tern {
namespace {

struct StraightThroughBackward {
  const char* name = "";
  Gradients backward(const Tensor& grad_output) const { return {grad_output}; }
};

template <class Op>
Tensor straight_through(const char* name, const Tensor& x, double a = 0, double b = 0) {
  detail::check_real(name, x);
  return autograd::record<StraightThroughBackward>(detail::apply_unary(detail::unary_function<Op>(), name, x, a, b),
                                                   {x}, {.name = name});
}

}  // namespace

Tensor ste_round(const Tensor& x) {
  return straight_through<RoundOp>("ste_round", x);
}

Tensor ste_clamp(const Tensor& x, double low, double high) {
  TERN_CHECK(low <= high, ValueError, "[ste_clamp] expected a lower bound not above the upper one, got ", low, " and ",
             high);
  return straight_through<ClampOp>("ste_clamp", x, low, high);
}

Tensor ste_sign(const Tensor& x) {
  return straight_through<SignOp>("ste_sign", x);
}

Tensor ste_relu(const Tensor& x) {
  return straight_through<ReluOp>("ste_relu", x);
}

}  // namespace tern
