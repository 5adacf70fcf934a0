// The loop that turns quotients into integer codes, for kernel sources only.
#pragma once

#include <cstdint>

#include <tern/core/rounding.h>

#ifndef TERN_ISA
#define TERN_ISA portable
#endif

namespace tern::kernels::TERN_ISA {
namespace {

/// codes[i] = round_clamp(quotient(i), low, high) + shift, for i in [0, n). low, high and shift are integers whose sums
/// fit Code; quotient(i) must not be NaN.
template <class T, class Code, class Quotient>
[[gnu::always_inline]] inline void write_codes(int64_t n, T low, T high, int32_t shift, Code* __restrict codes,
                                               const Quotient& quotient) {
  for (int64_t i = 0; i < n; ++i)
    codes[i] = static_cast<Code>(static_cast<int32_t>(round_clamp(quotient(i), low, high)) + shift);
}

}  // namespace
}  // namespace tern::kernels::TERN_ISA
