#include <string>
#include <string_view>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/core/ops/activation.h>
#include <tern/core/ops/conv.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/linear.h>
#include <tern/core/ops/matmul.h>
#include <tern/core/ops/norm.h>
#include <tern/core/ops/shape.h>
#include <tern/core/storage.h>
#include <tern/core/tensor.h>

#ifdef TERN_SANITIZED
constexpr bool kCaches = false;  // every block is a plain one
#else
constexpr bool kCaches = true;
#endif

namespace tern {
namespace {

TEST(Storage, IsAlignedAndCounted) {
  const MemoryStats before = memory_stats();
  for (const size_t bytes :
       {size_t{0}, size_t{1}, size_t{63}, size_t{64}, size_t{65}, size_t{513}, size_t{1000003}, size_t{5} << 20}) {
    const auto block = Storage::allocate(bytes);
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block->data()) % 64, 0u);
    EXPECT_GE(block->bytes(), bytes);
    const int64_t live = memory_stats().live_bytes - before.live_bytes;
    EXPECT_GE(live, static_cast<int64_t>(bytes));
    EXPECT_LE(live, static_cast<int64_t>(bytes) + std::max<int64_t>(64, static_cast<int64_t>(bytes) / 8));
    block->data()[block->bytes() - 1] = std::byte{1};
  }
  EXPECT_EQ(memory_stats().live_bytes, before.live_bytes);
  EXPECT_EQ(memory_stats().allocations, before.allocations + 8);
}

TEST(Storage, FreedBlocksAreUsedAgain) {
  if (!kCaches) GTEST_SKIP() << "the cache is off under sanitizers";
  const void* first = Storage::allocate(123456)->data();
  const MemoryStats before = memory_stats();
  const auto again = Storage::allocate(123450);  // the same size class
  EXPECT_EQ(again->data(), first);
  EXPECT_EQ(memory_stats().system_allocations, before.system_allocations);
  EXPECT_LT(memory_stats().cached_bytes, before.cached_bytes);
}

TEST(Storage, ASteadyLoopAsksTheSystemForNothing) {
  if (!kCaches) GTEST_SKIP() << "the cache is off under sanitizers";
  const auto step = [] {
    const Tensor a = zeros({100, 100}), b = ones({3, 50000});
    return zeros({17, 3, 5});
  };
  step();
  const MemoryStats before = memory_stats();
  for (int i = 0; i < 10; ++i) step();
  EXPECT_EQ(memory_stats().system_allocations, before.system_allocations);
  EXPECT_EQ(memory_stats().live_bytes, before.live_bytes);
}

TEST(Storage, PeakFollowsLiveBytes) {
  reset_peak_memory();
  const int64_t live = memory_stats().live_bytes;
  EXPECT_EQ(memory_stats().peak_bytes, live);
  { const auto block = Storage::allocate(size_t{1} << 20); }
  EXPECT_EQ(memory_stats().peak_bytes, live + (1 << 20));
  EXPECT_EQ(memory_stats().live_bytes, live);
  reset_peak_memory();
  EXPECT_EQ(memory_stats().peak_bytes, live);
}

TEST(Storage, TheCacheCanBeGivenBack) {
  { const auto block = Storage::allocate(size_t{1} << 20); }
  release_cached_memory();
  EXPECT_EQ(memory_stats().cached_bytes, 0);
}

TEST(Storage, RefusalNamesTheSizeAndLeavesTheBooksInOrder) {
  reset_peak_memory();
  const MemoryStats before = memory_stats();
  try {
    (void)Storage::allocate(size_t{1} << 60);
    FAIL();
  } catch (const MemoryError& error) {
    EXPECT_NE(std::string(error.what()).find("no memory for 1152921504606846976 bytes"), std::string::npos)
        << error.what();
  }
  EXPECT_EQ(memory_stats().live_bytes, before.live_bytes);
  EXPECT_EQ(memory_stats().peak_bytes, before.peak_bytes);
  EXPECT_EQ(memory_stats().allocations, before.allocations);
}

TEST(Storage, RefusalNamesTheOp) {
  constexpr int64_t kSide = int64_t{1} << 24;  // two of them: 2^50 bytes of f32
  const Tensor row = ones({kSide}), column = ones({kSide, 1}), wide = row.expand({kSide, kSide});
  const auto starts_with = [](std::string_view start, const auto& run) {
    try {
      run();
      FAIL() << start << " found memory";
    } catch (const MemoryError& error) {
      EXPECT_EQ(std::string_view(error.what()).substr(0, start.size()), start) << error.what();
    }
  };
  const std::string refused = "the system has no memory for 1125899906842624 bytes (";
  starts_with("[add] " + refused, [&] { (void)add(row, column); });
  starts_with("[relu] " + refused, [&] { (void)relu(wide); });
  starts_with("[matmul] " + refused, [&] { (void)matmul(column, row.reshape({1, kSide})); });
  starts_with("[linear] " + refused, [&] { (void)linear(column, column); });
  starts_with("[contiguous] " + refused, [&] { (void)layer_norm(wide, {kSide}); });
  starts_with("[conv2d] " + refused, [&] {
    (void)conv2d(column.reshape({kSide, 1, 1, 1}), column.reshape({kSide, 1, 1, 1}));
  });
  starts_with("[allocate] " + refused, [&] { (void)empty({kSide, kSide}); });  // although ops came before

  Tensor leaf = ones({1}).expand({kSide, kSide}).detach().requires_grad_();
  const Tensor element = leaf.select(0, 3).select(0, 5);
  starts_with("[slice] backward: ", [&] { element.backward(); });
}

TEST(Storage, WrappedMemoryIsReleasedOnceByTheLastTensor) {
  float values[4] = {1, 2, 3, 4};
  int released = 0;
  {
    Tensor view;
    {
      const Tensor x(Storage::wrap(values, sizeof values, [&] { ++released; }), {{2, 2}, {2, 1}, 0}, DType::kF32);
      view = x.select(0, 1);
      EXPECT_EQ(x.to_vector<float>(), (std::vector<float>{1, 2, 3, 4}));
    }
    EXPECT_EQ(released, 0);
    view.fill_(9);
  }
  EXPECT_EQ(released, 1);
  EXPECT_EQ(values[3], 9);
}

TEST(Storage, ServesManyThreads) {
  const int64_t live = memory_stats().live_bytes;
  std::vector<std::thread> threads;
  for (int t = 0; t < 4; ++t)
    threads.emplace_back([t] {
      for (int i = 0; i < 500; ++i) {
        const auto block = Storage::allocate(static_cast<size_t>(100 * (t + 1) + i));
        block->data()[0] = std::byte{7};
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(memory_stats().live_bytes, live);
}

}  // namespace
}  // namespace tern
