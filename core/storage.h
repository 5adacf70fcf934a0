// Blocks of memory that tensors share, and the caching allocator they come from.
#pragma once

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <utility>

namespace tern {

class KeptForms;  // kept_forms.cpp

/// A reference-counted block of bytes, 64-byte aligned if it is our own. Views of a tensor share their tensor's storage
/// and its version.
class Storage {
 public:
  /// Uninitialised memory, at least one byte. Throws MemoryError, with the op at work and the bytes asked, when the
  /// system gives none.
  static std::shared_ptr<Storage> allocate(size_t bytes);
  /// Memory that somebody else owns; `release`, if there is one, is called when the last tensor lets go. `data` must be
  /// aligned for the element type.
  static std::shared_ptr<Storage> wrap(void* data, size_t bytes, std::function<void()> release);

  Storage(const Storage&) = delete;
  Storage& operator=(const Storage&) = delete;
  ~Storage();

  std::byte* data() { return data_; }
  const std::byte* data() const { return data_; }
  /// As asked for, at least 1.
  size_t bytes() const { return bytes_; }

  /// Counts the writes through in-place operations; a saved tensor compares it before a backward uses it.
  uint64_t version() const { return version_.load(std::memory_order_relaxed); }
  void bump_version() { version_.fetch_add(1, std::memory_order_relaxed); }

  /// What kept_forms.h keeps beside these bytes; null unless it was asked to.
  KeptForms* kept_forms() const { return kept_forms_.get(); }
  void set_kept_forms(std::shared_ptr<KeptForms> forms) { kept_forms_ = std::move(forms); }

 private:
  Storage(std::byte* data, size_t bytes, std::function<void()> release);

  std::byte* data_;
  size_t bytes_;
  std::function<void()> release_;  // empty: the block goes back to the allocator
  std::atomic<uint64_t> version_{0};
  std::shared_ptr<KeptForms> kept_forms_;
};

namespace detail {
/// The op at work on this thread, for the text of a MemoryError: check_defined begins one, record ends it, and during a
/// backward it is the node's.
struct Operation {
  const char* name = nullptr;
  bool backward = false;
};
inline constinit thread_local Operation operation;

inline void begin_operation(const char* name) {
  if (!operation.backward) operation.name = name;
}
inline void end_operation() {
  if (!operation.backward) operation.name = nullptr;
}
/// Throws MemoryError: "[conv2d] the system has no memory for 4096 bytes (...)".
[[noreturn]] void throw_no_memory(size_t bytes, int64_t live_bytes);
}  // namespace detail

/// What the allocator has handed out, in bytes after rounding up to its size classes.
struct MemoryStats {
  int64_t live_bytes = 0;          ///< in use by tensors now
  int64_t peak_bytes = 0;          ///< the most since the start or the last reset_peak_memory()
  int64_t cached_bytes = 0;        ///< free, kept for reuse
  int64_t allocations = 0;         ///< blocks handed out so far
  int64_t system_allocations = 0;  ///< of these, the ones that had to ask the system
};

/// Of the whole process.
MemoryStats memory_stats();
/// Bytes that this thread has asked Storage::allocate for so far, reused blocks included.
int64_t thread_allocated_bytes();
/// Lets peak_bytes start again from what is live now.
void reset_peak_memory();
/// Gives all cached blocks back to the system.
void release_cached_memory();

}  // namespace tern
