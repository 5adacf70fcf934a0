// Losses that compare two tensors element by element.
#pragma once

#include <tern/core/kernels/kernel.h>

namespace tern {

/// The losses of pair_loss, with x the prediction and t the target.
enum class PairLoss {
  kSquared,     ///< (x - t)^2
  kAbsolute,    ///< |x - t|
  kHuber,       ///< d^2 / 2 where d = |x - t| < parameter, else parameter * (d - parameter / 2)
  kSmoothL1,    ///< d^2 / (2 parameter) where d < parameter, else d - parameter / 2
  kBceLogits,   ///< (1 - t) x + (1 + (p - 1) t) log(1 + exp(-x)), times w; p and w: per-element weights or null (1)
  kBce,         ///< -(t log x + (1 - t) log(1 - x)), both logarithms at least -100, times w
  kSoftMargin,  ///< log(1 + exp(-t x))
  kHinge,       ///< (t != -1 ? x : 0) + (t != 1 ? max(parameter - x, 0) : 0), without a derivative by t
  kKl,          ///< t (log t - x), 0 where t is 0
  kKlLog,       ///< exp(t) (t - x)
};

/// n elements of x, t, and of the optional weights w and p (kBceLogits alone).
template <class T>
struct PairLossInputs {
  int64_t n = 0;
  const T* x = nullptr;
  const T* t = nullptr;
  const T* w = nullptr;
  const T* p = nullptr;
  T parameter = 0;
};

/// Elements a partial sum of pair_loss_sum covers.
inline constexpr int64_t kPairLossPart = 16384;

}  // namespace tern

TERN_DECLARE_KERNELS(
    /// out[i] = the loss of element i
    template <class T> void pair_loss(PairLoss kind, const PairLossInputs<T>& in, T* out);
    /// partial[k] = the sum over elements k * kPairLossPart and up
    template <class T> void pair_loss_sum(PairLoss kind, const PairLossInputs<T>& in, double* partial);
    /// dx[i] and dt[i] (either may be null): derivatives of element i's loss times scale, and times dout[i] unless that
    /// is null
    template <class T>
    void pair_loss_backward(PairLoss kind, const PairLossInputs<T>& in, const T* dout, T scale, T* dx, T* dt);)
