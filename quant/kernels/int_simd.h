// Vectors of bytes, 16- and 32-bit integers, one function per instruction: what integer kernels are written in, for
// kernel sources only.
//
// TERN_INT_BYTES is the widest vector of the instruction set that is compiled for: 64 (AVX-512 VNNI), 32 (AVX2), or 0;
// TERN_INT_DOT is 1 where vpdpbusd multiplies, adds and widens in one (AVX-512 VNNI, AVX-VNNI).
// A source that defines both itself, before this header, gets the same functions as loops over lanes, as Intel's manual
// has them: how kernels are tested on processors without the instructions.
#pragma once

#include <cstdint>

#ifndef TERN_ISA
#define TERN_ISA portable
#endif

#if defined(TERN_INT_BYTES)
#define TERN_INT_EMULATED 1
#elif defined(__AVX512VNNI__) && defined(__AVX512VL__) && defined(__AVX512BW__)
#define TERN_INT_BYTES 64
#define TERN_INT_DOT 1
#elif defined(__AVX2__)
#define TERN_INT_BYTES 32
#if defined(__AVXVNNI__)
#define TERN_INT_DOT 1
#else
#define TERN_INT_DOT 0
#endif
#else
#define TERN_INT_BYTES 0
#define TERN_INT_DOT 0
#endif

#if TERN_INT_BYTES > 0 && !defined(TERN_INT_EMULATED)
#include <immintrin.h>
#endif

namespace tern::kernels::TERN_ISA {
namespace {

#if TERN_INT_BYTES > 0 && defined(TERN_INT_EMULATED)

template <int kBytes>
struct IntVector {
  alignas(kBytes) uint8_t bytes[kBytes] = {};

  template <class T>
  T get(int lane) const {
    T v;
    __builtin_memcpy(&v, bytes + lane * static_cast<int>(sizeof(T)), sizeof v);
    return v;
  }
  template <class T>
  void set(int lane, T v) {
    __builtin_memcpy(bytes + lane * static_cast<int>(sizeof(T)), &v, sizeof v);
  }
};
using Int32Bytes = IntVector<32>;
using Int64Bytes = IntVector<64>;

// Lane by lane: result[i] = function(i).
template <class T, class V, class F>
inline V each_lane(const F& function) {
  V result;
  for (int i = 0; i < static_cast<int>(sizeof(V) / sizeof(T)); ++i) result.set(i, static_cast<T>(function(i)));
  return result;
}
template <class V>
inline V dot_u8_s8(const V& sum, const V& u, const V& s) {
  return each_lane<int32_t, V>([&](int i) {
    int64_t v = sum.template get<int32_t>(i);
    for (int k = 4 * i; k < 4 * i + 4; ++k) v += u.template get<uint8_t>(k) * s.template get<int8_t>(k);
    return v;  // wraps, as the instruction does
  });
}
template <class V>
inline V add_lanes32(const V& a, const V& b) {
  return each_lane<int32_t, V>([&](int i) { return int64_t{a.template get<int32_t>(i)} + b.template get<int32_t>(i); });
}

inline Int32Bytes load32(const void* p) {
  Int32Bytes v;
  __builtin_memcpy(v.bytes, p, sizeof v.bytes);
  return v;
}
inline void store32(void* p, const Int32Bytes& v) {
  __builtin_memcpy(p, v.bytes, sizeof v.bytes);
}
inline Int32Bytes zero32() {
  return {};
}
inline Int32Bytes set_bytes32(int8_t value) {
  return each_lane<int8_t, Int32Bytes>([&](int) { return value; });
}
inline Int32Bytes set_ints32(int32_t value) {
  return each_lane<int32_t, Int32Bytes>([&](int) { return value; });
}
inline Int32Bytes and32(const Int32Bytes& a, const Int32Bytes& b) {
  return each_lane<uint8_t, Int32Bytes>([&](int i) { return a.bytes[i] & b.bytes[i]; });
}
template <int kBits>
inline Int32Bytes shift_right_u16(const Int32Bytes& v) {
  return each_lane<uint16_t, Int32Bytes>([&](int i) { return v.get<uint16_t>(i) >> kBits; });
}
template <int kBits>
inline Int32Bytes shift_right_s32(const Int32Bytes& v) {
  return each_lane<int32_t, Int32Bytes>([&](int i) { return v.get<int32_t>(i) >> kBits; });
}
inline Int32Bytes add16(const Int32Bytes& a, const Int32Bytes& b) {
  return each_lane<int16_t, Int32Bytes>([&](int i) { return a.get<int16_t>(i) + b.get<int16_t>(i); });
}
inline Int32Bytes add32(const Int32Bytes& a, const Int32Bytes& b) {
  return add_lanes32(a, b);
}
inline Int32Bytes multiply_pairs_u8_s8(const Int32Bytes& u, const Int32Bytes& s) {
  return each_lane<int16_t, Int32Bytes>([&](int i) {
    const int sum = u.get<uint8_t>(2 * i) * s.get<int8_t>(2 * i) + u.get<uint8_t>(2 * i + 1) * s.get<int8_t>(2 * i + 1);
    return sum > 32767 ? 32767 : sum < -32768 ? -32768 : sum;
  });
}
inline Int32Bytes add_pairs_s16(const Int32Bytes& v) {
  return each_lane<int32_t, Int32Bytes>([&](int i) { return v.get<int16_t>(2 * i) + v.get<int16_t>(2 * i + 1); });
}
inline Int32Bytes dot32(const Int32Bytes& sum, const Int32Bytes& u, const Int32Bytes& s) {
  return dot_u8_s8(sum, u, s);
}
inline int32_t sum_of_lanes32(const Int32Bytes& v) {
  int64_t sum = 0;
  for (int i = 0; i < 8; ++i) sum += v.get<int32_t>(i);
  return static_cast<int32_t>(sum);
}
inline void keep_in_register(Int32Bytes&) {}
inline void prefetch(const void*) {}

inline Int64Bytes load64(const void* p) {
  Int64Bytes v;
  __builtin_memcpy(v.bytes, p, sizeof v.bytes);
  return v;
}
inline void store64(void* p, const Int64Bytes& v) {
  __builtin_memcpy(p, v.bytes, sizeof v.bytes);
}
inline Int64Bytes set_ints64(int32_t value) {
  return each_lane<int32_t, Int64Bytes>([&](int) { return value; });
}
inline Int64Bytes add64(const Int64Bytes& a, const Int64Bytes& b) {
  return add_lanes32(a, b);
}
inline Int64Bytes dot64(const Int64Bytes& sum, const Int64Bytes& u, const Int64Bytes& s) {
  return dot_u8_s8(sum, u, s);
}

#elif TERN_INT_BYTES > 0

#define TERN_INT_OP [[gnu::always_inline]] inline

using Int32Bytes = __m256i;

TERN_INT_OP __m256i load32(const void* p) {
  return _mm256_loadu_si256(static_cast<const __m256i*>(p));
}
/// p: aligned to 32 bytes
TERN_INT_OP void store32(void* p, __m256i v) {
  _mm256_store_si256(static_cast<__m256i*>(p), v);
}
TERN_INT_OP __m256i zero32() {
  return _mm256_setzero_si256();
}
TERN_INT_OP __m256i set_bytes32(int8_t value) {
  return _mm256_set1_epi8(value);
}
TERN_INT_OP __m256i set_ints32(int32_t value) {
  return _mm256_set1_epi32(value);
}
TERN_INT_OP __m256i and32(__m256i a, __m256i b) {
  return _mm256_and_si256(a, b);
}
template <int kBits>
TERN_INT_OP __m256i shift_right_u16(__m256i v) {
  return _mm256_srli_epi16(v, kBits);
}
template <int kBits>
TERN_INT_OP __m256i shift_right_s32(__m256i v) {
  return _mm256_srai_epi32(v, kBits);
}
/// An instruction of its own: the compiler would rather add what it multiplies first, and wait for it.
TERN_INT_OP __m256i add16(__m256i a, __m256i b) {
  asm("vpaddw %1, %0, %0" : "+x"(a) : "x"(b));
  return a;
}
TERN_INT_OP __m256i add32(__m256i a, __m256i b) {
  return _mm256_add_epi32(a, b);
}
/// 16-bit lanes: u[2 i] s[2 i] + u[2 i + 1] s[2 i + 1], saturated; u unsigned, s signed bytes
TERN_INT_OP __m256i multiply_pairs_u8_s8(__m256i u, __m256i s) {
  return _mm256_maddubs_epi16(u, s);
}
/// 32-bit lanes: v[2 i] + v[2 i + 1] of 16-bit lanes
TERN_INT_OP __m256i add_pairs_s16(__m256i v) {
  return _mm256_madd_epi16(v, _mm256_set1_epi16(1));
}
TERN_INT_OP int32_t sum_of_lanes32(__m256i v) {
  __m128i s = _mm_add_epi32(_mm256_castsi256_si128(v), _mm256_extracti128_si256(v, 1));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0x4E));
  s = _mm_add_epi32(s, _mm_shuffle_epi32(s, 0xB1));
  return _mm_cvtsi128_si32(s);
}
/// Keeps a value in its register from one round of a loop to the next: GCC 12 would copy it, and run out of them.
TERN_INT_OP void keep_in_register(__m256i& v) {
  asm("" : "+x"(v));
}
TERN_INT_OP void prefetch(const void* p) {
  _mm_prefetch(static_cast<const char*>(p), _MM_HINT_T0);
}

#if TERN_INT_DOT
/// 32-bit lanes: sum[i] + the four products of bytes 4 i .. 4 i + 3; u unsigned, s signed; wraps
TERN_INT_OP __m256i dot32(__m256i sum, __m256i u, __m256i s) {
#if defined(__AVX512VNNI__)
  return _mm256_dpbusd_epi32(sum, u, s);
#else
  return _mm256_dpbusd_avx_epi32(sum, u, s);
#endif
}
#endif

#if TERN_INT_BYTES == 64
using Int64Bytes = __m512i;

/// p: aligned to 64 bytes, here and below
TERN_INT_OP __m512i load64(const void* p) {
  return _mm512_load_si512(p);
}
TERN_INT_OP void store64(void* p, __m512i v) {
  _mm512_store_si512(p, v);
}
TERN_INT_OP __m512i set_ints64(int32_t value) {
  return _mm512_set1_epi32(value);
}
TERN_INT_OP __m512i add64(__m512i a, __m512i b) {
  return _mm512_add_epi32(a, b);
}
TERN_INT_OP __m512i dot64(__m512i sum, __m512i u, __m512i s) {
  return _mm512_dpbusd_epi32(sum, u, s);
}
#endif

#undef TERN_INT_OP

#endif

}  // namespace
}  // namespace tern::kernels::TERN_ISA
