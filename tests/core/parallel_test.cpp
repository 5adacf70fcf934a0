#include <atomic>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <mutex>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#include <tern/core/error.h>
#include <tern/core/parallel.h>

namespace tern {
namespace {

class Parallel : public ::testing::TestWithParam<int> {
 protected:
  void SetUp() override { set_num_threads(GetParam()); }
  void TearDown() override { set_num_threads(before_); }
  int before_ = num_threads();
};
INSTANTIATE_TEST_SUITE_P(Threads, Parallel, ::testing::Values(1, 2, 3, 8));

TEST_P(Parallel, CoversEveryItemOnce) {
  for (const int64_t n : {0, 1, 7, 8, 9, 63, 64, 1000}) {
    std::vector<std::atomic<int>> seen(static_cast<size_t>(n));
    parallel_for(n, 8, [&](int64_t begin, int64_t end) {
      ASSERT_LT(begin, end);
      for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
    });
    for (const auto& count : seen) EXPECT_EQ(count, 1);
  }
  parallel_for(-5, 8, [](int64_t, int64_t) { FAIL(); });
}

TEST_P(Parallel, CutsBySizeOnly) {
  std::mutex mutex;
  std::set<std::pair<int64_t, int64_t>> ranges;
  parallel_for(21, 8, [&](int64_t begin, int64_t end) {
    const std::lock_guard lock(mutex);
    ranges.insert({begin, end});
  });
  EXPECT_EQ(ranges, (std::set<std::pair<int64_t, int64_t>>{{0, 8}, {8, 16}, {16, 21}}));
  EXPECT_EQ(chunk_count(21, 8), 3);
  EXPECT_EQ(chunk_count(0, 8), 0);
}

TEST_P(Parallel, AGrainBelowOneCountsAsOne) {
  for (const int64_t grain : {int64_t{0}, int64_t{-3}, std::numeric_limits<int64_t>::min()}) {
    std::atomic<int64_t> sum{0}, calls{0};
    parallel_for(10, grain, [&](int64_t begin, int64_t end) { sum += begin, calls += end - begin; });
    EXPECT_EQ(sum, 45) << grain;
    EXPECT_EQ(calls, 10) << grain;
    EXPECT_EQ(chunk_count(10, grain), 10) << grain;
  }
  constexpr int64_t kMax = std::numeric_limits<int64_t>::max();  // no sum of both overflows
  EXPECT_EQ(chunk_count(kMax, kMax), 1);
  EXPECT_EQ(chunk_count(kMax, kMax - 1), 2);
}

TEST_P(Parallel, RethrowsTheLowestChunksException) {
  for (int repeat = 0; repeat < 20; ++repeat) {
    try {
      parallel_for(100, 1, [](int64_t begin, int64_t) {
        if (begin >= 3) throw ValueError(concat("chunk ", begin));
      });
      FAIL();
    } catch (const ValueError& error) {
      EXPECT_STREQ(error.what(), "chunk 3");
    }
  }
  std::atomic<int> after{0};
  parallel_for(100, 1, [&](int64_t, int64_t) { ++after; });
  EXPECT_EQ(after, 100) << "the pool works after an exception";
}

TEST_P(Parallel, NestedCallsRunOnTheCallingThread) {
  std::atomic<int> inner{0}, strangers{0};
  parallel_for(16, 1, [&](int64_t, int64_t) {
    const auto self = std::this_thread::get_id();
    parallel_for(32, 1, [&](int64_t, int64_t) {
      ++inner;
      if (std::this_thread::get_id() != self) ++strangers;
    });
  });
  EXPECT_EQ(inner, 16 * 32);
  if (GetParam() > 1) {
    EXPECT_EQ(strangers, 0);
  }
}

TEST_P(Parallel, MayBeCalledFromSeveralThreads) {
  std::atomic<int64_t> sum{0};
  std::vector<std::thread> callers;
  for (int t = 0; t < 3; ++t)
    callers.emplace_back([&] {
      for (int repeat = 0; repeat < 20; ++repeat)
        parallel_for(100, 7, [&](int64_t begin, int64_t end) { sum += end - begin; });
    });
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(sum, 3 * 20 * 100);
}

// Jobs of every size, one right after the other: workers come late to most of them.
TEST_P(Parallel, NoChunkIsLostOrTakenTwiceInManyShortJobs) {
  for (int job = 0; job < 20000; ++job) {
    const int64_t n = 2 + job % 7;
    std::atomic<int64_t> sum{0};
    parallel_for(n, 1, [&](int64_t begin, int64_t) { sum += begin + 1; });
    ASSERT_EQ(sum, n * (n + 1) / 2) << "job " << job;
  }
}

TEST_P(Parallel, WorkersWakeAfterAPause) {
  for (int job = 0; job < 5; ++job) {
    std::atomic<int> count{0};
    parallel_for(50, 1, [&](int64_t, int64_t) { ++count; });
    EXPECT_EQ(count, 50);
    std::this_thread::sleep_for(std::chrono::milliseconds(3));
  }
}

TEST_P(Parallel, UsesTheThreadsItIsGiven) {
  std::mutex mutex;
  std::set<std::thread::id> threads;
  for (int job = 0; job < 10; ++job)
    parallel_for(64, 1, [&](int64_t, int64_t) {
      std::this_thread::sleep_for(std::chrono::microseconds(200));
      const std::lock_guard lock(mutex);
      threads.insert(std::this_thread::get_id());
    });
  EXPECT_EQ(threads.size(), static_cast<size_t>(GetParam()));
}

TEST_P(Parallel, LeavesTheThreadsProcessorsAlone) {
  cpu_set_t before, after;
  ASSERT_EQ(sched_getaffinity(0, sizeof before, &before), 0);
  std::atomic<int> narrowed{0};
  for (int job = 0; job < 1000; ++job)
    parallel_for(16, 1, [&](int64_t, int64_t) {
      cpu_set_t own;
      if (sched_getaffinity(0, sizeof own, &own) != 0 || !CPU_EQUAL(&own, &before)) ++narrowed;
    });
  EXPECT_EQ(narrowed, 0);
  ASSERT_EQ(sched_getaffinity(0, sizeof after, &after), 0);
  EXPECT_TRUE(CPU_EQUAL(&before, &after));
}

TEST_P(Parallel, WorksInAForkedChild) {
  parallel_for(16, 1, [](int64_t, int64_t) {});
  const pid_t child = fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    std::atomic<int> count{0};
    for (int job = 0; job < 20; ++job) parallel_for(16, 1, [&](int64_t, int64_t) { ++count; });
    _exit(count == 320 ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(waitpid(child, &status, 0), child);
  EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 0) << status;
}

TEST(ObserveChunks, ReportsEveryChunkInOrderOnTheCallingThread) {
  std::vector<int64_t> seen, begins;
  detail::observe_chunks(
      [](void* out, const double* seconds, int64_t chunks) {
        for (int64_t i = 0; i < chunks; ++i) EXPECT_GE(seconds[i], 0);
        static_cast<std::vector<int64_t>*>(out)->push_back(chunks);
      },
      &seen);
  const auto self = std::this_thread::get_id();
  parallel_for(10, 4, [&](int64_t begin, int64_t) {
    EXPECT_EQ(std::this_thread::get_id(), self);
    begins.push_back(begin);
    parallel_for(10, 1, [](int64_t, int64_t) {});  // part of its chunk
  });
  detail::observe_chunks(nullptr, nullptr);
  parallel_for(10, 4, [](int64_t, int64_t) {});
  EXPECT_EQ(seen, std::vector<int64_t>{3});
  EXPECT_EQ(begins, (std::vector<int64_t>{0, 4, 8}));
}

TEST(NumThreads, CanBeSetAndAsked) {
  const int before = num_threads();
  EXPECT_GE(before, 1);
  set_num_threads(3);
  EXPECT_EQ(num_threads(), 3);
  set_num_threads(0);  // the processors that this process may use
  EXPECT_GE(num_threads(), 1);
  EXPECT_THROW(set_num_threads(-1), ValueError);
  set_num_threads(before);
}

TEST(NumThreads, AreThoseOfTheEnvironmentUnlessToldOtherwise) {
  const int before = num_threads();
  const char* given = std::getenv("OMP_NUM_THREADS");
  const std::string kept = given == nullptr ? "" : given;
  for (const auto& [text, count] : {std::pair{"3", 3}, {"5,2", 5}}) {
    setenv("OMP_NUM_THREADS", text, 1);
    set_num_threads(0);
    EXPECT_EQ(num_threads(), count) << text;
  }
  unsetenv("OMP_NUM_THREADS");
  set_num_threads(0);
  const int processors = num_threads();
  for (const char* text : {"", "0", "-2", "many", "3x"}) {
    setenv("OMP_NUM_THREADS", text, 1);
    set_num_threads(0);
    EXPECT_EQ(num_threads(), processors) << text;
  }
  given == nullptr ? unsetenv("OMP_NUM_THREADS") : setenv("OMP_NUM_THREADS", kept.c_str(), 1);
  set_num_threads(before);
}

}  // namespace
}  // namespace tern
