#include <tern/core/kernels/dropout.h>

namespace tern::kernels::TERN_ISA {
namespace {

constexpr int kBlocks = 8;  // Philox blocks that are computed side by side

// The four words of kBlocks consecutive blocks, as philox() in random.cpp computes them.
void philox_blocks(uint64_t position, uint64_t stream, uint64_t seed, uint32_t (*words)[kBlocks]) {
  uint32_t c0[kBlocks], c1[kBlocks], c2[kBlocks], c3[kBlocks];
  for (int b = 0; b < kBlocks; ++b) {
    const uint64_t p = position + static_cast<uint64_t>(b);
    c0[b] = static_cast<uint32_t>(p);
    c1[b] = static_cast<uint32_t>(p >> 32);
    c2[b] = static_cast<uint32_t>(stream);
    c3[b] = static_cast<uint32_t>(stream >> 32);
  }
  uint32_t k0 = static_cast<uint32_t>(seed), k1 = static_cast<uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    for (int b = 0; b < kBlocks; ++b) {
      const uint64_t p0 = uint64_t{0xD2511F53u} * c0[b], p1 = uint64_t{0xCD9E8D57u} * c2[b];
      c0[b] = static_cast<uint32_t>(p1 >> 32) ^ c1[b] ^ k0;
      c2[b] = static_cast<uint32_t>(p0 >> 32) ^ c3[b] ^ k1;
      c1[b] = static_cast<uint32_t>(p1);
      c3[b] = static_cast<uint32_t>(p0);
    }
    k0 += 0x9E3779B9u;
    k1 += 0xBB67AE85u;
  }
  for (int b = 0; b < kBlocks; ++b) {
    words[0][b] = c0[b];
    words[1][b] = c1[b];
    words[2][b] = c2[b];
    words[3][b] = c3[b];
  }
}

}  // namespace

template <class T>
void dropout(const T* x, T* y, int64_t n, uint64_t seed, uint64_t stream, uint64_t position, uint64_t threshold,
             T factor) {
  constexpr int64_t kGroup = 4 * kBlocks;
  const bool all = threshold > 0xffffffffu;  // p = 1
  const uint32_t limit = static_cast<uint32_t>(threshold);
  parallel_for((n + kGroup - 1) / kGroup, kElementwiseGrain / 2 / kGroup, [=](int64_t begin, int64_t end) {
    for (int64_t g = begin; g < end; ++g) {
      uint32_t words[4][kBlocks];
      philox_blocks(position + static_cast<uint64_t>(g) * kBlocks, stream, seed, words);
      const uint32_t* word = &words[0][0];
      const T* from = x + g * kGroup;
      T* to = y + g * kGroup;
      const int64_t count = n - g * kGroup < kGroup ? n - g * kGroup : kGroup;
      if (count == kGroup && !all) {
        for (int64_t i = 0; i < kGroup; ++i) to[i] = word[i] >= limit ? from[i] * factor : T(0);
      } else {
        for (int64_t i = 0; i < count; ++i) to[i] = !all && word[i] >= limit ? from[i] * factor : T(0);
      }
    }
  });
}

template void dropout(const float*, float*, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, float);
template void dropout(const double*, double*, int64_t, uint64_t, uint64_t, uint64_t, uint64_t, double);

}  // namespace tern::kernels::TERN_ISA
