#include <limits>
#include <mutex>

#include <cblas.h>

#include <tern/core/blas.h>
#include <tern/core/error.h>

namespace tern::blas {
namespace {

void prepare() {
  static std::once_flag once;  // OpenBLAS' own threads would fight ours for the cores
  std::call_once(once, [] { openblas_set_num_threads(1); });
}

blasint narrow(int64_t v) {
  TERN_CHECK(v <= std::numeric_limits<blasint>::max(), ShapeError, "[matmul] expected matrix sizes below 2^31, got ",
             v);
  return static_cast<blasint>(v);
}

CBLAS_TRANSPOSE op(bool transpose) {
  return transpose ? CblasTrans : CblasNoTrans;
}

}  // namespace

void gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, float alpha, const float* a, int64_t lda, const float* b,
          int64_t ldb, float beta, float* c, int64_t ldc) {
  prepare();
  cblas_sgemm(CblasRowMajor, op(ta), op(tb), narrow(m), narrow(n), narrow(k), alpha, a, narrow(lda), b, narrow(ldb),
              beta, c, narrow(ldc));
}

void gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, double alpha, const double* a, int64_t lda,
          const double* b, int64_t ldb, double beta, double* c, int64_t ldc) {
  prepare();
  cblas_dgemm(CblasRowMajor, op(ta), op(tb), narrow(m), narrow(n), narrow(k), alpha, a, narrow(lda), b, narrow(ldb),
              beta, c, narrow(ldc));
}

const char* config() {
  return openblas_get_config();
}

}  // namespace tern::blas
