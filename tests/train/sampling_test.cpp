#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/train/language/sampling.h>

namespace tern::train {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

// How often each token came up in `draws` draws.
std::vector<double> shares(const std::vector<float>& logits, const SampleOptions& options, int draws = 20000) {
  Generator generator(7);
  std::vector<double> counts(logits.size());
  for (int i = 0; i < draws; ++i) counts[static_cast<size_t>(sample_token(logits, options, generator))] += 1.0 / draws;
  return counts;
}

// Four standard deviations of a share from 20000 draws are at most 0.0142.
constexpr double kShareTolerance = 0.0142;

void expect_shares(const std::vector<double>& got, const std::vector<double>& wanted) {
  ASSERT_EQ(got.size(), wanted.size());
  for (size_t i = 0; i < wanted.size(); ++i) {
    if (wanted[i] == 0)
      EXPECT_EQ(got[i], 0) << "token " << i;
    else
      EXPECT_NEAR(got[i], wanted[i], kShareTolerance) << "token " << i;
  }
}

std::vector<float> logs(const std::vector<double>& probabilities) {
  std::vector<float> logits;
  for (const double p : probabilities) logits.push_back(static_cast<float>(std::log(p) + 3));
  return logits;
}

TEST(SampleToken, TakesTheFirstLargestAtTemperatureZero) {
  Generator generator(1);
  const Generator::State before = generator.state();
  EXPECT_EQ(sample_token(std::vector<float>{1, 3, -2, 3}, {.temperature = 0}, generator), 1);
  EXPECT_EQ(sample_token(std::vector<float>{-kInfinity, -5}, {.temperature = 0}, generator), 1);
  EXPECT_EQ(generator.state(), before);
}

TEST(SampleToken, DrawsByProbability) {
  expect_shares(shares(logs({0.1, 0.5, 0.15, 0.25}), {}), {0.1, 0.5, 0.15, 0.25});
}

TEST(SampleToken, TemperatureSharpensAndFlattens) {
  // p^(1/T), normalised: squares and roots of 1 : 4.
  expect_shares(shares(logs({0.2, 0.8}), {.temperature = 0.5}), {1.0 / 17, 16.0 / 17});
  expect_shares(shares(logs({0.2, 0.8}), {.temperature = 2}), {1.0 / 3, 2.0 / 3});
  expect_shares(shares(logs({0.2, 0.8}), {.temperature = 1e-300}), {0, 1});
}

TEST(SampleToken, TopKKeepsTheLikeliest) {
  expect_shares(shares(logs({0.1, 0.5, 0.15, 0.25}), {.top_k = 2}), {0, 2.0 / 3, 0, 1.0 / 3});
  expect_shares(shares(logs({0.1, 0.5, 0.15, 0.25}), {.top_k = 1}), {0, 1, 0, 0});
  expect_shares(shares(logs({0.1, 0.5, 0.15, 0.25}), {.top_k = 9}), {0.1, 0.5, 0.15, 0.25});
  expect_shares(shares({1, 1, 1}, {.top_k = 2}), {0.5, 0.5, 0});  // the first among equals
}

TEST(SampleToken, TopPKeepsTheLikeliestUntilTheyReachIt) {
  expect_shares(shares(logs({0.1, 0.5, 0.15, 0.25}), {.top_p = 0.7}), {0, 2.0 / 3, 0, 1.0 / 3});
  expect_shares(shares(logs({0.1, 0.5, 0.15, 0.25}), {.top_p = 0.8}), {0, 5.0 / 9, 1.5 / 9, 2.5 / 9});
  expect_shares(shares(logs({0.1, 0.5, 0.15, 0.25}), {.top_p = 1e-9}), {0, 1, 0, 0});
  // After top_k: 0.5 of 0.75 reaches 0.6.
  expect_shares(shares(logs({0.1, 0.5, 0.15, 0.25}), {.top_k = 2, .top_p = 0.6}), {0, 1, 0, 0});
}

TEST(SampleToken, NeverDrawsTheImpossible) {
  expect_shares(shares({-kInfinity, 0, -kInfinity, 0}, {}), {0, 0.5, 0, 0.5});
}

TEST(SampleToken, RefusesWhatMakesNoSense) {
  Generator generator(1);
  const std::vector<float> logits{1, 2};
  const auto draw = [&](const std::vector<float>& from, const SampleOptions& options) {
    return sample_token(from, options, generator);
  };
  EXPECT_THROW(draw(logits, {.temperature = -1}), ValueError);
  EXPECT_THROW(draw(logits, {.temperature = std::nan("")}), ValueError);
  EXPECT_THROW(draw(logits, {.top_k = -1}), ValueError);
  EXPECT_THROW(draw(logits, {.top_p = 0}), ValueError);
  EXPECT_THROW(draw(logits, {.top_p = 1.1}), ValueError);
  EXPECT_THROW(draw({}, {}), ValueError);
  EXPECT_THROW(draw({1, std::nanf("")}, {}), ValueError);
  EXPECT_THROW(draw({1, kInfinity}, {}), ValueError);
  EXPECT_THROW(draw({-kInfinity, -kInfinity}, {}), ValueError);
}

}  // namespace
}  // namespace tern::train
