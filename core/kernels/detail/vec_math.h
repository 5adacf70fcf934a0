// Functions of one number for kernels: single precision without branches and calls, so that the compiler turns loops
// over them into vector code; double precision through the C library. For kernel sources only (kernel.h).
//
// Largest errors against f64 over floats spread over all that give normal results (tests/core/vec_math_test.cpp keeps
// them there), in units in the last place, with fused multiply-add or without:
//   exp 1.1, expm1 1.8, log 0.9, log2 1.6, log1p 1.5, tanh 2.5, sigmoid 2.2, erf 1.4, sin and cos 1.6.
// NaN gives NaN; infinities, zeros and overflow give what the C library gives. exp returns subnormals; sigmoid goes to
// 0 where e^-x overflows (x < -88.7).
//
// All are always inlined: one call left in a loop, and the loop is no vector code.
#pragma once

#include <cstdint>

namespace tern::kernels::TERN_ISA::vec {

#ifdef __FMA__
[[gnu::always_inline]] inline float multiply_add(float a, float b, float c) {
  return __builtin_fmaf(a, b, c);
}
#else
[[gnu::always_inline]] inline float multiply_add(float a, float b, float c) {
  return a * b + c;
}
#endif

[[gnu::always_inline]] inline uint32_t bits_of(float v) {
  return __builtin_bit_cast(uint32_t, v);
}
[[gnu::always_inline]] inline float from_bits(uint32_t v) {
  return __builtin_bit_cast(float, v);
}

// 2^k for k in [-126, 127].
[[gnu::always_inline]] inline float power_of_two(int32_t k) {
  return from_bits(static_cast<uint32_t>(k + 127) << 23);
}

// Adding 1.5 * 2^23 leaves the nearest integer in the low mantissa bits.
inline constexpr float kRounder = 12582912.0f;

// x = n log(2) + r, |r| <= log(2) / 2; the two parts of log(2) make n times the first exact.
struct Reduced {
  int32_t n;
  float r;
};
[[gnu::always_inline]] inline Reduced reduce_exponent(float x) {
  const float shifted = multiply_add(x, 1.44269504f, kRounder);
  const float n = shifted - kRounder;
  const float r = multiply_add(n, -1.42860677e-6f, multiply_add(n, -6.93145752e-1f, x));
  return {static_cast<int32_t>(bits_of(shifted) - bits_of(kRounder)), r};
}

// e^r - 1 on [-log(2)/2, log(2)/2]: r + r^2 q(r), q fitted for the least relative error.
[[gnu::always_inline]] inline float expm1_reduced(float r) {
  float q = 1.388251549e-3f;
  q = multiply_add(q, r, 8.366547525e-3f);
  q = multiply_add(q, r, 4.166720062e-2f);
  q = multiply_add(q, r, 1.666654348e-1f);
  q = multiply_add(q, r, 4.999999702e-1f);
  return multiply_add(q * r, r, r);
}

[[gnu::always_inline]] inline float exp(float x) {
  x = x > 89.0f ? 89.0f : x;  // above, the result is infinite in any case; NaN passes
  x = x < -104.0f ? -104.0f : x;
  const Reduced x2 = reduce_exponent(x);
  const int32_t half = x2.n >> 1;  // two factors, as 2^n itself may be no normal number
  return (expm1_reduced(x2.r) + 1.0f) * power_of_two(half) * power_of_two(x2.n - half);
}

[[gnu::always_inline]] inline float expm1(float x) {
  x = x > 89.0f ? 89.0f : x;
  const float bounded = x < -20.0f ? -20.0f : x;  // below, the result is -1
  const Reduced x2 = reduce_exponent(bounded);
  const float p = expm1_reduced(x2.r);
  const float scale = power_of_two(x2.n - 1);
  const float large = (multiply_add(p, scale, scale) - 0.5f) * 2.0f;  // 2^n (1 + p) - 1
  const float small = (multiply_add(p, scale, scale - 0.5f)) * 2.0f;  // 2^n p + (2^n - 1): exact where 2^n is not large
  const float y = x2.n > 20 ? large : small;
  return x2.n == 0 ? p : y;
}

// x = 2^k m, m in [sqrt(1/2), sqrt(2)); x positive and finite.
struct Decomposed {
  float k;
  float f;  // m - 1
};
[[gnu::always_inline]] inline Decomposed decompose(float x) {
  const bool tiny = x < 1.17549435e-38f;
  const uint32_t bits = bits_of(tiny ? x * 8388608.0f : x);
  const int32_t k = static_cast<int32_t>(bits - 0x3f3504f3u) >> 23;
  const float m = from_bits(bits - (static_cast<uint32_t>(k) << 23));
  return {static_cast<float>(k) - (tiny ? 23.0f : 0.0f), m - 1.0f};
}

// log(1 + f) - f + f^2/2 = f^3 P(f).
[[gnu::always_inline]] inline float log_tail(float f) {
  float p = 6.746640801e-2f;
  p = multiply_add(p, f, -1.167565212e-1f);
  p = multiply_add(p, f, 1.188816205e-1f);
  p = multiply_add(p, f, -1.240558922e-1f);
  p = multiply_add(p, f, 1.421955228e-1f);
  p = multiply_add(p, f, -1.666799635e-1f);
  p = multiply_add(p, f, 2.000211924e-1f);
  p = multiply_add(p, f, -2.500000894e-1f);
  p = multiply_add(p, f, 3.333331347e-1f);
  return p * f * f * f;
}

// What a logarithm of x is at 0, below 0, at infinity and NaN; y elsewhere.
[[gnu::always_inline]] inline float log_limits(float x, float y) {
  y = x > 3.40282347e+38f ? x : y;
  y = x == 0.0f ? -__builtin_inff() : y;
  y = x < 0.0f ? __builtin_nanf("") : y;
  return x != x ? x : y;
}

[[gnu::always_inline]] inline float log(float x) {
  const Decomposed d = decompose(x);
  float y = multiply_add(d.k, 1.42860677e-6f, log_tail(d.f));
  y = multiply_add(d.f * d.f, -0.5f, y);
  return log_limits(x, multiply_add(d.k, 6.93145752e-1f, y + d.f));
}

[[gnu::always_inline]] inline float log2(float x) {
  const Decomposed d = decompose(x);
  const float y = multiply_add(d.f * d.f, -0.5f, log_tail(d.f)) + d.f;
  return log_limits(x, multiply_add(y, 1.44269504f, d.k));
}

// log(u) + (x - (u - 1)) / u for u = 1 + x rounded: the second term brings back what the rounding lost.
[[gnu::always_inline]] inline float log1p(float x) {
  const float u = 1.0f + x;
  const float lost = (x - (u - 1.0f)) / u;
  const bool usual = u > 0.0f && u < 3.40282347e+38f;
  return log(u) + (usual ? lost : 0.0f);
}

[[gnu::always_inline]] inline float sigmoid(float x) {
  return 1.0f / (1.0f + exp(-x));
}

[[gnu::always_inline]] inline float tanh(float x) {
  const float magnitude = __builtin_fabsf(x);
  const float bounded = magnitude > 10.0f ? 10.0f : magnitude;
  const float t = expm1(2.0f * bounded);
  return __builtin_copysignf(t / (t + 2.0f), x);
}

// x + x P(x^2) up to 1, 1 - exp(-Q(|x|)) beyond.
[[gnu::always_inline]] inline float erf(float x) {
  const float t = __builtin_fabsf(x);
  const float s = x * x;
  float p = 7.853875286e-5f;
  p = multiply_add(p, s, -8.010198362e-4f);
  p = multiply_add(p, s, 5.188328214e-3f);
  p = multiply_add(p, s, -2.685381286e-2f);
  p = multiply_add(p, s, 1.128358543e-1f);
  p = multiply_add(p, s, -3.761262596e-1f);
  p = multiply_add(p, s, 1.283791661e-1f);
  const float small = multiply_add(p, t, t);
  const float u = t > 4.0f ? 4.0f : t;
  float q = -1.863792131e-4f;
  q = multiply_add(q, u, 2.947658533e-3f);
  q = multiply_add(q, u, -2.183806524e-2f);
  q = multiply_add(q, u, 1.031067520e-1f);
  q = multiply_add(q, u, 6.381448507e-1f);
  q = multiply_add(q, u, 1.127089143e+0f);
  q = multiply_add(q, u, 3.415228566e-4f);
  const float large = 1.0f - exp(-q);
  return __builtin_copysignf(t > 1.0f ? large : small, x);
}

// Sine and cosine by reduction to [-pi/4, pi/4] in double precision, good for |x| up to kTrigonometricLimit; callers
// take libm beyond.
inline constexpr float kTrigonometricLimit = 1e6f;
struct SinCos {
  float sin, cos;
};
[[gnu::always_inline]] inline SinCos sincos(float x) {
  const double magnitude = __builtin_fabsf(x) < kTrigonometricLimit ? static_cast<double>(x) : 0.0;
  const double shifted = magnitude * 6.36619772367581343e-1 + 6755399441055744.0;
  const double n = shifted - 6755399441055744.0;
  const int32_t quadrant = static_cast<int32_t>(n);
  const float r = static_cast<float>((magnitude - n * 1.57079632673412561417e+0) - n * 6.07710050650619224932e-11);
  const float s = r * r;
  float a = -1.951521845e-4f;
  a = multiply_add(a, s, 8.332160302e-3f);
  a = multiply_add(a, s, -1.666665524e-1f);
  const float sin_r = multiply_add(a * s, r, r);
  float b = 2.443308222e-5f;
  b = multiply_add(b, s, -1.388731529e-3f);
  b = multiply_add(b, s, 4.166664556e-2f);
  const float cos_r = multiply_add(b * s, s, multiply_add(s, -0.5f, 1.0f));
  const bool odd = (quadrant & 1) != 0;
  const float sin_part = odd ? cos_r : sin_r, cos_part = odd ? sin_r : cos_r;
  return {(quadrant & 2) != 0 ? -sin_part : sin_part, ((quadrant + 1) & 2) != 0 ? -cos_part : cos_part};
}
[[gnu::always_inline]] inline float sin(float x) {
  return sincos(x).sin;
}
[[gnu::always_inline]] inline float cos(float x) {
  return sincos(x).cos;
}

[[gnu::always_inline]] inline float sqrt(float x) {
  return __builtin_sqrtf(x);
}
[[gnu::always_inline]] inline float fabs(float x) {
  return __builtin_fabsf(x);
}

[[gnu::always_inline]] inline double exp(double x) {
  return __builtin_exp(x);
}
[[gnu::always_inline]] inline double expm1(double x) {
  return __builtin_expm1(x);
}
[[gnu::always_inline]] inline double log(double x) {
  return __builtin_log(x);
}
[[gnu::always_inline]] inline double log2(double x) {
  return __builtin_log2(x);
}
[[gnu::always_inline]] inline double log1p(double x) {
  return __builtin_log1p(x);
}
[[gnu::always_inline]] inline double sigmoid(double x) {
  return 1.0 / (1.0 + __builtin_exp(-x));
}
[[gnu::always_inline]] inline double tanh(double x) {
  return __builtin_tanh(x);
}
[[gnu::always_inline]] inline double erf(double x) {
  return __builtin_erf(x);
}
[[gnu::always_inline]] inline double sin(double x) {
  return __builtin_sin(x);
}
[[gnu::always_inline]] inline double cos(double x) {
  return __builtin_cos(x);
}
[[gnu::always_inline]] inline double sqrt(double x) {
  return __builtin_sqrt(x);
}
[[gnu::always_inline]] inline double fabs(double x) {
  return __builtin_fabs(x);
}

}  // namespace tern::kernels::TERN_ISA::vec
