// Which instruction set the kernels use.
#pragma once

#include <string>
#include <string_view>

namespace tern {

/// Portable C++; AVX2 with FMA; that with AVX-VNNI; AVX-512 F, BW, DQ, VL and VNNI; that with BF16. A later one has
/// wider or more instructions, but a processor need not have all before it: AVX-512 VNNI came before AVX-VNNI.
enum class Isa { kPortable, kAvx2, kAvx2Vnni, kAvx512Vnni, kAvx512 };

/// Whether the processor has the instructions.
bool cpu_has(Isa isa);

/// The instruction set in use: the last one of the list above that the processor has, that this build contains, and
/// that the environment variable TERN_MAX_ISA (one of the names below, read once) allows. Throws ValueError for any
/// other value of the variable.
Isa isa();

/// "portable", "avx2", "avx2_vnni", "avx512_vnni" or "avx512".
std::string_view name_of(Isa isa);

/// The processor's name as the system reports it, for run records; "unknown" if it does not.
std::string cpu_name();

}  // namespace tern
