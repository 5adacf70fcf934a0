#define TERN_ISA emulated_avx2_vnni
#define TERN_INT_BYTES 32
#define TERN_INT_DOT 1
#include "../../quant/kernels/ternary_gemm.cpp"
