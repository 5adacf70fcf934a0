#include <algorithm>
#include <atomic>
#include <chrono>
#include <csignal>
#include <exception>
#include <limits>
#include <memory>
#include <mutex>
#include <system_error>
#include <thread>
#include <utility>
#include <vector>

#include <pthread.h>
#include <sched.h>

#include <tern/core/workers.h>

// The caller of parallel_for publishes a job and takes chunks of it like everybody else. What it waits for in the end
// is chunks that others have taken, never threads: a worker that has no processor, because some other program keeps it,
// costs its share of the work and nothing more. Who waits does so in turns of kSpin, then asleep; a caller asleep
// leaves its own processor to a worker that lacks one, and workers keep out of each other's way (take_seat).
//
// `next_` holds the job's ticket and its next chunk in one word, so that a worker that comes late can only take chunks
// of the job it was called for. The job's other fields change while `next_` is closed; see work().

namespace tern {
namespace {

using Clock = std::chrono::steady_clock;

// Longer than the gaps between the parallel parts of a training step, as waking a thread takes several times as long.
constexpr std::chrono::microseconds kSpin{100};
constexpr int kPausesPerLook = 32;
constexpr uint32_t kClosed = std::numeric_limits<uint32_t>::max();

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Waits until ready(word), which some thread makes true by a change of the word followed by a notification.
template <class Ready>
uint32_t await(const std::atomic<uint32_t>& word, const Ready& ready) {
  const auto start = Clock::now();
  do {
    for (int i = 0; i < kPausesPerLook; ++i) {
      const uint32_t now = word.load(std::memory_order_acquire);
      if (ready(now)) return now;
      pause();
    }
  } while (Clock::now() - start < kSpin);
  for (;;) {
    const uint32_t now = word.load(std::memory_order_acquire);
    if (ready(now)) return now;
    word.wait(now, std::memory_order_acquire);
  }
}

class Pool {
 public:
  // Lives as long as the process, so that nothing waits for the workers at its end. A forked child has no workers and
  // gets a pool of its own.
  static Pool& instance() {
    static const int at_fork = pthread_atfork(nullptr, nullptr, [] { current() = new Pool; });
    static_cast<void>(at_fork);
    return *current();
  }

  /// Runs a job on `threads` threads, the calling one among them; false if the pool is at work for another caller.
  bool run(uint32_t chunks, int threads, detail::ChunkFunction function, const void* context) {
    if (busy_.exchange(true, std::memory_order_acquire)) return false;
    const size_t helpers = start_workers(static_cast<size_t>(threads - 1));
    ++ticket_;
    next_.store(state(ticket_, kClosed), std::memory_order_release);
    function_.store(function, std::memory_order_release);
    context_.store(context, std::memory_order_release);
    chunks_.store(chunks, std::memory_order_release);
    finished_.store(0, std::memory_order_relaxed);
    next_.store(state(ticket_, 0), std::memory_order_release);
    for (size_t i = 0; i < helpers; ++i) {
      workers_[i]->call.store(ticket_, std::memory_order_release);
      workers_[i]->call.notify_one();
    }
    detail::in_job = true;
    work(ticket_, false);
    detail::in_job = false;
    await(finished_, [chunks](uint32_t finished) { return finished == chunks; });
    const std::exception_ptr error = std::exchange(error_, nullptr);
    busy_.store(false, std::memory_order_release);
    if (error) std::rethrow_exception(error);
    return true;
  }

 private:
  struct alignas(64) Worker {
    std::atomic<uint32_t> call{0};  // the ticket of the last job it was called for
  };

  static uint64_t state(uint32_t ticket, uint32_t chunk) { return uint64_t{ticket} << 32 | chunk; }

  // Takes chunks of the job with that ticket until none is left, for the caller or a worker. A chunk is taken by the
  // exchange alone: where it succeeds, `next_` has not been closed since it was read, and so the fields read in between
  // are this job's.
  void work(uint32_t ticket, bool worker) {
    uint32_t finished = 0, chunks = 0;
    int seat = -1;
    for (uint64_t now = next_.load(std::memory_order_acquire); now >> 32 == ticket;) {
      const auto chunk = static_cast<uint32_t>(now);
      const auto function = function_.load(std::memory_order_acquire);
      const auto context = context_.load(std::memory_order_acquire);
      chunks = chunks_.load(std::memory_order_acquire);
      if (chunk >= chunks) break;
      if (!next_.compare_exchange_weak(now, now + 1, std::memory_order_acq_rel, std::memory_order_acquire)) continue;
      take_seat(ticket, seat, worker);
      try {
        function(context, chunk);
      } catch (...) {
        const std::lock_guard lock(error_mutex_);
        if (!error_ || chunk < error_chunk_) error_ = std::current_exception(), error_chunk_ = chunk;
      }
      ++finished;
      now = next_.load(std::memory_order_acquire);
    }
    if (finished == 0) return;
    // Where others are still at work the job cannot end before this, so it is this job's count.
    if (finished_.fetch_add(finished, std::memory_order_acq_rel) + finished == chunks) finished_.notify_one();
  }

  // Notes the processor that this thread, whose last one was `seat`, works on. A worker that meets another thread of
  // the job there moves away, to where it may run and none of them does: with a program of somebody else's about, the
  // system sees nothing wrong in two of ours on one processor and that program alone on another.
  void take_seat(uint32_t ticket, int& seat, bool worker) {
    const int cpu = sched_getcpu();
    if (cpu == seat || cpu < 0 || cpu >= CPU_SETSIZE) return;
    if (seat >= 0) {
      uint32_t mine = ticket;
      seats_[seat].compare_exchange_strong(mine, 0, std::memory_order_relaxed);
    }
    seat = cpu;
    if (seats_[cpu].exchange(ticket, std::memory_order_relaxed) != ticket || !worker) return;
    cpu_set_t allowed, free;
    if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return;
    CPU_ZERO(&free);
    for (int i = 0; i < CPU_SETSIZE; ++i)
      if (CPU_ISSET(i, &allowed) && seats_[i].load(std::memory_order_relaxed) != ticket) CPU_SET(i, &free);
    if (CPU_COUNT(&free) == 0 || sched_setaffinity(0, sizeof free, &free) != 0) return;
    sched_setaffinity(0, sizeof allowed, &allowed);
    seat = -1;
    if (const int now = sched_getcpu(); now >= 0 && now < CPU_SETSIZE) {
      seat = now;
      seats_[now].store(ticket, std::memory_order_relaxed);
    }
  }

  // As many workers as the system allows, up to `count`.
  size_t start_workers(size_t count) {
    while (workers_.size() < count) {
      workers_.push_back(std::make_unique<Worker>());
      Worker* const worker = workers_.back().get();
      sigset_t all, before;  // signals go to the threads of the program
      sigfillset(&all);
      pthread_sigmask(SIG_SETMASK, &all, &before);
      try {
        std::thread([this, worker] {
          detail::in_job = true;
          for (uint32_t seen = 0;;) {
            seen = await(worker->call, [seen](uint32_t call) { return call != seen; });
            work(seen, true);
          }
        }).detach();
      } catch (const std::system_error&) {
        workers_.pop_back();
      }
      pthread_sigmask(SIG_SETMASK, &before, nullptr);
      if (workers_.empty() || workers_.back().get() != worker) break;
    }
    return std::min(count, workers_.size());
  }

  static Pool*& current() {
    static Pool* pool = new Pool;
    return pool;
  }

  std::atomic<bool> busy_{false};
  uint32_t ticket_ = 0;
  std::vector<std::unique_ptr<Worker>> workers_;
  std::atomic<uint32_t> seats_[CPU_SETSIZE] = {};  // the ticket of the last job that each processor worked on
  std::atomic<detail::ChunkFunction> function_{nullptr};
  std::atomic<const void*> context_{nullptr};
  std::atomic<uint32_t> chunks_{0};
  std::mutex error_mutex_;
  std::exception_ptr error_;  // of the lowest chunk that threw
  uint32_t error_chunk_ = 0;
  alignas(64) std::atomic<uint64_t> next_{0};
  alignas(64) std::atomic<uint32_t> finished_{0};
};

}  // namespace

namespace detail {

bool run_on_workers(uint32_t chunks, int threads, ChunkFunction function, const void* context) {
  return Pool::instance().run(chunks, threads, function, context);
}

std::string_view workers_name() {
  return "pool";
}

}  // namespace detail
}  // namespace tern
