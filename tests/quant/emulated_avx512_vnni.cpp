#define TERN_ISA emulated_avx512_vnni
#define TERN_INT_BYTES 64
#define TERN_INT_DOT 1
#include "../../quant/kernels/ternary_gemm.cpp"
