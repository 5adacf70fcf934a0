#include <cstdlib>

#include <tern/core/scratch.h>
#include <tern/core/storage.h>

namespace tern {
namespace {

struct Scratch {
  void* block = nullptr;
  int64_t bytes = 0;
  ~Scratch() { std::free(block); }
};

}  // namespace

void* thread_scratch(int64_t bytes) {
  thread_local Scratch scratch;
  if (bytes > scratch.bytes) {
    std::free(scratch.block);
    scratch.bytes = 0;
    const int64_t rounded = (bytes + 4095) / 4096 * 4096;
    scratch.block = std::aligned_alloc(64, static_cast<size_t>(rounded));
    if (scratch.block == nullptr) detail::throw_no_memory(static_cast<size_t>(rounded), memory_stats().live_bytes);
    scratch.bytes = rounded;
  }
  return scratch.block;
}

}  // namespace tern
