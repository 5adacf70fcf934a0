// Dropout by counter-based random numbers.
#pragma once

#include <tern/core/kernels/kernel.h>

TERN_DECLARE_KERNELS(
    /// y[i] = x[i] * factor where the random number of element i is at least `threshold` (of 2^32), else 0. Element
    /// 32 g + 8 w + b takes word w of the Philox block at position + 8 g + b.
    template <class T> void dropout(const T* x, T* y, int64_t n, uint64_t seed, uint64_t stream, uint64_t position,
                                    uint64_t threshold, T factor);)
