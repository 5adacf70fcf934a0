#include <atomic>
#include <exception>
#include <mutex>

#include <pthread.h>

#include <tern/core/workers.h>

// The runtime of OpenMP has the threads, for programs that have it already: there are no others beside them. As with
// the pool, one caller at a time has the threads; a second one computes alone, where OpenMP would start as many again.
// A forked child computes alone as well, since the runtime's threads stay with its parent.

namespace tern::detail {
namespace {

std::atomic<bool> forked{false};

}  // namespace

bool run_on_workers(uint32_t chunks, int threads, ChunkFunction function, const void* context) {
  static const int at_fork = pthread_atfork(nullptr, nullptr, [] { forked = true; });
  static_cast<void>(at_fork);
  static std::atomic<bool> busy{false};
  if (forked || busy.exchange(true, std::memory_order_acquire)) return false;
  std::mutex mutex;
  std::exception_ptr error;  // of the lowest chunk that threw
  int64_t error_chunk = 0;
  const int64_t count = chunks;
#pragma omp parallel for schedule(dynamic, 1) num_threads(threads)
  for (int64_t chunk = 0; chunk < count; ++chunk) {
    in_job = true;
    try {
      function(context, chunk);
    } catch (...) {
      const std::lock_guard lock(mutex);
      if (!error || chunk < error_chunk) error = std::current_exception(), error_chunk = chunk;
    }
    in_job = false;
  }
  busy.store(false, std::memory_order_release);
  if (error) std::rethrow_exception(error);
  return true;
}

std::string_view workers_name() {
  return "openmp";
}

}  // namespace tern::detail
