// Bins of equal width between two finite numbers.
#pragma once

#include <algorithm>
#include <cstddef>

namespace tern::train {

/// Which of `bins` bins between min and max holds v: 0 for min, the last one for max. All finite, min <= v <= max;
/// differences may be beyond the largest double. With min = max (or as near as makes no bin) the first.
[[nodiscard]] inline size_t bin_of(double v, double min, double max, size_t bins) {
  const double span = max / 2 - min / 2;
  if (!(span > 0)) return 0;
  const double position = (v / 2 - min / 2) / span * static_cast<double>(bins);
  return std::min(bins - 1, static_cast<size_t>(std::max(position, 0.0)));
}

}  // namespace tern::train
