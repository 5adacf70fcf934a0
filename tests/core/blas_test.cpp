// OpenBLAS as it is called here: from several threads at once, whichever of its builds is there.
#include <atomic>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>
#include <unistd.h>

#include <tern/core/linalg/blas.h>
#include <tern/core/random.h>

#include "openblas_build.h"

namespace tern {
namespace {

template <class T>
std::vector<T> product(int64_t m, int64_t n, int64_t k, const std::vector<T>& a, const std::vector<T>& b) {
  std::vector<T> c(static_cast<size_t>(m * n), T(0));
  blas::gemm(false, true, m, n, k, T(1), a.data(), k, b.data(), k, T(0), c.data(), n);
  return c;
}

template <class T>
std::vector<T> numbers(int64_t count, Generator& random) {
  std::vector<T> v(static_cast<size_t>(count));
  for (T& x : v) x = static_cast<T>(random.uniform()) - T(0.5);
  return v;
}

template <class T>
void expect_same_bits_from_several_threads() {
  constexpr int64_t kRows = 24, kColumns = 40, kInner = 60;
  Generator random(1);
  const std::vector<T> a = numbers<T>(kRows * kInner, random), b = numbers<T>(kColumns * kInner, random);
  const std::vector<T> expected = product(kRows, kColumns, kInner, a, b);
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 20000; ++i)
        if (product(kRows, kColumns, kInner, a, b) != expected) ++wrong;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0) << blas::config();
}

TEST(Blas, SameBitsFromSeveralThreads) {
  TERN_NEEDS_OPENBLAS_BUILD();
  expect_same_bits_from_several_threads<float>();
  expect_same_bits_from_several_threads<double>();
}

// What another thread reads of the environment, setenv may free.
int loads_without_setenv() {
  std::vector<std::string> before, after;
  char** const place = environ;
  for (char** entry = environ; *entry != nullptr; ++entry) before.emplace_back(*entry);
  const float two = 2;
  float c = 0;
  blas::gemm(false, false, 1, 1, 1, 1.0F, &two, 1, &two, 1, 0.0F, &c, 1);
  for (char** entry = environ; *entry != nullptr; ++entry) after.emplace_back(*entry);
  return c == 4 && environ == place && after == before ? 0 : 1;
}

// In a process of its own: the library is loaded once.
TEST(BlasDeathTest, LoadingTheLibraryLeavesTheEnvironmentInItsPlace) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_EXIT(std::_Exit(loads_without_setenv()), ::testing::ExitedWithCode(0), "");
}

TEST(Blas, FactorizationsFromSeveralThreads) {
  TERN_NEEDS_OPENBLAS_BUILD();
  constexpr int64_t kSize = 24;
  const auto factor = [] {
    std::vector<double> a(kSize * kSize), values(kSize), square(kSize * kSize), u(kSize * kSize), s(kSize),
        vt(kSize * kSize), right(kSize * 3, 1.0);
    for (int64_t i = 0; i < kSize; ++i)
      for (int64_t j = 0; j < kSize; ++j)
        a[static_cast<size_t>(i * kSize + j)] = (i == j ? kSize : 0) + 1.0 / static_cast<double>(1 + i + j);
    square = a;
    blas::svd(kSize, kSize, square.data(), u.data(), s.data(), vt.data());
    square = a;
    blas::solve_positive(kSize, 3, square.data(), right.data());
    blas::symmetric_eigen(kSize, a.data(), values.data());
    for (const auto* part : {&values, &u, &s, &vt, &right}) a.insert(a.end(), part->begin(), part->end());
    return a;
  };
  const std::vector<double> expected = factor();
  std::atomic<int> wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([&] {
      for (int i = 0; i < 200; ++i)
        if (factor() != expected) ++wrong;
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(wrong, 0) << blas::config();
}

}  // namespace
}  // namespace tern
