// What the machine can do, measured: the bounds that workloads are held against.
#pragma once

#include <cstddef>
#include <cstdint>

namespace tern::bench {

/// Fused multiply-adds in single precision from registers to registers, on all threads and with the widest vectors that
/// the kernels may use (TERN_MAX_ISA): 1e9 operations a second, two a multiply-add. The best of several short runs.
double peak_gflop_per_s();

/// Reads `bytes` bytes once, on all threads, with vector loads and next to nothing else, and returns something that
/// depends on each.
uint64_t read_all(const std::byte* data, int64_t bytes);

}  // namespace tern::bench
