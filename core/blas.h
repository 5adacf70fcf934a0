// Matrix products by BLAS, always on one thread: callers cut the work by shape and run the pieces with parallel_for.
#pragma once

#include <cstdint>

namespace tern::blas {

/// C = alpha * op(A) op(B) + beta * C, row-major; op(A) is [m, k], op(B) [k, n], C [m, n]. transpose_a means that A is
/// stored as [k, m]; lda, ldb, ldc are the row lengths of the stored matrices. Safe to call from several threads at
/// once. Throws ShapeError for a size or row length of 2^31 or more.
void gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda,
          const float* b, int64_t ldb, float beta, float* c, int64_t ldc);
void gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, double alpha, const double* a,
          int64_t lda, const double* b, int64_t ldb, double beta, double* c, int64_t ldc);

/// What the library says of itself ("OpenBLAS 0.3.21 ... Zen"), for run records.
const char* config();

}  // namespace tern::blas
