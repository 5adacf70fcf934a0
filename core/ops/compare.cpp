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

Tensor compared(const char* name, CompareOp op, const Tensor& a, const Tensor& b) {
  check_defined(name, a, b);
  const NoGradGuard no_grad;
  const Shape shape = broadcast_shapes(name, a.shape(), b.shape());
  const DType dtype = promote(a.dtype(), b.dtype());
  return dispatch_arithmetic(name, dtype, [&]<class T>() {
    const Tensor x = cast(a, dtype), y = cast(b, dtype);
    Tensor out = detail::result_like(shape, DType::kU8, {&x, &y});
    TERN_KERNEL(compare<T>)
    (op, make_plan<3>(shape, {&out, &x, &y}), out.data<uint8_t>(), x.data<T>(), y.data<T>());
    return out;
  });
}

// Integers are compared with a number in f64, so that 2 < 2.5 holds; beyond 2^53 they are rounded.
Tensor compared(const char* name, CompareOp op, const Tensor& a, double b) {
  check_defined(name, a);
  const NoGradGuard no_grad;
  return compared(name, op, a.is_floating() ? a : cast(a, DType::kF64),
                  full({}, b, a.is_floating() ? a.dtype() : DType::kF64));
}

Tensor classified(const char* name, ClassifyOp op, const Tensor& x) {
  check_defined(name, x);
  const NoGradGuard no_grad;
  if (!x.is_floating()) return full_like(empty_like(x, DType::kU8), op == ClassifyOp::kIsFinite ? 1 : 0);
  return dispatch_float(name, x.dtype(), [&]<class T>() {
    Tensor out = empty_like(x, DType::kU8);
    TERN_KERNEL(classify<T>)(op, make_plan<2>(x.shape(), {&out, &x}), out.data<uint8_t>(), x.data<T>());
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
  return compared("eq", CompareOp::kEq, a, b);
}
Tensor eq(const Tensor& a, double b) {
  return compared("eq", CompareOp::kEq, a, b);
}
Tensor ne(const Tensor& a, const Tensor& b) {
  return compared("ne", CompareOp::kNe, a, b);
}
Tensor ne(const Tensor& a, double b) {
  return compared("ne", CompareOp::kNe, a, b);
}
Tensor lt(const Tensor& a, const Tensor& b) {
  return compared("lt", CompareOp::kLt, a, b);
}
Tensor lt(const Tensor& a, double b) {
  return compared("lt", CompareOp::kLt, a, b);
}
Tensor le(const Tensor& a, const Tensor& b) {
  return compared("le", CompareOp::kLe, a, b);
}
Tensor le(const Tensor& a, double b) {
  return compared("le", CompareOp::kLe, a, b);
}
Tensor gt(const Tensor& a, const Tensor& b) {
  return compared("gt", CompareOp::kGt, a, b);
}
Tensor gt(const Tensor& a, double b) {
  return compared("gt", CompareOp::kGt, a, b);
}
Tensor ge(const Tensor& a, const Tensor& b) {
  return compared("ge", CompareOp::kGe, a, b);
}
Tensor ge(const Tensor& a, double b) {
  return compared("ge", CompareOp::kGe, a, b);
}

Tensor logical_and(const Tensor& a, const Tensor& b) {
  return compared("logical_and", CompareOp::kAnd, a, b);
}
Tensor logical_or(const Tensor& a, const Tensor& b) {
  return compared("logical_or", CompareOp::kOr, a, b);
}
Tensor logical_xor(const Tensor& a, const Tensor& b) {
  return compared("logical_xor", CompareOp::kXor, a, b);
}
Tensor logical_not(const Tensor& x) {
  check_defined("logical_not", x);
  return compared("logical_not", CompareOp::kEq, x, zeros({}, x.dtype()));
}

Tensor isnan(const Tensor& x) {
  return classified("isnan", ClassifyOp::kIsNan, x);
}
Tensor isinf(const Tensor& x) {
  return classified("isinf", ClassifyOp::kIsInf, x);
}
Tensor isfinite(const Tensor& x) {
  return classified("isfinite", ClassifyOp::kIsFinite, x);
}

bool equal(const Tensor& a, const Tensor& b) {
  check_defined("equal", a, b);
  if (!(a.shape() == b.shape()) || a.dtype() != b.dtype()) return false;
  return ones_in(compared("equal", CompareOp::kEq, a, b)) == a.numel();
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
