#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <set>
#include <thread>

#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/core/ops/create.h>
#include <tern/core/parallel.h>
#include <tern/core/random.h>

namespace tern {
namespace {

// The known answers that the authors of "Parallel random numbers: as easy as 1, 2, 3" publish with Random123.
TEST(Philox, GivesThePublishedAnswers) {
  using Block = std::array<uint32_t, 4>;
  EXPECT_EQ(philox({0, 0, 0, 0}, {0, 0}), (Block{0x6627e8d5u, 0xe169c58du, 0xbc57ac4cu, 0x9b00dbd8u}));
  constexpr uint32_t kOnes = 0xffffffffu;
  EXPECT_EQ(philox({kOnes, kOnes, kOnes, kOnes}, {kOnes, kOnes}),
            (Block{0x408f276du, 0x41c83b0eu, 0xa20bc7c6u, 0x6d5451fdu}));
  EXPECT_EQ(philox({0x243f6a88u, 0x85a308d3u, 0x13198a2eu, 0x03707344u}, {0xa4093822u, 0x299f31d0u}),
            (Block{0xd16cfe09u, 0x94fdccebu, 0x5001e420u, 0x24126ea1u}));
}

TEST(Generator, StateRestoresTheStream) {
  Generator g(42);
  for (int i = 0; i < 5; ++i) g.next_u32();
  const Generator::State state = g.state();
  std::vector<double> first, again;
  for (int i = 0; i < 20; ++i) first.push_back(g.normal() + g.uniform() + static_cast<double>(g.below(10)));
  Generator h;
  h.set_state(state);
  for (int i = 0; i < 20; ++i) again.push_back(h.normal() + h.uniform() + static_cast<double>(h.below(10)));
  EXPECT_EQ(first, again);
  EXPECT_EQ(g.state(), h.state());
  EXPECT_EQ(Generator(state).state(), state);
}

TEST(Generator, BlockAtIsWhatComesNext) {
  Generator g(7, 3);
  const auto ahead = g.block_at(2);
  g.advance(2);
  EXPECT_EQ(g.block_at(0), ahead);
  EXPECT_EQ(g.next_u32(), ahead[0]);
  Generator far(7, 3);
  far.advance((uint64_t{1} << 40) + 5);  // the position uses all 64 bits
  EXPECT_NE(far.block_at(0), Generator(7, 3).block_at(5));
}

TEST(Generator, ForksDependOnSeedPurposeAndNumber) {
  std::set<uint64_t> seen;
  for (uint64_t seed : {0, 1})
    for (const char* purpose : {"", "dropout", "dropouts", "init"})
      for (uint64_t number : {0, 1, 2}) seen.insert(Generator(seed).fork(purpose, number).next_u64());
  EXPECT_EQ(seen.size(), 24u);
  EXPECT_EQ(Generator(5).fork("a", 1).next_u64(), Generator(5).fork("a", 1).next_u64());
  Generator used(5);
  used.next_u64();
  EXPECT_EQ(used.fork("a", 1).next_u64(), Generator(5).fork("a", 1).next_u64()) << "a fork ignores the position";
  EXPECT_NE(Generator(5).fork("a").fork("b").next_u64(), Generator(5).fork("b").fork("a").next_u64());
}

TEST(Generator, BelowIsUniformAndRefusesZero) {
  Generator g(3);
  std::vector<int> counts(7);
  for (int i = 0; i < 70000; ++i) ++counts[g.below(7)];
  for (const int count : counts) EXPECT_NEAR(count, 10000, 500);  // five standard deviations
  EXPECT_THROW(g.below(0), ValueError);
  EXPECT_EQ(g.below(1), 0u);
}

TEST(Generator, BelowIsUniformWhereTheBoundDoesNotDivide) {
  // Remainders of 2^64 numbers by 3 * 2^62 would hit the first third twice as often as the others.
  Generator g(5);
  constexpr uint64_t kThird = uint64_t{1} << 62;
  int first = 0;
  for (int i = 0; i < 30000; ++i) first += g.below(3 * kThird) < kThird;
  EXPECT_NEAR(first, 10000, 5 * std::sqrt(30000 * 2.0 / 9));
}

TEST(DefaultGenerator, SeedsAndReserves) {
  manual_seed(11);
  const Tensor a = rand({5}), b = rand({5});
  manual_seed(11);
  EXPECT_EQ(rand({5}).to_vector<float>(), a.to_vector<float>());
  EXPECT_EQ(rand({5}).to_vector<float>(), b.to_vector<float>());
  EXPECT_NE(a.to_vector<float>(), b.to_vector<float>());
  manual_seed(11);
  const Generator first = reserve_random(2);
  EXPECT_EQ(first.state().position, 0u);
  EXPECT_EQ(default_generator().state().position, 2u);
}

TEST(DefaultGenerator, AGuardIsForItsThreadAlone) {
  manual_seed(11);
  const Tensor undisturbed = rand({5});
  manual_seed(11);
  Generator own(3);
  {
    const GeneratorGuard guard(own);
    static_cast<void>(rand({7}));
    std::thread([&] { EXPECT_EQ(random_state().position, 0u); }).join();
    EXPECT_EQ(random_state(), own.state());
    manual_seed(4);
    EXPECT_EQ(own.state().seed, 4u);
  }
  EXPECT_EQ(rand({5}).to_vector<float>(), undisturbed.to_vector<float>());
  const Generator::State after = random_state();
  set_random_state({.seed = 9, .stream = 1, .position = 2});
  EXPECT_EQ(random_state().position, 2u);
  set_random_state(after);
}

struct Moments {
  double mean = 0, variance = 0, least = 0, most = 0;
};
Moments moments(const Tensor& x) {
  const std::vector<double> v = x.to_vector<double>();
  Moments m{0, 0, v[0], v[0]};
  for (const double e : v) {
    m.mean += e / static_cast<double>(v.size());
    m.least = std::min(m.least, e);
    m.most = std::max(m.most, e);
  }
  for (const double e : v) m.variance += (e - m.mean) * (e - m.mean) / static_cast<double>(v.size());
  return m;
}

class RandomFills : public ::testing::TestWithParam<DType> {};
INSTANTIATE_TEST_SUITE_P(DTypes, RandomFills, ::testing::Values(DType::kF32, DType::kF64),
                         [](const ::testing::TestParamInfo<DType>& one) { return to_string(one.param); });

TEST_P(RandomFills, UniformHasItsRangeAndMoments) {
  Generator g(1);
  const Moments m = moments(rand({200000}, GetParam(), &g));
  EXPECT_GE(m.least, 0);
  EXPECT_LT(m.most, 1);
  EXPECT_NEAR(m.mean, 0.5, 0.004);  // six standard deviations of the mean
  EXPECT_NEAR(m.variance, 1.0 / 12, 0.002);
  Tensor x = empty({200000}, GetParam());
  fill_uniform(x, 1, 2, &g);
  const Moments shifted = moments(x);
  EXPECT_GE(shifted.least, 1);
  EXPECT_LT(shifted.most, 2);
}

TEST_P(RandomFills, UniformNeverReachesTheUpperEndOfANarrowRange) {
  // Four steps between neighbouring numbers near 1000: an eighth of the results would round to the upper end.
  const double high = 1000 + 4 * (GetParam() == DType::kF32 ? 0x1p-14 : 0x1p-43);
  Generator g(3);
  Tensor x = empty({5000}, GetParam());
  fill_uniform(x, 1000, high, &g);
  const Moments m = moments(x);
  EXPECT_EQ(m.least, 1000);
  EXPECT_LT(m.most, high);
}

TEST_P(RandomFills, NormalHasItsMoments) {
  Generator g(2);
  const Tensor x = randn({400000}, GetParam(), &g);
  const Moments m = moments(x);
  EXPECT_NEAR(m.mean, 0, 0.01);
  EXPECT_NEAR(m.variance, 1, 0.015);
  double fourth = 0, beyond = 0, neighbours = 0;
  const std::vector<double> v = x.to_vector<double>();
  for (size_t i = 0; i < v.size(); ++i) {
    fourth += std::pow(v[i], 4) / 400000;
    beyond += std::abs(v[i]) > 2;
    if (i > 0) neighbours += v[i] * v[i - 1] / 400000;
  }
  EXPECT_NEAR(fourth, 3, 0.1);
  EXPECT_NEAR(beyond / 400000, 0.0455, 0.002);
  EXPECT_NEAR(neighbours, 0, 0.01);
  Tensor y = empty({100000}, GetParam());
  fill_normal(y, -3, 0.1, &g);
  EXPECT_NEAR(moments(y).mean, -3, 0.003);
  EXPECT_NEAR(moments(y).variance, 0.01, 0.0005);
}

// Box-Muller takes a logarithm; one in 2^24 numbers is 0, such as the first at this place, which a search found.
TEST(RandomNormal, IsFiniteWhereTheUniformNumberIsZero) {
  Generator g(Generator::State{.seed = 0, .stream = 0, .position = 14883995});
  ASSERT_EQ(g.block_at(0)[0] >> 8, 0u);
  for (const double v : randn({64}, DType::kF32, &g).to_vector<double>())
    EXPECT_LE(std::abs(v), std::sqrt(2 * 24 * std::log(2.0)) + 1e-6);
}

TEST_P(RandomFills, AreTheSameAtAnyNumberOfThreadsAndAsBlockAtSays) {
  const int before = num_threads();
  std::vector<std::vector<double>> runs;
  for (const int threads : {1, 2, 3}) {
    set_num_threads(threads);
    Generator g(9);
    runs.push_back(rand({70001}, GetParam(), &g).to_vector<double>());
  }
  set_num_threads(before);
  EXPECT_EQ(runs[0], runs[1]);
  EXPECT_EQ(runs[0], runs[2]);
  const Generator g(9);
  for (const size_t i : {size_t{0}, size_t{1}, size_t{2}, size_t{3}, size_t{16383}, size_t{16384}, size_t{70000}}) {
    if (GetParam() == DType::kF32) {
      EXPECT_EQ(runs[0][i], (g.block_at(i / 4)[i % 4] >> 8) * 0x1p-24) << i;
    } else {
      const auto block = g.block_at(i / 2);
      const uint64_t bits = (uint64_t{block[2 * (i % 2) + 1]} << 32) | block[2 * (i % 2)];
      EXPECT_EQ(runs[0][i], static_cast<double>(bits >> 11) * 0x1p-53) << i;
    }
  }
}

TEST_P(RandomFills, MoveTheGeneratorOnByWhatTheyUse) {
  Generator g(4);
  const Tensor a = rand({101}, GetParam(), &g);
  const uint64_t used = g.state().position;
  EXPECT_EQ(used, GetParam() == DType::kF32 ? 26u : 51u);
  const Tensor b = rand({101}, GetParam(), &g);
  Generator later(4);
  later.advance(used);
  EXPECT_EQ(rand({101}, GetParam(), &later).to_vector<double>(), b.to_vector<double>());
}

TEST(Randint, IsUniformInItsRange) {
  Generator g(6);
  std::vector<int> counts(6);
  for (const int64_t v : randint(-2, 4, {60000}, &g).to_vector<int64_t>()) {
    ASSERT_GE(v, -2);
    ASSERT_LT(v, 4);
    ++counts[static_cast<size_t>(v + 2)];
  }
  for (const int count : counts) EXPECT_NEAR(count, 10000, 500);
  const int64_t low = std::numeric_limits<int64_t>::min(), high = std::numeric_limits<int64_t>::max();
  bool negative = false, positive = false;
  for (const int64_t v : randint(low, high, {64}, &g).to_vector<int64_t>()) (v < 0 ? negative : positive) = true;
  EXPECT_TRUE(negative && positive);
}

TEST(Bernoulli, HasItsProbability) {
  Generator g(8);
  EXPECT_NEAR(moments(bernoulli(0.3, {100000}, DType::kU8, &g)).mean, 0.3, 0.008);
  EXPECT_EQ(moments(bernoulli(0, {1000}, DType::kU8, &g)).most, 0);
  EXPECT_EQ(moments(bernoulli(1, {1000}, DType::kF32, &g)).least, 1);
}

TEST(Multinomial, DrawsInProportionToTheWeights) {
  Generator g(12);
  const Tensor weights = tensor(std::vector<double>{1, 0, 2, 5, 3, 3, 0, 0}, {2, 4});
  const Tensor draws = multinomial(weights, 40000, true, &g);
  EXPECT_EQ(draws.shape(), (Shape{2, 40000}));
  std::vector<int> counts(8);
  for (int64_t row = 0; row < 2; ++row)
    for (const int64_t v : draws.select(0, row).to_vector<int64_t>()) ++counts[static_cast<size_t>(4 * row + v)];
  const std::vector<int> want = {5000, 0, 10000, 25000, 20000, 20000, 0, 0};
  for (size_t i = 0; i < want.size(); ++i) EXPECT_NEAR(counts[i], want[i], want[i] == 0 ? 0 : 500) << i;
}

TEST(Multinomial, WithoutReplacementIsOneDrawAfterTheOther) {
  Generator g(13);
  const std::vector<double> w = {1, 0, 2, 5};
  const Tensor weights = tensor(w).to(DType::kF32);
  std::map<std::vector<int64_t>, int> seen;
  for (int i = 0; i < 24000; ++i) ++seen[multinomial(weights, 2, false, &g).to_vector<int64_t>()];
  EXPECT_EQ(seen.size(), 6u);
  for (const auto& [pair, count] : seen) {
    const double first = w[static_cast<size_t>(pair[0])], second = w[static_cast<size_t>(pair[1])];
    EXPECT_NE(pair[0], pair[1]);
    EXPECT_NEAR(count, 24000 * first / 8 * second / (8 - first), 300) << pair[0] << ", " << pair[1];
  }
}

TEST(Multinomial, TakesTheDefaultGenerator) {
  const Tensor weights = rand({3, 7});
  for (const bool replacement : {false, true}) {
    manual_seed(4);
    const auto first = multinomial(weights, 5, replacement).to_vector<int64_t>();
    const auto next = multinomial(weights, 5, replacement).to_vector<int64_t>();
    manual_seed(4);
    EXPECT_EQ(multinomial(weights, 5, replacement).to_vector<int64_t>(), first);
    EXPECT_NE(next, first);
  }
  EXPECT_EQ(multinomial(weights, 0).shape(), (Shape{3, 0}));
}

TEST(Randperm, IsAPermutationAndEveryOrderIsAsLikely) {
  Generator g(10);
  std::vector<int64_t> order = randperm(1000, &g).to_vector<int64_t>();
  EXPECT_FALSE(std::is_sorted(order.begin(), order.end()));
  std::sort(order.begin(), order.end());
  for (int64_t i = 0; i < 1000; ++i) ASSERT_EQ(order[static_cast<size_t>(i)], i);
  std::map<std::vector<int64_t>, int> seen;
  for (int i = 0; i < 24000; ++i) ++seen[randperm(4, &g).to_vector<int64_t>()];
  EXPECT_EQ(seen.size(), 24u);
  for (const auto& [one, count] : seen) EXPECT_NEAR(count, 1000, 160);
}

}  // namespace
}  // namespace tern
