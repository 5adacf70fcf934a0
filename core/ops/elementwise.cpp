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

}  // namespace

void check_real(const char* op, const Tensor& x) {
  check_defined(op, x);
  TERN_CHECK(x.dtype() == DType::kF32 || x.dtype() == DType::kF64, DTypeError, "[", op, "] expected f32 or f64, got ",
             x.dtype());
}

Tensor apply_unary(const UnaryFunction& f, const char* name, const Tensor& x, double a, double b) {
  check_defined(name, x);
  const auto run = [&]<class T>() {
    const auto setting = f.traits.infinite_settings ? clamp_bound<T> : scalar_as<T>;
    const T first = setting(name, a), second = setting(name, b);
    Tensor y = empty_like(x);
    const UnaryLoopsOf<T>& loops = f.loops();
    TERN_KERNEL(unary<T>)(loops.forward, make_plan<2>(x.shape(), {&y, &x}), y.data<T>(), x.data<T>(), first, second);
    return y;
  };
  return f.traits.integers ? dispatch_arithmetic(name, x.dtype(), run) : dispatch_float(name, x.dtype(), run);
}

std::vector<Tensor> UnaryBackward::backward(const Tensor& g) const {
  const UnaryGradient gradient = function->traits.gradient;
  if (gradient == UnaryGradient::kOne) return {g};
  if (gradient == UnaryGradient::kZero) return {zeros_like(g)};
  const bool linear = gradient == UnaryGradient::kLinear;
  const Tensor& like = linear ? g : *saved;
  Tensor grad_input = empty_like(like);
  dispatch_float(name, like.dtype(), [&]<class T>() {
    const UnaryLoopsOf<T>& loops = function->loops();
    const T first = static_cast<T>(a), second = static_cast<T>(b);
    if (linear) {
      TERN_KERNEL(unary<T>)
      (loops.linear_backward, make_plan<2>(g.shape(), {&grad_input, &g}), grad_input.data<T>(), g.data<T>(), first,
       second);
    } else {
      TERN_KERNEL(unary_backward<T>)
      (loops.backward, make_plan<3>(like.shape(), {&grad_input, &g, &like}), grad_input.data<T>(), g.data<T>(),
       like.data<T>(), first, second);
    }
  });
  return {grad_input};
}

Tensor unary(const UnaryFunction& f, const char* name, const Tensor& x, double a, double b) {
  const Tensor y = apply_unary(f, name, x, a, b);
  if (!x.is_floating()) return y;
  SavedTensor saved;
  if (f.traits.gradient == UnaryGradient::kFromInput) saved = SavedTensor(x);
  if (f.traits.gradient == UnaryGradient::kFromOutput) saved = SavedTensor(y);
  return autograd::record<UnaryBackward>(y, {x}, {.name = name, .function = &f, .saved = saved, .a = a, .b = b});
}

Tensor result_like(const Shape& shape, DType dtype, std::initializer_list<const Tensor*> operands) {
  for (const Tensor* x : operands)
    if (x->shape() == shape && x->is_dense()) return empty_like(*x, dtype);
  return empty(shape, dtype);
}

Tensor apply_binary(const BinaryFunction& f, const char* name, const Tensor& a, const Tensor& b) {
  const Shape shape = broadcast_shapes(name, a.shape(), b.shape());
  Tensor out = result_like(shape, a.dtype(), {&a, &b});
  const auto run = [&]<class T>() {
    const BinaryLoopsOf<T>& loops = f.loops();
    TERN_KERNEL(binary<T>)
    (loops.forward, make_plan<3>(shape, {&out, &a, &b}), out.data<T>(), a.data<T>(), b.data<T>());
  };
  if (f.traits.integers)
    dispatch_arithmetic(name, a.dtype(), run);
  else
    dispatch_float(name, a.dtype(), run);
  return out;
}

Tensor binary_gradient(const BinaryFunction& f, Operand operand, const Tensor& g, const Tensor& a, const Tensor& b) {
  Tensor out = result_like(g.shape(), g.dtype(), {&g, &a, &b});
  dispatch_float(f.traits.name, g.dtype(), [&]<class T>() {
    const BinaryLoopsOf<T>& loops = f.loops();
    TERN_KERNEL(binary_gradient<T>)
    (operand == Operand::kFirst ? loops.first : loops.second, make_plan<4>(g.shape(), {&out, &g, &a, &b}),
     out.data<T>(), g.data<T>(), a.data<T>(), b.data<T>());
  });
  return sum_to(out, operand == Operand::kFirst ? a.shape() : b.shape());
}

Gradients BinaryBackward::backward(const Tensor& g, NeedsGrad needs) const {
  return {needs[0] ? binary_gradient(*function, Operand::kFirst, g, *a, *b) : Tensor(),
          needs[1] ? binary_gradient(*function, Operand::kSecond, g, *a, *b) : Tensor()};
}

}  // namespace detail

namespace {

using detail::apply_binary;
using detail::unary;

Tensor negative(const char* name, const Tensor& x) {
  return detail::apply_unary(detail::unary_function<NegOp>(), name, x);
}

struct AddBackward {
  const char* name = "";
  Shape a, b;
  bool subtracts = false;
  Gradients backward(const Tensor& g, NeedsGrad needs) const {
    Tensor grad_b;
    if (needs[1]) {
      grad_b = sum_to(g, b);
      if (subtracts) grad_b = negative(name, grad_b);
    }
    return {needs[0] ? sum_to(g, a) : Tensor(), grad_b};
  }
};

struct MulBackward {
  static constexpr const char* kName = "mul";
  SavedTensor a, b;  // each only if the other needs a gradient
  Shape a_shape, b_shape;
  Gradients backward(const Tensor& g, NeedsGrad needs) const {
    return {needs[0] ? sum_to(apply_binary<MulOp>(g, *b), a_shape) : Tensor(),
            needs[1] ? sum_to(apply_binary<MulOp>(g, *a), b_shape) : Tensor()};
  }
};

struct DivBackward {
  static constexpr const char* kName = "div";
  SavedTensor a, b;  // a only if b needs a gradient
  Shape a_shape;
  Gradients backward(const Tensor& g, NeedsGrad needs) const {
    return {needs[0] ? sum_to(apply_binary<DivOp>(g, *b), a_shape) : Tensor(),
            needs[1] ? detail::binary_gradient(detail::binary_function<DivOp>(), detail::Operand::kSecond, g, *a, *b)
                     : Tensor()};
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
          sum_to(apply_binary<MulOp>(g, detail::apply_unary(detail::unary_function<SubFromOp>(), kName, w, 1), kName),
                 a->shape());
    if (needs[1]) gradients[1] = sum_to(apply_binary<MulOp>(g, w, kName), b->shape());
    if (needs[2]) gradients[2] = sum_to(apply_binary<MulOp>(g, apply_binary<SubOp>(*b, *a, kName), kName), w.shape());
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

template <class Op>
Tensor add_or_subtract(const Tensor& a, const Tensor& b, bool subtracts) {
  constexpr const char* kName = Op::kTraits.name;
  const auto [x, y] = promoted(kName, a, b);
  return autograd::record<AddBackward>(apply_binary<Op>(x, y), {x, y},
                                       {.name = kName, .a = x.shape(), .b = y.shape(), .subtracts = subtracts});
}

// A function whose gradients come from its own loops.
template <class Op>
Tensor binary(const Tensor& a, const Tensor& b) {
  constexpr const char* kName = Op::kTraits.name;
  const auto [x, y] = promoted(kName, a, b);
  return autograd::record<detail::BinaryBackward>(
      apply_binary<Op>(x, y), {x, y}, {.name = kName, .function = &detail::binary_function<Op>(), .a = x, .b = y});
}

}  // namespace

Tensor add(const Tensor& a, const Tensor& b) {
  return add_or_subtract<AddOp>(a, b, false);
}
Tensor add(const Tensor& a, double b) {
  return unary<AddScalarOp>(a, b);
}
Tensor sub(const Tensor& a, const Tensor& b) {
  return add_or_subtract<SubOp>(a, b, true);
}
Tensor sub(const Tensor& a, double b) {
  check_defined("sub", a);
  if (!a.is_floating()) return apply_binary<SubOp>(a, number_like("sub", b, a));  // -b may not fit
  return unary<AddScalarOp>(a, -b, 0, "sub");
}
Tensor sub(double a, const Tensor& b) {
  return unary<SubFromOp>(b, a);
}

Tensor mul(const Tensor& a, const Tensor& b) {
  const auto [x, y] = promoted("mul", a, b);
  const bool keep_x = needs_grad(y), keep_y = needs_grad(x);
  return autograd::record<MulBackward>(apply_binary<MulOp>(x, y), {x, y},
                                       {.a = keep_x ? SavedTensor(x) : SavedTensor(),
                                        .b = keep_y ? SavedTensor(y) : SavedTensor(),
                                        .a_shape = x.shape(),
                                        .b_shape = y.shape()});
}
Tensor mul(const Tensor& a, double b) {
  return unary<MulScalarOp>(a, b);
}

Tensor div(const Tensor& a, const Tensor& b) {
  const auto [x, y] = promoted("div", as_real(a), as_real(b));
  return autograd::record<DivBackward>(
      apply_binary<DivOp>(x, y), {x, y},
      {.a = needs_grad(y) ? SavedTensor(x) : SavedTensor(), .b = y, .a_shape = x.shape()});
}
Tensor div(const Tensor& a, double b) {
  return unary<DivScalarOp>(as_real(a), b);
}
Tensor div(double a, const Tensor& b) {
  return unary<DivideOp>(as_real(b), a);
}

Tensor pow(const Tensor& a, const Tensor& b) {
  return binary<PowOp>(a, b);
}
Tensor pow(const Tensor& a, double b) {
  check_defined("pow", a);
  const double exponent = a.dtype() == DType::kF32 ? static_cast<double>(static_cast<float>(b)) : b;
  if (exponent == 0) return unary<PowZeroOp>(a, b);
  if (exponent == 1) return unary<PowOneOp>(a, b);
  if (exponent == 2) return unary<PowTwoOp>(a, b);
  if (exponent == 3) return unary<PowThreeOp>(a, b);
  if (exponent == -1) return unary<PowInverseOp>(a, b);
  if (exponent == -2) return unary<PowInverseSquareOp>(a, b);
  if (exponent == 0.5) return unary<PowRootOp>(a, b);
  if (exponent == -0.5) return unary<PowInverseRootOp>(a, b);
  return unary<PowScalarOp>(a, b);
}
Tensor pow(double a, const Tensor& b) {
  return unary<ScalarPowOp>(b, a, std::log(a));
}

Tensor maximum(const Tensor& a, const Tensor& b) {
  return binary<MaximumOp>(a, b);
}
Tensor minimum(const Tensor& a, const Tensor& b) {
  return binary<MinimumOp>(a, b);
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
  return unary<NegOp>(x);
}
Tensor abs(const Tensor& x) {
  return unary<AbsOp>(x);
}
Tensor sign(const Tensor& x) {
  return unary<SignOp>(x);
}
Tensor square(const Tensor& x) {
  return unary<SquareOp>(x);
}
Tensor exp(const Tensor& x) {
  return unary<ExpOp>(x);
}
Tensor expm1(const Tensor& x) {
  return unary<Expm1Op>(x);
}
Tensor log(const Tensor& x) {
  return unary<LogOp>(x);
}
Tensor log2(const Tensor& x) {
  return unary<Log2Op>(x);
}
Tensor log1p(const Tensor& x) {
  return unary<Log1pOp>(x);
}
Tensor sqrt(const Tensor& x) {
  return unary<SqrtOp>(x);
}
Tensor rsqrt(const Tensor& x) {
  return unary<RsqrtOp>(x);
}
Tensor reciprocal(const Tensor& x) {
  return unary<ReciprocalOp>(x);
}
Tensor sin(const Tensor& x) {
  return unary<SinOp>(x);
}
Tensor cos(const Tensor& x) {
  return unary<CosOp>(x);
}
Tensor atan(const Tensor& x) {
  return unary<AtanOp>(x);
}
Tensor erf(const Tensor& x) {
  return unary<ErfOp>(x);
}
Tensor floor(const Tensor& x) {
  return unary<FloorOp>(x);
}
Tensor ceil(const Tensor& x) {
  return unary<CeilOp>(x);
}
Tensor trunc(const Tensor& x) {
  return unary<TruncOp>(x);
}
Tensor round(const Tensor& x) {
  return unary<RoundOp>(x);
}

Tensor clamp(const Tensor& x, std::optional<double> low, std::optional<double> high) {
  TERN_CHECK(low || high, ValueError, "[clamp] expected a lower or an upper bound, got neither");
  TERN_CHECK(!std::isnan(low.value_or(0)) && !std::isnan(high.value_or(0)), ValueError,
             "[clamp] expected bounds that are numbers, got NaN");
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  return unary<ClampOp>(x, low.value_or(-kInfinity), high.value_or(kInfinity));
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
