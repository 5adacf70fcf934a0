// Vectors of one register for kernel sources: GCC's vector extensions at the width of the instruction set that the
// source is being compiled for, so that one text serves SSE, AVX2 and AVX-512. Only kernel sources include this header
// (TERN_ISA is defined there alone).
#pragma once

#include <cstdint>

namespace tern::kernels::TERN_ISA {
namespace {

#if defined(__AVX512F__)
constexpr int64_t kVectorBytes = 64;
#elif defined(__AVX__)
constexpr int64_t kVectorBytes = 32;
#else
constexpr int64_t kVectorBytes = 16;
#endif

template <class T>
struct VectorOf {
  typedef T type __attribute__((vector_size(kVectorBytes)));
};
template <class T>
using Vec = typename VectorOf<T>::type;
template <class T>
constexpr int64_t kWidth = kVectorBytes / static_cast<int64_t>(sizeof(T));  // elements in a vector

template <class T>
[[gnu::always_inline]] inline Vec<T> load(const T* p) {
  Vec<T> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

template <class T>
[[gnu::always_inline]] inline void store(T* p, Vec<T> v) {
  __builtin_memcpy(p, &v, sizeof v);
}

template <class T>
[[gnu::always_inline]] inline Vec<T> broadcast(T x) {
  return x - Vec<T>{};  // keeps the sign of zero
}

// The first n < kWidth elements, the rest `fill`.
template <class T>
[[gnu::always_inline]] inline Vec<T> load_some(const T* p, int64_t n, T fill = T(0)) {
  Vec<T> v = broadcast(fill);
  for (int64_t i = 0; i < n; ++i) v[i] = p[i];
  return v;
}

template <class T>
[[gnu::always_inline]] inline void store_some(T* p, Vec<T> v, int64_t n) {
  for (int64_t i = 0; i < n; ++i) p[i] = v[i];
}

// b where a is NaN, as the instruction has it.
template <class V>
[[gnu::always_inline]] inline V max_of(V a, V b) {
  return a > b ? a : b;
}

template <class T>
[[gnu::always_inline]] inline T sum_lanes(Vec<T> v) {
  T lanes[kWidth<T>];
  store(lanes, v);
  for (int64_t half = kWidth<T> / 2; half > 0; half /= 2)
    for (int64_t i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  return lanes[0];
}

template <class T>
[[gnu::always_inline]] inline T max_lanes(Vec<T> v) {
  T best = v[0];
  for (int64_t i = 1; i < kWidth<T>; ++i) best = v[i] > best ? v[i] : best;
  return best;
}

// Sum of term(i) over i in [0, n): term_vector(i) gives kWidth terms at once. Four running sums hide the latency of
// the additions; they and their lanes are added in a fixed order.
template <class T, class VectorTerm, class Term>
[[gnu::always_inline]] inline T sum_terms(int64_t n, const VectorTerm& term_vector, const Term& term) {
  constexpr int64_t w = kWidth<T>;
  Vec<T> s0{}, s1{}, s2{}, s3{};
  int64_t i = 0;
  for (; i + 4 * w <= n; i += 4 * w) {
    s0 += term_vector(i);
    s1 += term_vector(i + w);
    s2 += term_vector(i + 2 * w);
    s3 += term_vector(i + 3 * w);
  }
  for (; i + w <= n; i += w) s0 += term_vector(i);
  T sum = sum_lanes<T>((s0 + s1) + (s2 + s3));
  for (; i < n; ++i) sum += term(i);
  return sum;
}

}  // namespace
}  // namespace tern::kernels::TERN_ISA
