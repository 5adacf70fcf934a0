#include "machine.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>

#include <tern/core/cpu.h>
#include <tern/core/parallel.h>

namespace tern::bench {
namespace {

constexpr int kChains = 12;  // enough to cover the latency of two units, few enough for sixteen registers
constexpr int64_t kRounds = 1 << 20;

using V4 [[gnu::vector_size(16)]] = float;
using V8 [[gnu::vector_size(32)]] = float;
using V16 [[gnu::vector_size(64)]] = float;

// kRounds rounds of kChains independent multiply-adds of vectors. The loop has no memory operand.
template <class V>
[[gnu::always_inline]] inline float chains() {
  V sum[kChains];
  for (int c = 0; c < kChains; ++c) sum[c] = V{} + static_cast<float>(c);
  V factor = V{} + 0.999F, step = V{} + 0.001F;
  asm volatile("" : "+x"(factor), "+x"(step));  // unknown to the compiler
  for (int64_t i = 0; i < kRounds; ++i) {
#pragma GCC unroll 12
    for (int c = 0; c < kChains; ++c) sum[c] = sum[c] * factor + step;
  }
  float all = 0;
  for (int c = 0; c < kChains; ++c) all += sum[c][0];
  return all;
}

#if defined(__x86_64__)
[[gnu::target("avx512f")]] float chains_avx512() {
  return chains<V16>();
}
[[gnu::target("avx2,fma")]] float chains_avx2() {
  return chains<V8>();
}
#endif
float chains_portable() {
  return chains<V4>();
}

constexpr int64_t kReadBytes = 1 << 20;  // a thread's share at a time

using Loads [[gnu::vector_size(32), gnu::may_alias, gnu::aligned(8)]] = uint64_t;

// All bits of n bytes or-ed together, n a multiple of 256: eight loads that do not wait for one another.
[[gnu::always_inline]] inline uint64_t bits_of(const std::byte* data, int64_t n) {
  const auto* p = reinterpret_cast<const Loads*>(data);
  Loads any[8] = {};
  for (int64_t i = 0; i < n / 32; i += 8) {
#pragma GCC unroll 8
    for (int c = 0; c < 8; ++c) any[c] |= p[i + c];
  }
  for (int c = 1; c < 8; ++c) any[0] |= any[c];
  return any[0][0] | any[0][1] | any[0][2] | any[0][3];
}

#if defined(__x86_64__)
[[gnu::target("avx2")]] uint64_t bits_avx2(const std::byte* data, int64_t n) {
  return bits_of(data, n);
}
#endif
uint64_t bits_portable(const std::byte* data, int64_t n) {
  return bits_of(data, n);
}

struct Unit {
  float (*run)();
  int width;
};

Unit widest() {
#if defined(__x86_64__)
  if (isa() >= Isa::kAvx512Vnni) return {chains_avx512, 16};
  if (isa() != Isa::kPortable) return {chains_avx2, 8};
#endif
  return {chains_portable, 4};
}

}  // namespace

double peak_gflop_per_s() {
  const Unit unit = widest();
  const int threads = num_threads();
  double best = 0;
  for (int repeat = 0; repeat < 8; ++repeat) {
    const auto start = std::chrono::steady_clock::now();
    parallel_for(threads, 1, [&](int64_t, int64_t) {
      volatile float kept = unit.run();
      static_cast<void>(kept);
    });
    const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    best = std::max(best, 2.0 * kChains * static_cast<double>(kRounds) * unit.width * threads / seconds * 1e-9);
  }
  return best;
}

uint64_t read_all(const std::byte* data, int64_t bytes) {
  auto* bits = bits_portable;
#if defined(__x86_64__)
  if (isa() != Isa::kPortable) bits = bits_avx2;
#endif
  std::atomic<uint64_t> all = 0;
  parallel_for(bytes / 256, kReadBytes / 256, [&](int64_t begin, int64_t end) {
    all.fetch_or(bits(data + begin * 256, (end - begin) * 256), std::memory_order_relaxed);
  });
  return all;
}

}  // namespace tern::bench
