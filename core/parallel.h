// Loops on all threads: those of a pool of our own, or OpenMP's (the build option TERN_PARALLEL). Work is cut by its
// size, never by the number of threads, so every result is the same, bit for bit, at any thread count. A processor that
// another program keeps busy costs its share of the work: see workers_pool.cpp.
#pragma once

#include <cstdint>

namespace tern {

/// Threads that parallel_for uses from here on, for all callers; 0 (the default) asks for as many as the environment
/// variable OMP_NUM_THREADS says or, without it, the processors that this process may run on. Throws ValueError below
/// 0.
void set_num_threads(int count);
int num_threads();

/// While one lives on a thread, parallel_for runs on that thread alone: for background threads that must not take the
/// processors from the thread they work for.
class SerialScope {
 public:
  SerialScope();
  ~SerialScope();
  SerialScope(const SerialScope&) = delete;
  SerialScope& operator=(const SerialScope&) = delete;

 private:
  bool previous_;
};

/// Elements per chunk for cheap element-wise work: large enough to hide the hand-over, small enough to balance.
inline constexpr int64_t kElementwiseGrain = 16384;

/// Items of a chunk, for items of that many elements each: as many as make kElementwiseGrain elements, at least one.
[[gnu::always_inline]] inline int64_t chunk_items(int64_t elements) {
  const int64_t items = elements > 0 ? kElementwiseGrain / elements : kElementwiseGrain;
  return items > 0 ? items : 1;
}

namespace detail {
using ChunkFunction = void (*)(const void* context, int64_t chunk);
/// Calls function(context, i) for i in [0, chunks), on all threads; rethrows the exception of the lowest chunk that
/// threw.
void run_chunks(int64_t chunks, ChunkFunction function, const void* context);

/// Told how long each chunk of a parallel_for took, in seconds.
using ChunkObserver = void (*)(void* context, const double* seconds, int64_t chunks);
/// From now on this thread's parallel_for runs its chunks one after the other, on this thread, and reports them: for
/// measuring how much of a computation could run at once. A null observer ends that.
void observe_chunks(ChunkObserver observer, void* context);
}  // namespace detail

/// Number of chunks that parallel_for makes of n items.
[[gnu::always_inline]] inline int64_t chunk_count(int64_t n, int64_t grain) {
  return n <= 0 ? 0 : grain < 1 ? n : n / grain + (n % grain != 0);
}

/// Calls body(begin, end) for consecutive ranges of at most `grain` items that cover [0, n). A grain below 1 counts
/// as 1. Ranges depend on n and grain alone. Rethrows the exception of the lowest range that threw. Nested calls run on
/// the calling thread, and so does a call while the pool works for another thread of the program.
template <class Body>
[[gnu::always_inline]] inline void parallel_for(int64_t n, int64_t grain, const Body& body) {
  if (n <= 0) return;
  if (grain < 1) grain = 1;
  if (n <= grain) {
    body(int64_t{0}, n);
    return;
  }
  struct Context {
    const Body* body;
    int64_t n, grain;
  } context{&body, n, grain};
  detail::run_chunks(
      chunk_count(n, grain),
      [](const void* p, int64_t chunk) {
        const auto& c = *static_cast<const Context*>(p);
        const int64_t begin = chunk * c.grain;
        const int64_t end = c.n - begin > c.grain ? begin + c.grain : c.n;
        (*c.body)(begin, end);
      },
      &context);
}

}  // namespace tern
