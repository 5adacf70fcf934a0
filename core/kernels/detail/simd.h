// Vectors of the widest kind that the instruction set has, for kernel sources only. One source serves all of them
// through the compiler's vector types: +, *, < and ?: work lane by lane.
#pragma once

#include <cstdint>

#ifndef TERN_ISA
#define TERN_ISA portable
#endif

namespace tern::kernels::TERN_ISA {
namespace {

#if defined(__AVX512F__)
inline constexpr int kVectorBytes = 64;
#elif defined(__AVX__)
inline constexpr int kVectorBytes = 32;
#else
inline constexpr int kVectorBytes = 16;
#endif

template <int kBytes>
struct IntOf;
template <>
struct IntOf<4> {
  using type = int32_t;
};
template <>
struct IntOf<8> {
  using type = int64_t;
};

template <class T>
struct Simd {
  static constexpr int kWidth = kVectorBytes / static_cast<int>(sizeof(T));
  typedef T Vec __attribute__((vector_size(kVectorBytes)));
  typedef typename IntOf<sizeof(T)>::type Int __attribute__((vector_size(kVectorBytes)));
  typedef T Loose __attribute__((vector_size(kVectorBytes), aligned(sizeof(T)), may_alias));

  [[gnu::always_inline]] static Vec load(const T* p) { return *reinterpret_cast<const Loose*>(p); }
  [[gnu::always_inline]] static void store(T* p, Vec v) { *reinterpret_cast<Loose*>(p) = v; }
  [[gnu::always_inline]] static Vec broadcast(T v) { return v - Vec{}; }
  /// The n < kWidth elements at p, the other lanes filled.
  static Vec load_first(const T* p, int64_t n, T fill) {
    Vec v = broadcast(fill);
    for (int64_t i = 0; i < n; ++i) v[i] = p[i];
    return v;
  }
  static void store_first(T* p, Vec v, int64_t n) {
    for (int64_t i = 0; i < n; ++i) p[i] = v[i];
  }
};

/// The larger of two; NaN if either is.
template <class V>
[[gnu::always_inline]] inline V larger(V a, V b) {
  return ((a > b) | (a != a)) ? a : b;
}
template <class V>
[[gnu::always_inline]] inline V smaller(V a, V b) {
  return ((a < b) | (a != a)) ? a : b;
}

/// e^x in every lane. f32: x = n ln2 + r with |r| <= ln2 / 2, a polynomial of degree 7 in r, times 2^n in two steps so
/// that results below the normal range come out right; within 2 ulp. f64: the C library's.
[[gnu::always_inline]] inline Simd<float>::Vec exponential(Simd<float>::Vec x) {
  using S = Simd<float>;
  using V = S::Vec;
  using I = S::Int;
  const V low = S::broadcast(-104.0f), high = S::broadcast(89.0f);
  x = x < low ? low : x;  // NaN passes through both
  x = x > high ? high : x;
  const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, left in the low bits
  const V shifted = x * 1.44269504088896341f + magic;
  const V n = shifted - magic;
  const V r = x - n * 0.693359375f - n * -2.12194440e-4f;
  V y = S::broadcast(1.9875691500e-4f);
  y = y * r + 1.3981999507e-3f;
  y = y * r + 8.3334519073e-3f;
  y = y * r + 4.1665795894e-2f;
  y = y * r + 1.6666665459e-1f;
  y = y * r + 5.0000001201e-1f;
  y = y * (r * r) + r + 1.0f;
  const I exponent = reinterpret_cast<I>(shifted) - 0x4B400000;
  const I half = exponent >> 1;
  const V first = reinterpret_cast<V>((half + 127) << 23);
  const V second = reinterpret_cast<V>((exponent - half + 127) << 23);
  return y * first * second;
}
inline Simd<double>::Vec exponential(Simd<double>::Vec x) {
  for (int l = 0; l < Simd<double>::kWidth; ++l) x[l] = __builtin_exp(x[l]);
  return x;
}
inline float exponential(float x) {
  return __builtin_expf(x);
}
inline double exponential(double x) {
  return __builtin_exp(x);
}

/// Sum of the lanes, in order.
template <class V>
[[gnu::always_inline]] inline double sum_of_lanes(V v) {
  double sum = 0;
  for (unsigned l = 0; l < sizeof(V) / sizeof(v[0]); ++l) sum += static_cast<double>(v[l]);
  return sum;
}

}  // namespace
}  // namespace tern::kernels::TERN_ISA
