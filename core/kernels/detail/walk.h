// Walking through positions over a few axes, for kernel sources that need more than run_plan gives.
#pragma once

#include <cstdint>

#ifndef TERN_ISA
#define TERN_ISA portable
#endif

namespace tern::kernels::TERN_ISA {
namespace {

/// A position over `axes` axes, innermost first, with the offsets that it has in N arrays of those strides.
template <int N>
struct Walk {
  int64_t axes;
  const int64_t* size;
  const int64_t* stride[N];
  int64_t index[8] = {};
  int64_t at[N] = {};

  void seek(int64_t position) {
    for (int k = 0; k < N; ++k) at[k] = 0;
    for (int64_t a = 0; a < axes; ++a) {
      index[a] = position % size[a];
      position /= size[a];
      for (int k = 0; k < N; ++k) at[k] += index[a] * stride[k][a];
    }
  }
  void next() {
    for (int64_t a = 0; a < axes; ++a) {
      for (int k = 0; k < N; ++k) at[k] += stride[k][a];
      if (++index[a] < size[a]) return;
      for (int k = 0; k < N; ++k) at[k] -= size[a] * stride[k][a];
      index[a] = 0;
    }
  }
};

}  // namespace
}  // namespace tern::kernels::TERN_ISA
