#include <atomic>
#include <exception>
#include <mutex>

#include <omp.h>
#include <sched.h>

#include <tern/core/error.h>
#include <tern/core/parallel.h>

namespace tern {
namespace {

int available_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return omp_get_num_procs();
}

std::atomic<int> thread_count{0};  // 0: not decided yet
thread_local bool serial = false;

}  // namespace

void set_num_threads(int count) {
  TERN_CHECK(count >= 0, ValueError, "[set_num_threads] expected a number of threads of at least 0, got ", count);
  thread_count = count == 0 ? available_processors() : count;
}

int num_threads() {
  if (thread_count == 0) thread_count = available_processors();
  return thread_count;
}

SerialScope::SerialScope() : previous_(serial) {
  serial = true;
}
SerialScope::~SerialScope() {
  serial = previous_;
}

namespace detail {

void run_chunks(int64_t chunks, ChunkFunction function, const void* context) {
  const int threads = static_cast<int>(chunks < num_threads() ? chunks : num_threads());
  if (threads <= 1 || serial || omp_in_parallel()) {
    for (int64_t i = 0; i < chunks; ++i) function(context, i);
    return;
  }
  std::exception_ptr error;
  int64_t error_chunk = chunks;
  std::mutex error_mutex;
#pragma omp parallel for num_threads(threads) schedule(dynamic, 1)
  for (int64_t i = 0; i < chunks; ++i) {
    try {
      function(context, i);
    } catch (...) {
      const std::lock_guard lock(error_mutex);
      if (i < error_chunk) error = std::current_exception(), error_chunk = i;
    }
  }
  if (error) std::rethrow_exception(error);
}

}  // namespace detail
}  // namespace tern
