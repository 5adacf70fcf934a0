#include <atomic>

#include <tern/core/autograd/autograd.h>
#include <tern/core/finite.h>
#include <tern/core/ops/copy.h>
#include <tern/core/parallel.h>

namespace tern {

bool all_finite(const Tensor& x) {
  if (!x.is_floating()) return true;
  const NoGradGuard no_grad;
  Tensor dense = x.is_dense() ? x : x.detach().contiguous();
  if (dense.dtype() != DType::kF32 && dense.dtype() != DType::kF64) dense = dense.to(DType::kF32);
  std::atomic<bool> finite{true};
  dispatch_float("all_finite", dense.dtype(), [&]<class T>() {
    const T* v = dense.data<T>();
    parallel_for(dense.numel(), 4 * kElementwiseGrain, [&](int64_t begin, int64_t end) {
      if (!finite.load(std::memory_order_relaxed)) return;
      // v - v is 0 for a finite v and NaN otherwise; several sums do not wait for one another.
      T sums[8] = {};
      int64_t i = begin;
      for (; i + 8 <= end; i += 8)
        for (int64_t k = 0; k < 8; ++k) sums[k] += v[i + k] - v[i + k];
      T all = 0;
      for (; i < end; ++i) all += v[i] - v[i];
      for (const T sum : sums) all += sum;
      if (!(all == T(0))) finite.store(false, std::memory_order_relaxed);
    });
  });
  return finite.load();
}

}  // namespace tern
