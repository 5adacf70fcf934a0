// The elements of a tensor in figures, and how they are spread.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include <tern/core/tensor.h>

namespace tern::train {

/// Distinct values are counted up to this many.
inline constexpr int64_t kMaxDistinct = 65536;

/// The elements of a tensor in figures. Those that are NaN or infinite count in `non_finite` alone.
struct ValueStats {
  int64_t count = 0;  ///< elements
  double min = 0, max = 0, mean = 0;
  double deviation = 0;    ///< standard deviation, of all elements and not of a sample (divided by their number)
  int64_t zeros = 0;       ///< of either sign
  int64_t non_finite = 0;  ///< NaN and infinities
  int64_t distinct = 0;    ///< different finite values; kMaxDistinct + 1 stands for "more"
  std::vector<int64_t> histogram;  ///< finite elements in bins of equal width from min to max

  int64_t finite() const { return count - non_finite; }
  double zero_share() const { return count > 0 ? static_cast<double>(zeros) / static_cast<double>(count) : 0; }
};

/// Reads a tensor of any dtype and layout. Throws ValueError for fewer than 1 bin.
[[nodiscard]] ValueStats value_stats(const Tensor& x, int64_t bins = 24);

/// Bins as one character each, the highest bin filling its character: " .:-=+*#%@" or the eight block elements; a bin
/// that is not empty never looks so.
[[nodiscard]] std::string histogram_sketch(const std::vector<int64_t>& bins, bool unicode);

}  // namespace tern::train
