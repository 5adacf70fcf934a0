// The smooth activations that fused kernels share with the element-wise ones: value and slope at x. For kernel sources
// only.
#pragma once

#include <tern/core/kernels/detail/vec_math.h>

namespace tern::kernels::TERN_ISA::vec {

/// Phi, the normal distribution's function, and sqrt(2 pi) times its density, at x.
template <class T>
struct Normal {
  T distribution, bell;
};
[[gnu::always_inline]] inline Normal<double> normal_at(double x) {
  return {0.5 * (1 + erf(x * 0.70710678118654752)), exp(-0.5 * x * x)};
}
// t^2 - square exactly, for `square` = t^2 rounded.
[[gnu::always_inline]] inline float rounding_of_square(float t, float square) {
#ifdef __FMA__
  return multiply_add(t, t, -square);
#else  // the products of halves are exact
  const float high = from_bits(bits_of(t) & 0xfffff000u), low = t - high;
  return ((high * high - square) + 2.0f * high * low) + low * low;
#endif
}
inline constexpr float kTail = 12.8f;
/// f32: with t = |x|, Phi(-t) = e^(-t^2 / 2) M(t), one exponential for both. M, Mills' ratio over sqrt(2 pi), is q
/// times a polynomial in q = 1 / (1 + 0.3 t), fitted for the least relative error (3.5e-9); what rounding t^2 loses is
/// brought back. x Phi(x) is within 7 ulp, far into the lower tail as well, where 1 + erf keeps no digits; 0 below
/// -12.8 (bell: beyond 12.8 on both sides), where they would become subnormal numbers, which some processors are slow
/// with.
[[gnu::always_inline]] inline Normal<float> normal_at(float x) {
  const float magnitude = __builtin_fabsf(x), t = magnitude > kTail ? kTail : magnitude;
  const float square = t * t, lost = rounding_of_square(t, square);
  const Reduced exponent = reduce_exponent(-0.5f * square);  // above -82: one factor will do
  const float rounded = (expm1_reduced(exponent.r) + 1.0f) * power_of_two(exponent.n),
              bell = multiply_add(rounded, -0.5f * lost, rounded);
  const float q = 1.0f / multiply_add(t, 0.3f, 1.0f);
  float m = -2.059469329e-2f;
  m = multiply_add(m, q, 1.122736668e-1f);
  m = multiply_add(m, q, -2.278178775e-1f);
  m = multiply_add(m, q, 1.912345467e-1f);
  m = multiply_add(m, q, -7.894533764e-2f);
  m = multiply_add(m, q, 9.588774753e-2f);
  m = multiply_add(m, q, 7.848747225e-2f);
  m = multiply_add(m, q, 1.102133352e-1f);
  m = multiply_add(m, q, 1.195746211e-1f);
  m = multiply_add(m, q, 1.196865370e-1f);
  const float lower = magnitude > kTail ? 0.0f : bell * (q * m);
  return {x < 0.0f ? lower : 1.0f - lower, magnitude > kTail ? 0.0f : bell};
}

/// x Phi(x).
template <class T>
[[gnu::always_inline]] inline T gelu_erf(T x) {
  return x * normal_at(x).distribution;
}
/// Phi(x) + x phi(x), phi the density.
template <class T>
[[gnu::always_inline]] inline T gelu_erf_slope(T x) {
  const Normal<T> normal = normal_at(x);
  return normal.distribution + x * (T(0.39894228040143268) * normal.bell);
}

/// (1 + tanh(u)) / 2 = sigmoid(2 u), which keeps its digits where tanh is near -1.
template <class T>
[[gnu::always_inline]] inline T gelu_tanh(T x) {
  return x * sigmoid(T(2 * 0.79788456080286536) * (x + T(0.044715) * x * x * x));
}
template <class T>
[[gnu::always_inline]] inline T gelu_tanh_slope(T x) {
  const T square = x * x;
  const T s = sigmoid(T(2 * 0.79788456080286536) * (x + T(0.044715) * square * x));
  const T inner = T(2 * 0.79788456080286536) * (T(1) + T(3 * 0.044715) * square);
  return s + x * (s * (T(1) - s)) * inner;
}

template <class T>
[[gnu::always_inline]] inline T silu(T x) {
  return x * sigmoid(x);
}
template <class T>
[[gnu::always_inline]] inline T silu_slope(T x) {
  const T s = sigmoid(x);
  return s * (T(1) + x * (T(1) - s));
}

/// tanh(log(1 + e^x)) = n / (n + 2) with n = e^x (e^x + 2), and its slope; from 20 on 1 and 0 in either precision.
template <class T>
struct MishGate {
  T value, slope;
};
template <class T>
[[gnu::always_inline]] inline MishGate<T> mish_gate(T x) {
  const T e = exp(x > T(20) ? T(20) : x), n = e * (e + T(2)), scale = T(1) / (n + T(2));
  // The derivative of n / (n + 2) is 2 n' / (n + 2)^2 with n' = 2 e^x (e^x + 1).
  return {x > T(20) ? T(1) : n * scale, x > T(20) ? T(0) : T(4) * e * (e + T(1)) * scale * scale};
}
template <class T>
[[gnu::always_inline]] inline T mish(T x) {
  return x * mish_gate(x).value;
}
template <class T>
[[gnu::always_inline]] inline T mish_slope(T x) {
  const MishGate<T> gate = mish_gate(x);
  return gate.value + x * gate.slope;
}

}  // namespace tern::kernels::TERN_ISA::vec
