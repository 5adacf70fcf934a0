#include <cmath>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/ops/compare.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/detail/elementwise.h>
#include <tern/core/ops/detail/loop_plan.h>
#include <tern/core/ops/elementwise.h>

namespace tern {
namespace {

template <class Op>
Tensor compared(const Tensor& a, const Tensor& b, const char* name = Op::kName) {
  check_defined(name, a, b);
  const NoGradGuard no_grad;
  const Shape shape = broadcast_shapes(name, a.shape(), b.shape());
  const DType dtype = promote(a.dtype(), b.dtype());
  return dispatch_arithmetic(name, dtype, [&]<class T>() {
    const Tensor x = cast(a, dtype), y = cast(b, dtype);
    Tensor out = detail::result_like(shape, DType::kU8, {&x, &y});
    const CompareLoopsOf<T>& loops = TERN_KERNEL(compare_loops<Op>)();
    TERN_KERNEL(compare<T>)
    (loops.forward, make_plan<3>(shape, {&out, &x, &y}), out.data<uint8_t>(), x.data<T>(), y.data<T>());
    return out;
  });
}

// Integers are compared with a number in f64, so that 2 < 2.5 holds; beyond 2^53 they are rounded.
template <class Op>
Tensor compared(const Tensor& a, double b) {
  check_defined(Op::kName, a);
  const NoGradGuard no_grad;
  return compared<Op>(a.is_floating() ? a : cast(a, DType::kF64),
                      full({}, b, a.is_floating() ? a.dtype() : DType::kF64));
}

template <class Op>
Tensor classified(const Tensor& x) {
  check_defined(Op::kName, x);
  const NoGradGuard no_grad;
  if (!x.is_floating()) return full_like(empty_like(x, DType::kU8), Op::kOfIntegers ? 1 : 0);
  return dispatch_float(Op::kName, x.dtype(), [&]<class T>() {
    Tensor out = empty_like(x, DType::kU8);
    const ClassifyLoopsOf<T>& loops = TERN_KERNEL(classify_loops<Op>)();
    TERN_KERNEL(classify<T>)(loops.forward, make_plan<2>(x.shape(), {&out, &x}), out.data<uint8_t>(), x.data<T>());
    return out;
  });
}

int64_t ones_in(const Tensor& truth) {  // truth: u8 0 or 1
  const Tensor dense_truth = dense(truth);
  const uint8_t* v = dense_truth.data<uint8_t>();
  int64_t count = 0;
  for (int64_t i = 0; i < dense_truth.numel(); ++i) count += v[i];
  return count;
}

}  // namespace

Tensor eq(const Tensor& a, const Tensor& b) {
  return compared<EqOp>(a, b);
}
Tensor eq(const Tensor& a, double b) {
  return compared<EqOp>(a, b);
}
Tensor ne(const Tensor& a, const Tensor& b) {
  return compared<NeOp>(a, b);
}
Tensor ne(const Tensor& a, double b) {
  return compared<NeOp>(a, b);
}
Tensor lt(const Tensor& a, const Tensor& b) {
  return compared<LtOp>(a, b);
}
Tensor lt(const Tensor& a, double b) {
  return compared<LtOp>(a, b);
}
Tensor le(const Tensor& a, const Tensor& b) {
  return compared<LeOp>(a, b);
}
Tensor le(const Tensor& a, double b) {
  return compared<LeOp>(a, b);
}
Tensor gt(const Tensor& a, const Tensor& b) {
  return compared<GtOp>(a, b);
}
Tensor gt(const Tensor& a, double b) {
  return compared<GtOp>(a, b);
}
Tensor ge(const Tensor& a, const Tensor& b) {
  return compared<GeOp>(a, b);
}
Tensor ge(const Tensor& a, double b) {
  return compared<GeOp>(a, b);
}

Tensor logical_and(const Tensor& a, const Tensor& b) {
  return compared<AndOp>(a, b);
}
Tensor logical_or(const Tensor& a, const Tensor& b) {
  return compared<OrOp>(a, b);
}
Tensor logical_xor(const Tensor& a, const Tensor& b) {
  return compared<XorOp>(a, b);
}
Tensor logical_not(const Tensor& x) {
  check_defined("logical_not", x);
  return compared<EqOp>(x, zeros({}, x.dtype()), "logical_not");
}

Tensor isnan(const Tensor& x) {
  return classified<IsNanOp>(x);
}
Tensor isinf(const Tensor& x) {
  return classified<IsInfOp>(x);
}
Tensor isfinite(const Tensor& x) {
  return classified<IsFiniteOp>(x);
}

bool equal(const Tensor& a, const Tensor& b) {
  check_defined("equal", a, b);
  if (!(a.shape() == b.shape()) || a.dtype() != b.dtype()) return false;
  return ones_in(compared<EqOp>(a, b, "equal")) == a.numel();
}

bool allclose(const Tensor& a, const Tensor& b, double rtol, double atol, bool equal_nan) {
  const NoGradGuard no_grad;
  TERN_CHECK(rtol >= 0 && atol >= 0, ValueError, "[allclose] expected tolerances of at least 0, got ", rtol, " and ",
             atol);
  detail::check_real("allclose", a);
  detail::check_real("allclose", b);
  const Tensor near = le(abs(sub(a, b)), add(mul(abs(b), rtol), atol));
  Tensor good = logical_or(eq(a, b), logical_and(near, isfinite(b)));
  if (equal_nan) good = logical_or(good, logical_and(isnan(a), isnan(b)));
  return ones_in(good) == good.numel();
}

}  // namespace tern
