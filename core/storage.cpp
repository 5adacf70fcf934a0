#include <bit>
#include <cstdlib>
#include <mutex>
#include <unordered_map>
#include <vector>

#include <sys/mman.h>

#include <tern/core/error.h>
#include <tern/core/storage.h>

// The allocator keeps freed blocks in lists by size class and hands them out again: a training step asks for the same
// sizes every time, and fresh large blocks cost a page fault every 4 KiB. Classes are eight to a power of two, so at
// most 12.5 % is rounded away. Blocks from 2 MiB on are aligned to huge pages. Under sanitizers every block is a plain
// one, so that they see its ends.

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define TERN_PLAIN_ALLOCATOR 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) || __has_feature(memory_sanitizer)
#define TERN_PLAIN_ALLOCATOR 1
#endif
#endif

namespace tern {
namespace {

constexpr size_t kAlignment = 64;
constexpr size_t kHugePage = size_t{2} << 20;

[[maybe_unused]] size_t class_size(size_t bytes) {
  if (bytes <= 512) return (bytes + kAlignment - 1) / kAlignment * kAlignment;
  const size_t step = std::bit_floor(bytes - 1) / 8;
  return (bytes + step - 1) / step * step;
}

class Allocator {
 public:
  std::byte* allocate(size_t bytes) {
#ifdef TERN_PLAIN_ALLOCATOR
    const size_t size = (bytes + kAlignment - 1) / kAlignment * kAlignment;
#else
    const size_t size = class_size(bytes);
#endif
    {
      const std::lock_guard lock(mutex_);
      auto& list = free_[size];
      if (!list.empty()) {
        std::byte* block = list.back();
        list.pop_back();
        stats_.cached_bytes -= static_cast<int64_t>(size);
        count(size);
        return block;
      }
    }
    void* block = from_system(size);
    if (block == nullptr) {
      release_cached();
      block = from_system(size);
    }
    const std::lock_guard lock(mutex_);
    if (block == nullptr) detail::throw_no_memory(bytes, stats_.live_bytes);
    count(size);
    ++stats_.system_allocations;
    return static_cast<std::byte*>(block);
  }

  void free(std::byte* block, size_t bytes) noexcept {
#ifdef TERN_PLAIN_ALLOCATOR
    const size_t size = (bytes + kAlignment - 1) / kAlignment * kAlignment;
    const std::lock_guard lock(mutex_);
    stats_.live_bytes -= static_cast<int64_t>(size);
    std::free(block);
#else
    const size_t size = class_size(bytes);
    const std::lock_guard lock(mutex_);
    stats_.live_bytes -= static_cast<int64_t>(size);
    try {
      free_[size].push_back(block);
      stats_.cached_bytes += static_cast<int64_t>(size);
    } catch (...) {
      std::free(block);
    }
#endif
  }

  void release_cached() {
    const std::lock_guard lock(mutex_);
    for (auto& [size, list] : free_) {
      for (std::byte* block : list) std::free(block);
      list.clear();
    }
    stats_.cached_bytes = 0;
  }

  MemoryStats stats() {
    const std::lock_guard lock(mutex_);
    return stats_;
  }
  void reset_peak() {
    const std::lock_guard lock(mutex_);
    stats_.peak_bytes = stats_.live_bytes;
  }

 private:
  void count(size_t size) {  // with the lock held
    stats_.live_bytes += static_cast<int64_t>(size);
    if (stats_.live_bytes > stats_.peak_bytes) stats_.peak_bytes = stats_.live_bytes;
    ++stats_.allocations;
  }

  static void* from_system(size_t size) {
    if (size > (size_t{1} << 46)) return nullptr;
    if (size < kHugePage) return std::aligned_alloc(kAlignment, size);
    const size_t whole = (size + kHugePage - 1) / kHugePage * kHugePage;
    void* block = std::aligned_alloc(kHugePage, whole);
    if (block != nullptr) madvise(block, whole, MADV_HUGEPAGE);  // advice only: a refusal costs speed, nothing else
    return block;
  }

  std::mutex mutex_;
  std::unordered_map<size_t, std::vector<std::byte*>> free_;
  MemoryStats stats_;
};

thread_local int64_t allocated_here = 0;

// Never destroyed: tensors in static variables may outlive any order of destruction.
Allocator& allocator() {
  static Allocator* instance = new Allocator;
  return *instance;
}

}  // namespace

namespace detail {

void throw_no_memory(size_t bytes, int64_t live_bytes) {
  std::string text =
      concat("[", operation.name != nullptr ? operation.name : "allocate", "] ", operation.backward ? "backward: " : "",
             "the system has no memory for ", bytes, " bytes (", live_bytes, " bytes are in use by tensors)");
  end_operation();
  throw MemoryError(std::move(text));
}

}  // namespace detail

Storage::Storage(std::byte* data, size_t bytes, std::function<void()> release)
    : data_(data), bytes_(bytes), release_(std::move(release)) {}

Storage::~Storage() {
  if (release_)
    release_();
  else
    allocator().free(data_, bytes_);
}

std::shared_ptr<Storage> Storage::allocate(size_t bytes) {
  const size_t at_least_one = bytes == 0 ? 1 : bytes;
  std::byte* data = allocator().allocate(at_least_one);
  allocated_here += static_cast<int64_t>(at_least_one);
  return std::shared_ptr<Storage>(new Storage(data, at_least_one, {}));
}

std::shared_ptr<Storage> Storage::wrap(void* data, size_t bytes, std::function<void()> release) {
  if (!release) release = [] {};
  return std::shared_ptr<Storage>(new Storage(static_cast<std::byte*>(data), bytes, std::move(release)));
}

MemoryStats memory_stats() {
  return allocator().stats();
}
int64_t thread_allocated_bytes() {
  return allocated_here;
}
void reset_peak_memory() {
  allocator().reset_peak();
}
void release_cached_memory() {
  allocator().release_cached();
}

}  // namespace tern
