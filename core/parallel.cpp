#include <algorithm>
#include <atomic>
#include <charconv>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <string_view>
#include <thread>
#include <vector>

#include <sched.h>

#include <tern/core/error.h>
#include <tern/core/parallel.h>
#include <tern/core/workers.h>

namespace tern {
namespace {

using Clock = std::chrono::steady_clock;

int available_processors() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (sched_getaffinity(0, sizeof set, &set) == 0) return CPU_COUNT(&set);
  return static_cast<int>(std::max(1U, std::thread::hardware_concurrency()));
}

// The first number of OMP_NUM_THREADS ("4", or "4,2" for nested levels), which batch systems set; 0 if it has none.
int threads_of_environment() {
  const char* text = std::getenv("OMP_NUM_THREADS");
  const std::string_view list = text == nullptr ? "" : text;
  int count = 0;
  const auto [end, error] = std::from_chars(list.data(), list.data() + list.size(), count);
  const bool whole = end == list.data() + list.size() || *end == ',';
  return error == std::errc() && whole && count > 0 ? count : 0;
}

int default_threads() {
  const int wanted = threads_of_environment();
  return wanted > 0 ? wanted : available_processors();
}

struct Observer {
  detail::ChunkObserver function = nullptr;
  void* context = nullptr;
};
thread_local Observer observer;

void run_observed(int64_t chunks, detail::ChunkFunction function, const void* context) {
  std::vector<double> seconds(static_cast<size_t>(chunks));
  for (int64_t i = 0; i < chunks; ++i) {
    const auto start = Clock::now();
    function(context, i);
    seconds[static_cast<size_t>(i)] = std::chrono::duration<double>(Clock::now() - start).count();
  }
  observer.function(observer.context, seconds.data(), chunks);
}

std::atomic<int> thread_count{0};  // 0: not decided yet
thread_local bool serial = false;

}  // namespace

void set_num_threads(int count) {
  TERN_CHECK(count >= 0, ValueError, "[set_num_threads] expected a number of threads of at least 0, got ", count);
  thread_count = count == 0 ? default_threads() : count;
}

int num_threads() {
  if (thread_count == 0) thread_count = default_threads();
  return thread_count;
}

SerialScope::SerialScope() : previous_(serial) {
  serial = true;
}
SerialScope::~SerialScope() {
  serial = previous_;
}

namespace detail {

constinit thread_local bool in_job = false;

void observe_chunks(ChunkObserver function, void* context) {
  observer = {function, context};
}

void run_chunks(int64_t chunks, ChunkFunction function, const void* context) {
  if (observer.function != nullptr && !serial && !in_job) [[unlikely]] {
    struct InJob {
      InJob() { in_job = true; }
      ~InJob() { in_job = false; }
    } scope;
    run_observed(chunks, function, context);
    return;
  }
  const int threads = static_cast<int>(std::min<int64_t>(chunks, num_threads()));
  if (threads > 1 && !serial && !in_job && chunks < std::numeric_limits<uint32_t>::max() &&
      run_on_workers(static_cast<uint32_t>(chunks), threads, function, context))
    return;
  for (int64_t i = 0; i < chunks; ++i) function(context, i);
}

}  // namespace detail
}  // namespace tern
