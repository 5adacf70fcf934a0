// Working memory of a thread.
#pragma once

#include <cstdint>

namespace tern {

/// At least `bytes` bytes, 64-byte aligned, that belong to the calling thread until its next call of this function (a
/// caller that needs several areas asks once and divides). Contents are undefined. The block is kept for the thread's
/// lifetime and grows as needed. Throws MemoryError when the system gives none.
void* thread_scratch(int64_t bytes);

}  // namespace tern
