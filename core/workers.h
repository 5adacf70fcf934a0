// The threads that parallel_for runs on: those of Tern's own pool (workers_pool.cpp) or OpenMP's (workers_openmp.cpp),
// as the build option TERN_PARALLEL has it. Both give the same bits, as chunks are cut before they get here.
#pragma once

#include <cstdint>
#include <string_view>

#include <tern/core/parallel.h>

namespace tern::detail {

/// Calls function(context, i) for every i in [0, chunks) on up to `threads` threads, the calling one among them, and
/// returns when all are done; rethrows the exception of the lowest chunk that threw. False, and nothing called, if the
/// threads are at work for another caller.
bool run_on_workers(uint32_t chunks, int threads, ChunkFunction function, const void* context);

/// "pool" or "openmp".
std::string_view workers_name();

/// Whether the calling thread is at work on a chunk: a parallel_for in it then runs on this thread alone.
extern constinit thread_local bool in_job;

}  // namespace tern::detail
