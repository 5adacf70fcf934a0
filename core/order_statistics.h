// Selection: the element at a place of the sorted order, without sorting.
#pragma once

#include <cstdint>

namespace tern {

/// Which elements are looked at.
enum class SelectKey {
  kValue,      ///< x
  kMagnitude,  ///< |x|
};

/// Two neighbours in the sorted order of n elements: the k-th smallest and the one after it (the k-th again for the
/// last k). has_nan: an element is NaN, and the others say nothing.
template <class T>
struct OrderStatistics {
  T at = 0;
  T next = 0;
  bool has_nan = false;
};

/// The k-th smallest (from 0) of x[0], x[1], ..., x[n - 1], and its successor. 0 <= k < n. T: float or double. Counts
/// elements by the leading bits of their order, then looks among the few that share them with the k-th: two passes.
template <class T>
OrderStatistics<T> order_statistics(const T* x, int64_t n, int64_t k, SelectKey key = SelectKey::kValue);

/// a + r (b - a) for r < 1/2, b - (b - a) (1 - r) from there on: torch.lerp's formula, in T.
template <class T>
T lerp_as_torch(T a, T b, T r) {
  return r < T(0.5) ? a + r * (b - a) : b - (b - a) * (T(1) - r);
}

/// The q-quantile with linear interpolation: position t = q (n - 1) in double, weight t - floor(t) in T, as
/// torch.quantile has it. NaN if an element is. n >= 1, q in [0, 1].
template <class T>
T quantile_of(const T* x, int64_t n, double q, SelectKey key = SelectKey::kValue);

}  // namespace tern
