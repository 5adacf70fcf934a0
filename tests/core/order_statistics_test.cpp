// Selection against sorting.
#include <algorithm>
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <tern/core/order_statistics.h>
#include <tern/core/random.h>

namespace tern {
namespace {

template <class T>
void expect_like_sorting(const std::vector<T>& x, SelectKey key) {
  std::vector<T> sorted = x;
  if (key == SelectKey::kMagnitude)
    for (T& v : sorted) v = std::abs(v);
  std::sort(sorted.begin(), sorted.end());
  const int64_t n = static_cast<int64_t>(x.size());
  for (const int64_t k : {int64_t{0}, n / 3, n / 2, n - 2, n - 1}) {
    if (k < 0) continue;
    const OrderStatistics<T> found = order_statistics(x.data(), n, k, key);
    EXPECT_FALSE(found.has_nan);
    EXPECT_EQ(found.at, sorted[static_cast<size_t>(k)]) << k << " of " << n;
    EXPECT_EQ(found.next, sorted[static_cast<size_t>(std::min(k + 1, n - 1))]) << k << " of " << n;
  }
}

template <class T>
void check_all() {
  Generator generator(7);
  for (const size_t n : {size_t{1}, size_t{2}, size_t{5}, size_t{64}, size_t{1000}, size_t{300001}}) {
    std::vector<T> normal(n), few(n), wide(n), same(n, T(-0.25));
    for (size_t i = 0; i < n; ++i) {
      normal[i] = static_cast<T>(generator.normal());
      few[i] = static_cast<T>(static_cast<int>(generator.below(5)) - 2);
      wide[i] = static_cast<T>(std::ldexp(generator.uniform(-1, 1), static_cast<int>(generator.below(200)) - 100));
    }
    for (const SelectKey key : {SelectKey::kValue, SelectKey::kMagnitude})
      for (const std::vector<T>& x : {normal, few, wide, same}) expect_like_sorting(x, key);
  }
  std::vector<T> edges{std::numeric_limits<T>::infinity(),
                       -std::numeric_limits<T>::infinity(),
                       std::numeric_limits<T>::max(),
                       std::numeric_limits<T>::lowest(),
                       std::numeric_limits<T>::denorm_min(),
                       -std::numeric_limits<T>::denorm_min(),
                       T(0),
                       -T(0)};
  expect_like_sorting(edges, SelectKey::kValue);
  expect_like_sorting(edges, SelectKey::kMagnitude);
  for (const T nan : {std::numeric_limits<T>::quiet_NaN(), -std::numeric_limits<T>::quiet_NaN()}) {
    edges[3] = nan;
    for (const SelectKey key : {SelectKey::kValue, SelectKey::kMagnitude})
      for (const int64_t k : {0, 3, 7})
        EXPECT_TRUE(order_statistics(edges.data(), static_cast<int64_t>(edges.size()), k, key).has_nan);
  }
}

TEST(OrderStatistics, AreThoseOfSorting) {
  check_all<float>();
  check_all<double>();
}

TEST(QuantileOf, InterpolatesAsTorchLerp) {
  const float x[] = {3, -1, 2, 10};
  EXPECT_EQ(quantile_of(x, 4, 0.0), -1.0f);
  EXPECT_EQ(quantile_of(x, 4, 1.0), 10.0f);
  EXPECT_EQ(quantile_of(x, 4, 0.5), 2.5f);
  EXPECT_EQ(quantile_of(x, 4, 0.99), 10.0f - 7.0f * (1.0f - static_cast<float>(0.99 * 3 - 2)));
  EXPECT_EQ(quantile_of(x, 4, 0.0, SelectKey::kMagnitude), 1.0f);
  const float one = -4;
  EXPECT_EQ(quantile_of(&one, 1, 0.99, SelectKey::kMagnitude), 4.0f);
}

}  // namespace
}  // namespace tern
