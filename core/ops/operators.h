// Operators on tensors: the functions of elementwise.h and compare.h under their usual signs. Comparisons give u8
// tensors, so `if (a == b)` does not compile; equal(a, b) answers that question.
#pragma once

#include <tern/core/ops/compare.h>
#include <tern/core/ops/elementwise.h>

namespace tern {

inline Tensor operator+(const Tensor& a, const Tensor& b) {
  return add(a, b);
}
inline Tensor operator+(const Tensor& a, double b) {
  return add(a, b);
}
inline Tensor operator+(double a, const Tensor& b) {
  return add(b, a);
}
inline Tensor operator-(const Tensor& a, const Tensor& b) {
  return sub(a, b);
}
inline Tensor operator-(const Tensor& a, double b) {
  return sub(a, b);
}
inline Tensor operator-(double a, const Tensor& b) {
  return sub(a, b);
}
inline Tensor operator*(const Tensor& a, const Tensor& b) {
  return mul(a, b);
}
inline Tensor operator*(const Tensor& a, double b) {
  return mul(a, b);
}
inline Tensor operator*(double a, const Tensor& b) {
  return mul(b, a);
}
inline Tensor operator/(const Tensor& a, const Tensor& b) {
  return div(a, b);
}
inline Tensor operator/(const Tensor& a, double b) {
  return div(a, b);
}
inline Tensor operator/(double a, const Tensor& b) {
  return div(a, b);
}
inline Tensor operator-(const Tensor& x) {
  return neg(x);
}

namespace detail {
// What y names after y += x: the sum.
Tensor& assign(const char* op, Tensor& y, const Tensor& result);
}  // namespace detail

/// y += x is y = y + x, recorded as that, and so on: y names a new tensor of the same shape and dtype, while other
/// handles to the old one and views of it keep its values. (y.add_(x) writes into the tensor itself.) Throws what the
/// operation throws, ShapeError or DTypeError if the result has another shape or dtype than y, StateError for a leaf
/// that requires a gradient, such as a parameter: use add_ under a NoGradGuard there.
inline Tensor& operator+=(Tensor& y, const Tensor& x) {
  return detail::assign("+=", y, add(y, x));
}
inline Tensor& operator+=(Tensor& y, double x) {
  return detail::assign("+=", y, add(y, x));
}
inline Tensor& operator-=(Tensor& y, const Tensor& x) {
  return detail::assign("-=", y, sub(y, x));
}
inline Tensor& operator-=(Tensor& y, double x) {
  return detail::assign("-=", y, sub(y, x));
}
inline Tensor& operator*=(Tensor& y, const Tensor& x) {
  return detail::assign("*=", y, mul(y, x));
}
inline Tensor& operator*=(Tensor& y, double x) {
  return detail::assign("*=", y, mul(y, x));
}
inline Tensor& operator/=(Tensor& y, const Tensor& x) {
  return detail::assign("/=", y, div(y, x));
}
inline Tensor& operator/=(Tensor& y, double x) {
  return detail::assign("/=", y, div(y, x));
}

inline Tensor operator==(const Tensor& a, const Tensor& b) {
  return eq(a, b);
}
inline Tensor operator==(const Tensor& a, double b) {
  return eq(a, b);
}
inline Tensor operator==(double a, const Tensor& b) {
  return eq(b, a);
}
inline Tensor operator!=(const Tensor& a, const Tensor& b) {
  return ne(a, b);
}
inline Tensor operator!=(const Tensor& a, double b) {
  return ne(a, b);
}
inline Tensor operator!=(double a, const Tensor& b) {
  return ne(b, a);
}
inline Tensor operator<(const Tensor& a, const Tensor& b) {
  return lt(a, b);
}
inline Tensor operator<(const Tensor& a, double b) {
  return lt(a, b);
}
inline Tensor operator<(double a, const Tensor& b) {
  return gt(b, a);
}
inline Tensor operator<=(const Tensor& a, const Tensor& b) {
  return le(a, b);
}
inline Tensor operator<=(const Tensor& a, double b) {
  return le(a, b);
}
inline Tensor operator<=(double a, const Tensor& b) {
  return ge(b, a);
}
inline Tensor operator>(const Tensor& a, const Tensor& b) {
  return gt(a, b);
}
inline Tensor operator>(const Tensor& a, double b) {
  return gt(a, b);
}
inline Tensor operator>(double a, const Tensor& b) {
  return lt(b, a);
}
inline Tensor operator>=(const Tensor& a, const Tensor& b) {
  return ge(a, b);
}
inline Tensor operator>=(const Tensor& a, double b) {
  return ge(a, b);
}
inline Tensor operator>=(double a, const Tensor& b) {
  return le(b, a);
}

}  // namespace tern
