#define TERN_ISA emulated_avx2
#define TERN_INT_BYTES 32
#define TERN_INT_DOT 0
#include "../../quant/kernels/ternary_gemm.cpp"
