#include <algorithm>
#include <cmath>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <semaphore>
#include <string>
#include <string_view>
#include <vector>

#include <cblas.h>
#include <dlfcn.h>
#include <sys/mman.h>
#include <unistd.h>

#include <tern/core/error.h>
#include <tern/core/linalg/blas.h>
#include <tern/core/storage.h>

// OpenBLAS is loaded by the first call, not with the program. Its builds map 128 MB of address space while they load
// (the one with OpenMP per processor) and per thread that calls them, and where the system refuses, they ask again for
// ever; the one with threads also ends a program that may not start any. So what it will ask for is asked for here
// first, where a refusal is an error.
//
// Each of Debian's three builds computes the same bits on one thread. The serial one, whose list of buffers has no
// lock, takes one call at a time: two threads inside it would compute in one buffer.

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

constexpr size_t kBufferBytes = size_t{128} << 20;  // address space of a buffer of OpenBLAS; few of its pages are used
constexpr size_t kSpareBytes = size_t{16} << 20;    // for what other threads take between our question and OpenBLAS'
constexpr size_t kLibraryBytes = size_t{64} << 20;  // of the library itself and those it needs
constexpr int kMaxCalls = 64;                       // OpenBLAS keeps at least that many buffers

bool can_map(size_t bytes) {
  void* const area = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (area == MAP_FAILED) return false;
  munmap(area, bytes);
  return true;
}

bool can_map_after_release(size_t bytes) {
  if (can_map(bytes)) return true;
  release_cached_memory();
  return can_map(bytes);
}

[[noreturn]] void throw_no_space(size_t bytes) {
  throw MemoryError(concat("[blas] the system has no memory for ", bytes,
                           " bytes of address space, which OpenBLAS wants (", memory_stats().live_bytes,
                           " bytes are in use by tensors)"));
}

// A variable of the environment has another value while one lives. Other threads may read the environment meanwhile
// (libjpeg does for each picture), and setenv and unsetenv free and move what they read. So `environ` points to a copy
// instead, which is never freed, and then again to what it was. One at a time, or one inside another.
class EnvironmentScope {
 public:
  EnvironmentScope(const std::string& name, const std::string& value) : before_(environ) {
    struct Copy {
      std::string assignment;
      std::vector<char*> entries;
    };
    static auto& copies = *new std::vector<std::unique_ptr<Copy>>();
    copies.push_back(std::make_unique<Copy>());
    Copy& copy = *copies.back();
    copy.assignment = name + "=" + value;
    copy.entries.push_back(copy.assignment.data());
    for (char** entry = before_; entry != nullptr && *entry != nullptr; ++entry)
      if (!std::string_view(*entry).starts_with(name + "=")) copy.entries.push_back(*entry);
    copy.entries.push_back(nullptr);
    copy_ = copy.entries.data();
    __atomic_store_n(&environ, copy_, __ATOMIC_RELEASE);
  }
  ~EnvironmentScope() {
    // Where the program has called setenv meanwhile, the environment is an array that setenv made: it stays.
    if (__atomic_load_n(&environ, __ATOMIC_ACQUIRE) == copy_) __atomic_store_n(&environ, before_, __ATOMIC_RELEASE);
  }
  EnvironmentScope(const EnvironmentScope&) = delete;
  EnvironmentScope& operator=(const EnvironmentScope&) = delete;

 private:
  char** before_;
  char** copy_ = nullptr;
};

// The functions of OpenBLAS, and who may call them.
class Library {
 public:
  static Library& instance() {
    static Library library;  // a constructor that throws runs again at the next call
    return library;
  }

  decltype(&cblas_sgemm) sgemm = nullptr;
  decltype(&cblas_dgemm) dgemm = nullptr;
  decltype(&dgesdd_) dgesdd = nullptr;
  decltype(&dsyevd_) dsyevd = nullptr;
  decltype(&dposv_) dposv = nullptr;
  decltype(&openblas_get_config) get_config = nullptr;
  int (*omp_get_max_threads)() = nullptr;  // both null without OpenMP
  void (*omp_set_num_threads)(int) = nullptr;

  // A call needs a buffer that no other call uses: one that is there, else another one, else it waits for its turn.
  void enter() {
    if (!idle_buffers_.try_acquire() && !add_buffer()) idle_buffers_.acquire();
  }
  void leave() { idle_buffers_.release(); }

 private:
  Library() {
    if (!can_map_after_release(kLibraryBytes + kBufferBytes)) throw_no_space(kLibraryBytes + kBufferBytes);
    // Threads of its own are not started, as they would fight ours for the processors. The build with OpenMP maps
    // a buffer for each of its threads; that it is to have one is said only where that leaves no room, because OpenMP
    // is the whole program's.
    const EnvironmentScope threads("OPENBLAS_NUM_THREADS", "1");
    std::optional<EnvironmentScope> omp_threads;
    const auto processors = static_cast<size_t>(std::max(1L, sysconf(_SC_NPROCESSORS_CONF)));
    if (!can_map(kLibraryBytes + (processors + 2) * kBufferBytes)) omp_threads.emplace("OMP_NUM_THREADS", "1");
    void* handle = nullptr;
    std::string problem;
    for (const char* name : {TERN_OPENBLAS_NAMES}) {
      if (handle == nullptr) handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
      if (handle == nullptr && problem.empty()) problem = dlerror();
    }
    TERN_CHECK(handle != nullptr, IoError, "[blas] expected OpenBLAS on this machine, got ", problem);
    find(handle, "cblas_sgemm", sgemm);
    find(handle, "cblas_dgemm", dgemm);
    find(handle, "dgesdd_", dgesdd);
    find(handle, "dsyevd_", dsyevd);
    find(handle, "dposv_", dposv);
    find(handle, "openblas_get_config", get_config);
    decltype(&openblas_get_parallel) get_parallel = nullptr;
    find(handle, "openblas_get_parallel", get_parallel);
    const int parallel = get_parallel();
    if (parallel == OPENBLAS_SEQUENTIAL) max_calls_ = 1;
    if (parallel == OPENBLAS_THREAD) {  // it may have been in the process before
      decltype(&openblas_set_num_threads) set_num_threads = nullptr;
      find(handle, "openblas_set_num_threads", set_num_threads);
      set_num_threads(1);
    }
    if (parallel == OPENBLAS_OPENMP) {
      find(handle, "omp_get_max_threads", omp_get_max_threads);
      find(handle, "omp_set_num_threads", omp_set_num_threads);
    }
    // Not in its header, but there since its first version.
    memory_alloc_ = reinterpret_cast<void* (*)(int)>(dlsym(handle, "blas_memory_alloc"));
    memory_free_ = reinterpret_cast<void (*)(void*)>(dlsym(handle, "blas_memory_free"));
  }

  template <class Function>
  static void find(void* handle, const char* name, Function& function) {
    function = reinterpret_cast<Function>(dlsym(handle, name));
    TERN_CHECK(function != nullptr, IoError, "[blas] expected OpenBLAS with ", name, ", got one without");
  }

  // Has OpenBLAS map one more buffer, for the caller; false if there may be no more of them.
  bool add_buffer() {
    const std::lock_guard lock(mutex_);
    if (calls_ == max_calls_) return false;
    if (!can_map_after_release(kBufferBytes + kSpareBytes)) {
      if (calls_ == 0) throw_no_space(kBufferBytes);
      return false;
    }
    if (memory_alloc_ != nullptr && memory_free_ != nullptr) {
      std::vector<void*> held;
      held.reserve(buffers_.size() + 1);
      buffers_.reserve(buffers_.size() + 1);
      while (held.size() <= buffers_.size()) {  // those that nobody uses come first
        held.push_back(memory_alloc_(0));
        if (std::find(buffers_.begin(), buffers_.end(), held.back()) == buffers_.end()) break;
      }
      buffers_.push_back(held.back());
      for (void* buffer : held) memory_free_(buffer);
    }
    ++calls_;
    return true;
  }

  void* (*memory_alloc_)(int) = nullptr;
  void (*memory_free_)(void*) = nullptr;
  std::counting_semaphore<> idle_buffers_{0};
  std::mutex mutex_;
  int max_calls_ = kMaxCalls;
  int calls_ = 0;  // how many may be inside at a time now
  std::vector<void*> buffers_;
};

// While one lives, the calling thread may call OpenBLAS, which computes on that thread alone. OpenMP knows a number of
// threads for every thread of the program.
class Call {
 public:
  Call() : library_(Library::instance()) {
    library_.enter();
    if (library_.omp_get_max_threads == nullptr) return;
    before_ = library_.omp_get_max_threads();
    if (before_ != 1) library_.omp_set_num_threads(1);
  }
  ~Call() {
    if (before_ > 1) library_.omp_set_num_threads(before_);
    library_.leave();
  }
  Call(const Call&) = delete;
  Call& operator=(const Call&) = delete;
  const Library* operator->() const { return &library_; }

 private:
  Library& library_;
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
  const Call openblas;
  openblas->sgemm(CblasRowMajor, op(ta), op(tb), narrow(m), narrow(n), narrow(k), alpha, a, narrow(lda), b, narrow(ldb),
                  beta, c, narrow(ldc));
}

void gemm(bool ta, bool tb, int64_t m, int64_t n, int64_t k, double alpha, const double* a, int64_t lda,
          const double* b, int64_t ldb, double beta, double* c, int64_t ldc) {
  const Call openblas;
  openblas->dgemm(CblasRowMajor, op(ta), op(tb), narrow(m), narrow(n), narrow(k), alpha, a, narrow(lda), b, narrow(ldb),
                  beta, c, narrow(ldc));
}

void svd(int64_t m, int64_t n, double* a, double* u, double* s, double* vt) {
  if (m == 0 || n == 0) return;
  check_finite("svd", a, m * n);
  const Call openblas;
  // By columns a is A^T [n, m] = V diag(s) U^T, so what LAPACK calls U is our V^T by rows, and the other way round.
  const blasint rows = narrow(n), columns = narrow(m), rank = std::min(rows, columns);
  std::vector<blasint> integers(8 * static_cast<size_t>(rank));
  double wanted = 0;
  blasint info = 0, length = -1;
  openblas->dgesdd("S", &rows, &columns, a, &rows, s, vt, &rows, u, &rank, &wanted, &length, integers.data(), &info, 1);
  length = static_cast<blasint>(wanted);
  std::vector<double> work(static_cast<size_t>(length));
  openblas->dgesdd("S", &rows, &columns, a, &rows, s, vt, &rows, u, &rank, work.data(), &length, integers.data(), &info,
                   1);
  TERN_CHECK(info == 0, NonFiniteError, "[svd] expected singular values, got no convergence for a matrix of [", m, ", ",
             n, "]");
}

void symmetric_eigen(int64_t n, double* a, double* values) {
  if (n == 0) return;
  check_finite("symmetric_eigen", a, n * n);
  const Call openblas;
  const blasint size = narrow(n);
  double wanted = 0;
  blasint info = 0, length = -1, wanted_integers = 0, integer_length = -1;
  openblas->dsyevd("V", "L", &size, a, &size, values, &wanted, &length, &wanted_integers, &integer_length, &info, 1, 1);
  length = static_cast<blasint>(wanted), integer_length = wanted_integers;
  std::vector<double> work(static_cast<size_t>(length));
  std::vector<blasint> integers(static_cast<size_t>(integer_length));
  openblas->dsyevd("V", "L", &size, a, &size, values, work.data(), &length, integers.data(), &integer_length, &info, 1,
                   1);
  TERN_CHECK(info == 0, NonFiniteError, "[symmetric_eigen] expected eigenvalues, got no convergence for a matrix of [",
             n, ", ", n, "]");
}

void solve_positive(int64_t n, int64_t columns, double* a, double* b) {
  if (n == 0 || columns == 0) return;
  const Call openblas;
  const blasint size = narrow(n), count = narrow(columns);
  blasint info = 0;
  openblas->dposv("L", &size, &count, a, &size, b, &size, &info, 1);
  TERN_CHECK(info == 0, ValueError, "[solve_positive] expected a positive definite matrix, got one whose pivot ", info,
             " is not above 0");
}

const char* config() {
  return Library::instance().get_config();
}

}  // namespace tern::blas
