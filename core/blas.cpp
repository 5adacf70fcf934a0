#include <limits>

#include <cblas.h>
#include <dlfcn.h>

#include <tern/core/blas.h>
#include <tern/core/error.h>

namespace tern::blas {
namespace {

// While one lives, OpenBLAS runs on the calling thread alone: its own threads would fight ours for the cores. Its
// pthread build is told once; its OpenMP build asks that run time, which knows a number of threads for every thread.
class OneThread {
 public:
  OneThread() {
    static const bool told = (openblas_set_num_threads(1), true);
    static_cast<void>(told);
    if (omp().get == nullptr || omp().set == nullptr) return;
    before_ = omp().get();
    if (before_ != 1) omp().set(1);
  }
  ~OneThread() {
    if (before_ > 1) omp().set(before_);
  }
  OneThread(const OneThread&) = delete;
  OneThread& operator=(const OneThread&) = delete;

 private:
  struct OpenMp {
    int (*get)() = reinterpret_cast<int (*)()>(dlsym(RTLD_DEFAULT, "omp_get_max_threads"));
    void (*set)(int) = reinterpret_cast<void (*)(int)>(dlsym(RTLD_DEFAULT, "omp_set_num_threads"));
  };
  static const OpenMp& omp() {
    static const OpenMp functions;
    return functions;
  }
  int before_ = 0;
};

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
  const OneThread one_thread;
  cblas_sgemm(CblasRowMajor, op(ta), op(tb), narrow(m), narrow(n), narrow(k), alpha, a, narrow(lda), b, narrow(ldb),
              beta, c, narrow(ldc));
}

void gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, double alpha, const double* a, int64_t lda,
          const double* b, int64_t ldb, double beta, double* c, int64_t ldc) {
  const OneThread one_thread;
  cblas_dgemm(CblasRowMajor, op(ta), op(tb), narrow(m), narrow(n), narrow(k), alpha, a, narrow(lda), b, narrow(ldb),
              beta, c, narrow(ldc));
}

const char* config() {
  return openblas_get_config();
}

}  // namespace tern::blas
