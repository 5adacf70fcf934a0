#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <limits>
#include <utility>
#include <vector>

#include <tern/core/order_statistics.h>
#include <tern/core/parallel.h>

namespace tern {
namespace {

constexpr int kBins = 2048;             // leading 11 bits of a key
constexpr int kTables = 4;              // neighbouring elements count in different tables: no waiting for each other
constexpr int64_t kFew = 4096;          // elements that are all candidates at once
constexpr int64_t kChunk = 128 * 1024;  // elements that one table of counts covers

template <class T>
using KeyOf = std::conditional_t<std::is_same_v<T, float>, uint32_t, uint64_t>;

// An unsigned number in the order of the values; NaN (of either sign) is above everything.
template <class T, SelectKey kKey>
KeyOf<T> key_of(T v) {
  using Key = KeyOf<T>;
  constexpr int kTop = std::numeric_limits<Key>::digits - 1;
  const Key bits = std::bit_cast<Key>(v);
  if constexpr (kKey == SelectKey::kMagnitude) return bits & ~(Key{1} << kTop);
  if (v != v) return ~Key{0};
  return (bits >> kTop) != 0 ? ~bits : bits | (Key{1} << kTop);
}

template <class T, SelectKey kKey>
T value_of(KeyOf<T> key) {
  using Key = KeyOf<T>;
  constexpr int kTop = std::numeric_limits<Key>::digits - 1;
  if constexpr (kKey == SelectKey::kMagnitude) return std::bit_cast<T>(key);
  return std::bit_cast<T>((key >> kTop) != 0 ? key & ~(Key{1} << kTop) : ~key);
}

using Counts = std::array<uint32_t, kBins>;

// Of candidates, in any order, the one at a place of their sorted order and the next; `above` follows the last.
template <class T, SelectKey kKey, class Key>
OrderStatistics<T> among(std::vector<Key>& candidates, int64_t place, Key above, bool is_last, Key largest) {
  const T top = value_of<T, kKey>(largest);
  if (top != top) return {top, top, true};
  const auto at = candidates.begin() + place;
  std::nth_element(candidates.begin(), at, candidates.end());
  Key next = *at;
  if (at + 1 != candidates.end())
    next = *std::min_element(at + 1, candidates.end());
  else if (!is_last)
    next = above;
  return {value_of<T, kKey>(*at), value_of<T, kKey>(next), false};
}

template <class T, SelectKey kKey>
OrderStatistics<T> select(const T* x, int64_t n, int64_t k) {
  using Key = KeyOf<T>;
  // A magnitude's leading bit is always 0, so its next eleven count.
  constexpr int kShift = std::numeric_limits<Key>::digits - 11 - (kKey == SelectKey::kMagnitude ? 1 : 0);
  const auto bin_of = [](Key key) { return static_cast<size_t>(key >> kShift); };

  if (n <= kFew) {  // counting would take longer than it saves
    thread_local std::vector<Key> keys;
    keys.resize(static_cast<size_t>(n));
    Key largest = 0;
    for (int64_t i = 0; i < n; ++i) {
      keys[static_cast<size_t>(i)] = key_of<T, kKey>(x[i]);
      largest = std::max(largest, keys[static_cast<size_t>(i)]);
    }
    return among<T, kKey>(keys, k, Key{0}, k + 1 == n, largest);
  }

  std::vector<Counts> counts(static_cast<size_t>(chunk_count(n, kChunk)));
  parallel_for(n, kChunk, [&](int64_t begin, int64_t end) {
    std::array<Counts, kTables> tables{};
    int64_t i = begin;
    for (; i + kTables <= end; i += kTables)
      for (size_t t = 0; t < kTables; ++t) ++tables[t][bin_of(key_of<T, kKey>(x[i + static_cast<int64_t>(t)]))];
    for (; i < end; ++i) ++tables[0][bin_of(key_of<T, kKey>(x[i]))];
    Counts& sum = counts[static_cast<size_t>(begin / kChunk)];
    for (size_t b = 0; b < kBins; ++b) sum[b] = tables[0][b] + tables[1][b] + tables[2][b] + tables[3][b];
  });

  size_t bin = 0;
  int64_t below = 0, inside = 0;
  for (; bin < kBins; ++bin) {
    inside = 0;
    for (const Counts& c : counts) inside += c[bin];
    if (k < below + inside) break;
    below += inside;
  }

  struct Part {
    std::vector<Key> candidates;
    Key above = std::numeric_limits<Key>::max(), largest = 0;  // the least key beyond the bin, and the largest of all
  };
  std::vector<Part> parts(counts.size());
  parallel_for(n, kChunk, [&](int64_t begin, int64_t end) {
    Part& part = parts[static_cast<size_t>(begin / kChunk)];
    part.candidates.reserve(counts[static_cast<size_t>(begin / kChunk)][bin]);
    for (int64_t i = begin; i < end; ++i) {
      const Key key = key_of<T, kKey>(x[i]);
      part.largest = std::max(part.largest, key);
      if (bin_of(key) == bin)
        part.candidates.push_back(key);
      else if (bin_of(key) > bin)
        part.above = std::min(part.above, key);
    }
  });
  std::vector<Key> candidates = std::move(parts[0].candidates);
  candidates.reserve(static_cast<size_t>(inside));
  Key above = parts[0].above, largest = parts[0].largest;
  for (size_t p = 1; p < parts.size(); ++p) {
    candidates.insert(candidates.end(), parts[p].candidates.begin(), parts[p].candidates.end());
    above = std::min(above, parts[p].above);
    largest = std::max(largest, parts[p].largest);
  }
  return among<T, kKey>(candidates, k - below, above, k + 1 == n, largest);
}

}  // namespace

template <class T>
OrderStatistics<T> order_statistics(const T* x, int64_t n, int64_t k, SelectKey key) {
  return key == SelectKey::kMagnitude ? select<T, SelectKey::kMagnitude>(x, n, k)
                                      : select<T, SelectKey::kValue>(x, n, k);
}

template <class T>
T quantile_of(const T* x, int64_t n, double q, SelectKey key) {
  const double position = q * static_cast<double>(n - 1);
  const int64_t low = static_cast<int64_t>(std::floor(position));
  const OrderStatistics<T> found = order_statistics(x, n, low, key);
  const T r = static_cast<T>(position - static_cast<double>(low));
  return found.has_nan || r == T(0) ? found.at : lerp_as_torch(found.at, found.next, r);
}

template OrderStatistics<float> order_statistics(const float*, int64_t, int64_t, SelectKey);
template OrderStatistics<double> order_statistics(const double*, int64_t, int64_t, SelectKey);
template float quantile_of(const float*, int64_t, double, SelectKey);
template double quantile_of(const double*, int64_t, double, SelectKey);

}  // namespace tern
