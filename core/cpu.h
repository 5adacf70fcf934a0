// Which instruction set the kernels use.
#pragma once

#include <string>
#include <string_view>

namespace tern {

/// Portable C++; AVX2 with FMA; AVX-512 F, BW, DQ, VL, VNNI and BF16.
enum class Isa { kPortable, kAvx2, kAvx512 };

/// The instruction set in use: the best one that the processor has, that this build contains, and that the environment
/// variable TERN_MAX_ISA ("portable", "avx2" or "avx512", read once) allows. Throws ValueError for any other value of
/// the variable.
Isa isa();

/// "portable", "avx2" or "avx512".
std::string_view name_of(Isa isa);

/// The processor's name as the system reports it, for run records; "unknown" if it does not.
std::string cpu_name();

}  // namespace tern
