// Integer kernels as they are compiled for instruction sets that this processor may lack, with every instruction as a
// loop (quant/kernels/int_simd.h).
#pragma once

#include <tern/quant/kernels/ternary_gemm.h>

namespace tern::kernels {

namespace emulated_avx2 {
void ternary_product(const TernaryProduct& p);
}
namespace emulated_avx2_vnni {
void ternary_product(const TernaryProduct& p);
}
namespace emulated_avx512_vnni {
void ternary_product(const TernaryProduct& p);
}

}  // namespace tern::kernels
