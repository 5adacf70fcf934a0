// Matrix products by BLAS and factorizations by LAPACK, both OpenBLAS', always on one thread: callers cut the work by
// shape and run the pieces with parallel_for. The first call loads the library. Every function throws IoError where
// this machine has no OpenBLAS, and MemoryError where the system does not give it the address space it works in: 128 MB
// per thread that calls at the same time, or fewer calls at a time where there is less.
#pragma once

#include <cstdint>

namespace tern::blas {

/// C = alpha * op(A) op(B) + beta * C, row-major; op(A) is [m, k], op(B) [k, n], C [m, n]. transpose_a means that A is
/// stored as [k, m]; lda, ldb, ldc are the row lengths of the stored matrices. Safe to call from several threads at
/// once, with a build of OpenBLAS that is not as well (Debian's serial one, where calls then wait for each other).
/// Throws ShapeError for a size or row length of 2^31 or more.
void gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda,
          const float* b, int64_t ldb, float beta, float* c, int64_t ldc);
void gemm(bool transpose_a, bool transpose_b, int64_t m, int64_t n, int64_t k, double alpha, const double* a,
          int64_t lda, const double* b, int64_t ldb, double beta, double* c, int64_t ldc);

/// Singular values of a [m, n], row-major, which is overwritten: A = U diag(s) V^T with r = min(m, n), u [m, r], s [r]
/// falling, vt [r, n]. Signs of the vectors are the library's. Throws ShapeError as gemm, NonFiniteError where a has
/// NaN or infinity, or where the iteration does not converge.
void svd(int64_t m, int64_t n, double* a, double* u, double* s, double* vt);
/// Eigenvalues of a symmetric a [n, n], rising, and its eigenvectors, which overwrite it, one a row. Throws likewise.
void symmetric_eigen(int64_t n, double* a, double* values);
/// Solves A X = B for a symmetric positive definite a [n, n] by Cholesky's factorization, both overwritten: b [columns,
/// n] holds B's columns as rows, and X's in the end. Throws ShapeError as gemm, ValueError unless a is positive
/// definite.
void solve_positive(int64_t n, int64_t columns, double* a, double* b);

/// What the library says of itself ("OpenBLAS 0.3.21 ... Zen"), for run records.
const char* config();

}  // namespace tern::blas
