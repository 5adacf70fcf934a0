#include "machine.h"

#include <algorithm>
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

struct Unit {
  float (*run)();
  int width;
};

Unit widest() {
#if defined(__x86_64__)
  if (isa() == Isa::kAvx512) return {chains_avx512, 16};
  if (isa() == Isa::kAvx2) return {chains_avx2, 8};
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

}  // namespace tern::bench
