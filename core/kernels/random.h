// Random fills: element i depends on the generator's state and i alone.
#pragma once

#include <cstdint>

#include <tern/core/kernels/kernel.h>

namespace tern {

/// Where a Generator stands (random.h), for kernels.
struct PhiloxPlace {
  uint64_t seed = 0;
  uint64_t stream = 0;
  uint64_t position = 0;
};

/// Elements that one block of four 32-bit numbers gives: a uniform or normal f32 takes one number, an f64 two.
template <class T>
inline constexpr int64_t kElementsPerBlock = sizeof(T) == 4 ? 4 : 2;

}  // namespace tern

TERN_DECLARE_KERNELS(
    /// x[i] uniform in [low, high). x: [n], f32 or f64; uses ceil(n / kElementsPerBlock<T>) blocks.
    template <class T> void fill_uniform(T* x, int64_t n, PhiloxPlace place, T low, T high);
    /// x[i] normal. Uses as many blocks.
    template <class T> void fill_normal(T* x, int64_t n, PhiloxPlace place, T mean, T deviation);
    /// Raw numbers, x[4 i + k] = block i's k-th. x: [4 * blocks]
    void fill_bits(uint32_t* x, int64_t blocks, PhiloxPlace place);)
