// Whether a tensor is still what it was: for values kept until what they were computed from changes.
#pragma once

#include <cstdint>

#include <tern/core/tensor.h>

namespace tern {

/// Remembers a view of memory and how often that had been written to. Holds the memory, so that no other tensor can
/// take its place unnoticed.
class TensorStamp {
 public:
  TensorStamp() = default;
  explicit TensorStamp(const Tensor& x);
  /// Whether x is the same view of the same memory, unwritten since. False for a stamp of nothing.
  bool is_of(const Tensor& x) const;

 private:
  Tensor tensor_;
  uint64_t version_ = 0;
};

}  // namespace tern
