#include <cmath>
#include <limits>

#include <tern/core/error.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/detail/elementwise.h>
#include <tern/core/ops/detail/loop_plan.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/shape.h>

namespace tern {
namespace detail {
namespace {

template <class T>
T scalar_as(const char* name, double v) {
  check_whole(name, dtype_of<T>(), v);
  return static_cast<T>(v);
}

// An infinite bound of an integer is its dtype's own.
template <class T>
T clamp_bound(const char* name, double v) {
  if constexpr (std::is_integral_v<T>)
    if (std::isinf(v)) return v > 0 ? std::numeric_limits<T>::max() : std::numeric_limits<T>::min();
  return scalar_as<T>(name, v);
}

bool takes_integers(UnaryOp op) {
  return op <= UnaryOp::kClamp;
}

}  // namespace

void check_real(const char* op, const Tensor& x) {
  check_defined(op, x);
  TERN_CHECK(x.dtype() == DType::kF32 || x.dtype() == DType::kF64, DTypeError, "[", op, "] expected f32 or f64, got ",
             x.dtype());
}

Tensor apply_unary(const char* name, UnaryOp op, const Tensor& x, double a, double b) {
  check_defined(name, x);
  const auto run = [&]<class T>() {
    const bool bounds = op == UnaryOp::kClamp;
    const T first = bounds ? clamp_bound<T>(name, a) : scalar_as<T>(name, a);
    const T second = bounds ? clamp_bound<T>(name, b) : scalar_as<T>(name, b);
    Tensor y = empty_like(x);
    TERN_KERNEL(unary<T>)(op, make_plan<2>(x.shape(), {&y, &x}), y.data<T>(), x.data<T>(), first, second);
    return y;
  };
  return takes_integers(op) ? dispatch_arithmetic(name, x.dtype(), run) : dispatch_float(name, x.dtype(), run);
}

std::vector<Tensor> UnaryBackward::backward(const Tensor& g) const {
  switch (op) {
    case UnaryOp::kNeg:
    case UnaryOp::kSubFrom:
      return {apply_unary(name, UnaryOp::kNeg, g)};
    case UnaryOp::kAddScalar:
      return {g};
    case UnaryOp::kMulScalar:
    case UnaryOp::kDivScalar:
      return {apply_unary(name, op, g, a)};
    default:
      break;
  }
  if (!saved.defined()) return {zeros_like(g)};
  const Tensor& kept = *saved;
  Tensor grad_input = empty_like(kept);
  dispatch_float(name, kept.dtype(), [&]<class T>() {
    TERN_KERNEL(unary_backward<T>)
    (op, make_plan<3>(kept.shape(), {&grad_input, &g, &kept}), grad_input.data<T>(), g.data<T>(), kept.data<T>(),
     static_cast<T>(a), static_cast<T>(b));
  });
  return {grad_input};
}

Tensor unary(const char* name, UnaryOp op, Keeps keeps, const Tensor& x, double a, double b) {
  const Tensor y = apply_unary(name, op, x, a, b);
  if (!x.is_floating()) return y;
  const Tensor& kept = keeps == Keeps::kOutput ? y : x;
  return autograd::record<UnaryBackward>(
      y, {x},
      {.name = name, .op = op, .saved = keeps == Keeps::kNothing ? SavedTensor() : SavedTensor(kept), .a = a, .b = b});
}

Tensor result_like(const Shape& shape, DType dtype, std::initializer_list<const Tensor*> operands) {
  for (const Tensor* x : operands)
    if (x->shape() == shape && x->is_dense()) return empty_like(*x, dtype);
  return empty(shape, dtype);
}

Tensor apply_binary(const char* name, BinaryOp op, const Tensor& a, const Tensor& b) {
  const Shape shape = broadcast_shapes(name, a.shape(), b.shape());
  Tensor out = result_like(shape, a.dtype(), {&a, &b});
  const auto run = [&]<class T>() {
    TERN_KERNEL(binary<T>)
    (op, make_plan<3>(shape, {&out, &a, &b}), out.data<T>(), a.data<T>(), b.data<T>());
  };
  if (op < BinaryOp::kDiv)
    dispatch_arithmetic(name, a.dtype(), run);
  else
    dispatch_float(name, a.dtype(), run);
  return out;
}

Tensor binary_gradient(const char* name, BinaryGradient op, const Tensor& g, const Tensor& a, const Tensor& b,
                       const Shape& shape) {
  Tensor out = result_like(g.shape(), g.dtype(), {&g, &a, &b});
  dispatch_float(name, g.dtype(), [&]<class T>() {
    TERN_KERNEL(binary_gradient<T>)
    (op, make_plan<4>(g.shape(), {&out, &g, &a, &b}), out.data<T>(), g.data<T>(), a.data<T>(), b.data<T>());
  });
  return sum_to(out, shape);
}

}  // namespace detail

namespace {

using detail::apply_binary;
using detail::apply_unary;
using detail::binary_gradient;
using detail::Keeps;
using detail::unary;

struct AddBackward {
  const char* name = "";
  Shape a, b;
  bool subtracts = false;
  Gradients backward(const Tensor& g, NeedsGrad needs) const {
    Tensor grad_b;
    if (needs[1]) {
      grad_b = sum_to(g, b);
      if (subtracts) grad_b = apply_unary(name, UnaryOp::kNeg, grad_b);
    }
    return {needs[0] ? sum_to(g, a) : Tensor(), grad_b};
  }
};

struct MulBackward {
  static constexpr const char* kName = "mul";
  SavedTensor a, b;  // each only if the other needs a gradient
  Shape a_shape, b_shape;
  Gradients backward(const Tensor& g, NeedsGrad needs) const {
    return {needs[0] ? sum_to(apply_binary("mul", BinaryOp::kMul, g, *b), a_shape) : Tensor(),
            needs[1] ? sum_to(apply_binary("mul", BinaryOp::kMul, g, *a), b_shape) : Tensor()};
  }
};

struct DivBackward {
  static constexpr const char* kName = "div";
  SavedTensor a, b;  // a only if b needs a gradient
  Shape a_shape;
  Gradients backward(const Tensor& g, NeedsGrad needs) const {
    return {needs[0] ? sum_to(apply_binary("div", BinaryOp::kDiv, g, *b), a_shape) : Tensor(),
            needs[1] ? binary_gradient("div", BinaryGradient::kDivSecond, g, *a, *b, b->shape()) : Tensor()};
  }
};

struct PowBackward {
  static constexpr const char* kName = "pow";
  SavedTensor a, b;
  Gradients backward(const Tensor& g, NeedsGrad needs) const {
    return {needs[0] ? binary_gradient("pow", BinaryGradient::kPowFirst, g, *a, *b, a->shape()) : Tensor(),
            needs[1] ? binary_gradient("pow", BinaryGradient::kPowSecond, g, *a, *b, b->shape()) : Tensor()};
  }
};

struct ExtremumBackward {
  const char* name = "";
  BinaryGradient op = BinaryGradient::kMaximumFirst;
  SavedTensor a, b;
  Gradients backward(const Tensor& g, NeedsGrad needs) const {
    return {needs[0] ? binary_gradient(name, op, g, *a, *b, a->shape()) : Tensor(),
            needs[1] ? binary_gradient(name, op, g, *b, *a, b->shape()) : Tensor()};
  }
};

struct LerpBackward {
  static constexpr const char* kName = "lerp";
  SavedTensor a, b, weight;
  Gradients backward(const Tensor& g, NeedsGrad needs) const {
    Gradients gradients(3);
    const Tensor& w = *weight;
    if (needs[0])
      gradients[0] =
          sum_to(apply_binary(kName, BinaryOp::kMul, g, apply_unary(kName, UnaryOp::kSubFrom, w, 1)), a->shape());
    if (needs[1]) gradients[1] = sum_to(apply_binary(kName, BinaryOp::kMul, g, w), b->shape());
    if (needs[2])
      gradients[2] =
          sum_to(apply_binary(kName, BinaryOp::kMul, g, apply_binary(kName, BinaryOp::kSub, *b, *a)), w.shape());
    return gradients;
  }
};

struct Promoted {
  Tensor a, b;
};

Promoted promoted(const char* name, const Tensor& a, const Tensor& b) {
  check_defined(name, a, b);
  (void)broadcast_shapes(name, a.shape(), b.shape());  // before anything is converted
  const DType dtype = promote(a.dtype(), b.dtype());
  return {cast(a, dtype), cast(b, dtype)};
}

bool needs_grad(const Tensor& x) {
  return grad_enabled() && x.requires_grad();
}

Tensor as_real(const Tensor& x) {
  check_defined("div", x);
  return x.is_floating() ? x : cast(x, DType::kF32);
}

// A number as a tensor of x's dtype.
Tensor number_like(const char* name, double v, const Tensor& x) {
  check_defined(name, x);
  return dispatch_arithmetic(name, x.dtype(), [&]<class T>() {
    Tensor out = empty({}, x.dtype());
    *out.data<T>() = detail::scalar_as<T>(name, v);
    return out;
  });
}

Tensor add_or_subtract(const char* name, BinaryOp op, const Tensor& a, const Tensor& b) {
  const auto [x, y] = promoted(name, a, b);
  return autograd::record<AddBackward>(
      apply_binary(name, op, x, y), {x, y},
      {.name = name, .a = x.shape(), .b = y.shape(), .subtracts = op == BinaryOp::kSub});
}

Tensor extremum(const char* name, BinaryOp op, BinaryGradient gradient, const Tensor& a, const Tensor& b) {
  const auto [x, y] = promoted(name, a, b);
  return autograd::record<ExtremumBackward>(apply_binary(name, op, x, y), {x, y},
                                            {.name = name, .op = gradient, .a = x, .b = y});
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  return add_or_subtract("add", BinaryOp::kAdd, a, b);
}
Tensor add(const Tensor& a, double b) {
  return unary("add", UnaryOp::kAddScalar, Keeps::kNothing, a, b);
}
Tensor sub(const Tensor& a, const Tensor& b) {
  return add_or_subtract("sub", BinaryOp::kSub, a, b);
}
Tensor sub(const Tensor& a, double b) {
  check_defined("sub", a);
  if (!a.is_floating()) return apply_binary("sub", BinaryOp::kSub, a, number_like("sub", b, a));  // -b may not fit
  return unary("sub", UnaryOp::kAddScalar, Keeps::kNothing, a, -b);
}
Tensor sub(double a, const Tensor& b) {
  return unary("sub", UnaryOp::kSubFrom, Keeps::kNothing, b, a);
}

Tensor mul(const Tensor& a, const Tensor& b) {
  const auto [x, y] = promoted("mul", a, b);
  const bool keep_x = needs_grad(y), keep_y = needs_grad(x);
  return autograd::record<MulBackward>(apply_binary("mul", BinaryOp::kMul, x, y), {x, y},
                                       {.a = keep_x ? SavedTensor(x) : SavedTensor(),
                                        .b = keep_y ? SavedTensor(y) : SavedTensor(),
                                        .a_shape = x.shape(),
                                        .b_shape = y.shape()});
}
Tensor mul(const Tensor& a, double b) {
  return unary("mul", UnaryOp::kMulScalar, Keeps::kNothing, a, b);
}

Tensor div(const Tensor& a, const Tensor& b) {
  const auto [x, y] = promoted("div", as_real(a), as_real(b));
  return autograd::record<DivBackward>(
      apply_binary("div", BinaryOp::kDiv, x, y), {x, y},
      {.a = needs_grad(y) ? SavedTensor(x) : SavedTensor(), .b = y, .a_shape = x.shape()});
}
Tensor div(const Tensor& a, double b) {
  return unary("div", UnaryOp::kDivScalar, Keeps::kNothing, as_real(a), b);
}
Tensor div(double a, const Tensor& b) {
  return unary("div", UnaryOp::kDivide, Keeps::kInput, as_real(b), a);
}

Tensor pow(const Tensor& a, const Tensor& b) {
  const auto [x, y] = promoted("pow", a, b);
  return autograd::record<PowBackward>(apply_binary("pow", BinaryOp::kPow, x, y), {x, y}, {.a = x, .b = y});
}
Tensor pow(const Tensor& a, double b) {
  return unary("pow", UnaryOp::kPowScalar, Keeps::kInput, a, b);
}
Tensor pow(double a, const Tensor& b) {
  return unary("pow", UnaryOp::kScalarPow, Keeps::kOutput, b, a, std::log(a));
}

Tensor maximum(const Tensor& a, const Tensor& b) {
  return extremum("maximum", BinaryOp::kMaximum, BinaryGradient::kMaximumFirst, a, b);
}
Tensor minimum(const Tensor& a, const Tensor& b) {
  return extremum("minimum", BinaryOp::kMinimum, BinaryGradient::kMinimumFirst, a, b);
}

Tensor lerp(const Tensor& a, const Tensor& b, const Tensor& weight) {
  constexpr const char* kOp = LerpBackward::kName;
  check_defined(kOp, a, b, weight);
  detail::check_real(kOp, a);
  TERN_CHECK(a.dtype() == b.dtype() && a.dtype() == weight.dtype(), DTypeError,
             "[lerp] expected tensors of one dtype, got ", a.dtype(), ", ", b.dtype(), " and a weight of ",
             weight.dtype());
  const Shape shape = broadcast_shapes(kOp, broadcast_shapes(kOp, a.shape(), b.shape()), weight.shape());
  Tensor out = detail::result_like(shape, a.dtype(), {&a, &b, &weight});
  dispatch_float(kOp, a.dtype(), [&]<class T>() {
    TERN_KERNEL(lerp<T>)
    (make_plan<4>(shape, {&out, &a, &b, &weight}), out.data<T>(), a.data<T>(), b.data<T>(), weight.data<T>());
  });
  return autograd::record<LerpBackward>(out, {a, b, weight}, {.a = a, .b = b, .weight = weight});
}
Tensor lerp(const Tensor& a, const Tensor& b, double weight) {
  check_defined(LerpBackward::kName, a, b);
  detail::check_real(LerpBackward::kName, a);
  return lerp(a, b, number_like(LerpBackward::kName, weight, a));
}

Tensor neg(const Tensor& x) {
  return unary("neg", UnaryOp::kNeg, Keeps::kNothing, x);
}
Tensor abs(const Tensor& x) {
  return unary("abs", UnaryOp::kAbs, Keeps::kInput, x);
}
Tensor sign(const Tensor& x) {
  return unary("sign", UnaryOp::kSign, Keeps::kNothing, x);
}
Tensor square(const Tensor& x) {
  return unary("square", UnaryOp::kSquare, Keeps::kInput, x);
}
Tensor exp(const Tensor& x) {
  return unary("exp", UnaryOp::kExp, Keeps::kOutput, x);
}
Tensor expm1(const Tensor& x) {
  return unary("expm1", UnaryOp::kExpm1, Keeps::kOutput, x);
}
Tensor log(const Tensor& x) {
  return unary("log", UnaryOp::kLog, Keeps::kInput, x);
}
Tensor log2(const Tensor& x) {
  return unary("log2", UnaryOp::kLog2, Keeps::kInput, x);
}
Tensor log1p(const Tensor& x) {
  return unary("log1p", UnaryOp::kLog1p, Keeps::kInput, x);
}
Tensor sqrt(const Tensor& x) {
  return unary("sqrt", UnaryOp::kSqrt, Keeps::kOutput, x);
}
Tensor rsqrt(const Tensor& x) {
  return unary("rsqrt", UnaryOp::kRsqrt, Keeps::kOutput, x);
}
Tensor reciprocal(const Tensor& x) {
  return unary("reciprocal", UnaryOp::kReciprocal, Keeps::kOutput, x);
}
Tensor sin(const Tensor& x) {
  return unary("sin", UnaryOp::kSin, Keeps::kInput, x);
}
Tensor cos(const Tensor& x) {
  return unary("cos", UnaryOp::kCos, Keeps::kInput, x);
}
Tensor atan(const Tensor& x) {
  return unary("atan", UnaryOp::kAtan, Keeps::kInput, x);
}
Tensor erf(const Tensor& x) {
  return unary("erf", UnaryOp::kErf, Keeps::kInput, x);
}
Tensor floor(const Tensor& x) {
  return unary("floor", UnaryOp::kFloor, Keeps::kNothing, x);
}
Tensor ceil(const Tensor& x) {
  return unary("ceil", UnaryOp::kCeil, Keeps::kNothing, x);
}
Tensor trunc(const Tensor& x) {
  return unary("trunc", UnaryOp::kTrunc, Keeps::kNothing, x);
}
Tensor round(const Tensor& x) {
  return unary("round", UnaryOp::kRound, Keeps::kNothing, x);
}

Tensor clamp(const Tensor& x, std::optional<double> low, std::optional<double> high) {
  TERN_CHECK(low || high, ValueError, "[clamp] expected a lower or an upper bound, got neither");
  TERN_CHECK(!std::isnan(low.value_or(0)) && !std::isnan(high.value_or(0)), ValueError,
             "[clamp] expected bounds that are numbers, got NaN");
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return unary("clamp", UnaryOp::kClamp, Keeps::kInput, x, low.value_or(-kInfinity), high.value_or(kInfinity));
}
Tensor clamp_min(const Tensor& x, double low) {
  return clamp(x, low, std::nullopt);
}
Tensor clamp_max(const Tensor& x, double high) {
  return clamp(x, std::nullopt, high);
}

namespace {

// condition ? a : b, broadcast; a and b: same dtype.
Tensor apply_select(const char* name, const Tensor& condition, const Tensor& a, const Tensor& b) {
  const Shape shape = broadcast_shapes(name, condition.shape(), broadcast_shapes(name, a.shape(), b.shape()));
  Tensor out = detail::result_like(shape, a.dtype(), {&a, &b, &condition});
  dispatch_arithmetic(name, a.dtype(), [&]<class T>() {
    TERN_KERNEL(select<T>)
    (make_plan<4>(shape, {&out, &condition, &a, &b}), out.data<T>(), condition.data<uint8_t>(), a.data<T>(),
     b.data<T>());
  });
  return out;
}

struct SelectBackward {
  const char* name = "";
  SavedTensor condition;
  Shape a, b;
  Gradients backward(const Tensor& g, NeedsGrad needs) const {
    const Tensor zero = zeros({}, g.dtype());
    return {needs[0] ? sum_to(apply_select(name, *condition, g, zero), a) : Tensor(),
            needs[1] ? sum_to(apply_select(name, *condition, zero, g), b) : Tensor()};
  }
};

Tensor select_by(const char* name, const Tensor& condition, const Tensor& a, const Tensor& b) {
  check_defined(name, condition, a, b);
  TERN_CHECK(condition.dtype() == DType::kU8, DTypeError, "[", name, "] expected a u8 condition, got ",
             condition.dtype());
  const auto [x, y] = promoted(name, a, b);
  return autograd::record<SelectBackward>(apply_select(name, condition, x, y), {x, y},
                                          {.name = name, .condition = condition, .a = x.shape(), .b = y.shape()});
}

}  // namespace

Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b) {
  return select_by("where", condition, a, b);
}
Tensor where(const Tensor& condition, const Tensor& a, double b) {
  return select_by("where", condition, a, number_like("where", b, a));
}
Tensor where(const Tensor& condition, double a, const Tensor& b) {
  return select_by("where", condition, number_like("where", a, b), b);
}
Tensor masked_fill(const Tensor& x, const Tensor& mask, double value) {
  return select_by("masked_fill", mask, number_like("masked_fill", value, x), x);
}

}  // namespace tern
