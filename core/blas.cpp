#include <algorithm>
#include <cmath>
#include <limits>
#include <vector>

#include <cblas.h>
#include <dlfcn.h>

#include <tern/core/blas.h>
#include <tern/core/error.h>

// LAPACK is Fortran: arguments by address, matrices by columns (the transposes of ours), lengths of texts at the end.
extern "C" {
void dgesdd_(const char* job, const blasint* m, const blasint* n, double* a, const blasint* lda, double* s, double* u,
             const blasint* ldu, double* vt, const blasint* ldvt, double* work, const blasint* lwork, blasint* iwork,
             blasint* info, size_t);
void dsyevd_(const char* job, const char* half, const blasint* n, double* a, const blasint* lda, double* w,
             double* work, const blasint* lwork, blasint* iwork, const blasint* liwork, blasint* info, size_t, size_t);
void dposv_(const char* half, const blasint* n, const blasint* columns, double* a, const blasint* lda, double* b,
            const blasint* ldb, blasint* info, size_t);
}

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

void check_finite(const char* op, const double* a, int64_t count) {
  for (int64_t i = 0; i < count; ++i)
    TERN_CHECK(std::isfinite(a[i]), NonFiniteError, "[", op, "] expected finite entries, got ", a[i], " at ", i);
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

void svd(int64_t m, int64_t n, double* a, double* u, double* s, double* vt) {
  if (m == 0 || n == 0) return;
  check_finite("svd", a, m * n);
  const OneThread one_thread;
  // By columns a is A^T [n, m] = V diag(s) U^T, so what LAPACK calls U is our V^T by rows, and the other way round.
  const blasint rows = narrow(n), columns = narrow(m), rank = std::min(rows, columns);
  std::vector<blasint> integers(8 * static_cast<size_t>(rank));
  double wanted = 0;
  blasint info = 0, length = -1;
  dgesdd_("S", &rows, &columns, a, &rows, s, vt, &rows, u, &rank, &wanted, &length, integers.data(), &info, 1);
  length = static_cast<blasint>(wanted);
  std::vector<double> work(static_cast<size_t>(length));
  dgesdd_("S", &rows, &columns, a, &rows, s, vt, &rows, u, &rank, work.data(), &length, integers.data(), &info, 1);
  TERN_CHECK(info == 0, NonFiniteError, "[svd] expected singular values, got no convergence for a matrix of [", m, ", ",
             n, "]");
}

void symmetric_eigen(int64_t n, double* a, double* values) {
  if (n == 0) return;
  check_finite("symmetric_eigen", a, n * n);
  const OneThread one_thread;
  const blasint size = narrow(n);
  double wanted = 0;
  blasint info = 0, length = -1, wanted_integers = 0, integer_length = -1;
  dsyevd_("V", "L", &size, a, &size, values, &wanted, &length, &wanted_integers, &integer_length, &info, 1, 1);
  length = static_cast<blasint>(wanted), integer_length = wanted_integers;
  std::vector<double> work(static_cast<size_t>(length));
  std::vector<blasint> integers(static_cast<size_t>(integer_length));
  dsyevd_("V", "L", &size, a, &size, values, work.data(), &length, integers.data(), &integer_length, &info, 1, 1);
  TERN_CHECK(info == 0, NonFiniteError, "[symmetric_eigen] expected eigenvalues, got no convergence for a matrix of [",
             n, ", ", n, "]");
}

void solve_positive(int64_t n, int64_t columns, double* a, double* b) {
  if (n == 0 || columns == 0) return;
  const OneThread one_thread;
  const blasint size = narrow(n), count = narrow(columns);
  blasint info = 0;
  dposv_("L", &size, &count, a, &size, b, &size, &info, 1);
  TERN_CHECK(info == 0, ValueError, "[solve_positive] expected a positive definite matrix, got one whose pivot ", info,
             " is not above 0");
}

const char* config() {
  return openblas_get_config();
}

}  // namespace tern::blas
