// Asking for memory in advance, for kernel sources only.
#pragma once

#include <cstdint>

#ifndef TERN_ISA
#define TERN_ISA portable
#endif

namespace tern::kernels::TERN_ISA {
namespace {

/// Asks for part `index` of `parts` of the elements [0, count) behind `from`. The caches are asked while arithmetic is
/// in progress, a little at a time: a whole block at once would only stall what comes next. (A call of a function that
/// does nothing else the compiler would drop.)
template <class T>
[[gnu::always_inline]] inline void prefetch_part(const T* from, int64_t count, int64_t index, int64_t parts) {
  constexpr int64_t kLine = 64 / static_cast<int64_t>(sizeof(T));
  const int64_t lines = count / kLine + 1;
  const T* end = from + (index + 1) * lines / parts * kLine;
  for (const T* at = from + index * lines / parts * kLine; at < end; at += kLine) __builtin_prefetch(at);
}

}  // namespace
}  // namespace tern::kernels::TERN_ISA
