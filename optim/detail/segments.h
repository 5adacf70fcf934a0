// Cutting parameters into segments and tasks for the update kernels (kernels/update.h). Internal to this room.
#pragma once

#include <vector>

#include <tern/core/ops/copy.h>
#include <tern/core/parallel.h>
#include <tern/core/tensor.h>

namespace tern::optim::detail {

/// Segments of at most kElementwiseGrain elements, packed into tasks of about as much: by sizes alone.
template <class Segment>
class SegmentList {
 public:
  /// Cuts [0, n) and adds make(begin, length) for each piece.
  template <class Make>
  void add(int64_t n, Make&& make) {
    for (int64_t begin = 0; begin < n; begin += kElementwiseGrain) {
      const int64_t length = std::min(kElementwiseGrain, n - begin);
      if (in_task_ + length > kElementwiseGrain && in_task_ > 0) {
        tasks_.push_back(static_cast<int64_t>(segments_.size()));
        in_task_ = 0;
      }
      segments_.push_back(make(begin, length));
      in_task_ += length;
    }
  }
  /// To be called once, after the last add().
  void finish() { tasks_.push_back(static_cast<int64_t>(segments_.size())); }

  const Segment* segments() const { return segments_.data(); }
  const int64_t* tasks() const { return tasks_.data(); }
  int64_t task_count() const { return segments_.empty() ? 0 : static_cast<int64_t>(tasks_.size()) - 1; }

 private:
  std::vector<Segment> segments_;
  std::vector<int64_t> tasks_{0};
  int64_t in_task_ = 0;
};

/// x with the element order of `like`, so that both can be walked as one run: x itself where it has it already.
inline Tensor in_order_of(const Tensor& like, const Tensor& x) {
  if (x.strides() == like.strides() || (x.is_contiguous() && like.is_contiguous())) return x;
  return empty_like(like).copy_(x);
}

}  // namespace tern::optim::detail
