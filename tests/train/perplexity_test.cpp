#include <cmath>

#include <gtest/gtest.h>

#include <tern/train/language/perplexity.h>

namespace tern::train {
namespace {

constexpr int64_t kVocabulary = 20;

// -ln p that CountingModel gives the token that follows, at position i.
double nll_at(int64_t i) {
  return std::log(1 + (kVocabulary - 1) * std::exp(-0.25 * static_cast<double>(i)));
}
double nll_between(int64_t begin, int64_t end) {
  double sum = 0;
  for (int64_t i = begin; i < end; ++i) sum += nll_at(i);
  return sum;
}

// Expects that tokens count up, and is the surer of it the more tokens it has seen.
struct CountingModel : nn::Module {
  Tensor forward(const Tensor& tokens) override {
    const int64_t n = tokens.size(0), length = tokens.size(1);
    Tensor logits = empty({n, length, kVocabulary}).zero_();
    for (int64_t row = 0; row < n * length; ++row) {
      const int64_t next = (tokens.data<int64_t>()[row] + 1) % kVocabulary;
      logits.data<float>()[row * kVocabulary + next] = static_cast<float>(0.25 * static_cast<double>(row % length));
    }
    ++calls;
    longest = std::max(longest, length);
    evaluated = evaluated && !is_training();
    return logits;
  }
  int64_t calls = 0, longest = 0;
  bool evaluated = true;
};

std::vector<int64_t> counting(int64_t n, int64_t first = 0) {
  std::vector<int64_t> tokens;
  for (int64_t i = 0; i < n; ++i) tokens.push_back((first + i) % kVocabulary);
  return tokens;
}

constexpr double kTolerance = 1e-5;  // of sums of up to a hundred f32 values

TEST(Perplexity, OfARunningTextCountsEveryTokenButTheFirstOnce) {
  CountingModel model;
  const std::vector<int64_t> tokens = counting(31);
  const TokenNll windows = text_nll(model, tokens, {.context = 12});  // 12 + 12 + 6 predictions
  EXPECT_EQ(windows.tokens, 30);
  EXPECT_NEAR(windows.sum, 2 * nll_between(0, 12) + nll_between(0, 6), kTolerance);
  EXPECT_EQ(model.longest, 12);

  const TokenNll whole = text_nll(model, tokens, {.context = 100});
  EXPECT_EQ(whole.tokens, 30);
  EXPECT_NEAR(whole.sum, nll_between(0, 30), kTolerance);

  EXPECT_NEAR(perplexity(model, tokens, {.context = 12}), std::exp(windows.sum / 30), kTolerance);
  Tensor tensor = empty({31}, DType::kI64);
  std::copy(tokens.begin(), tokens.end(), tensor.data<int64_t>());
  EXPECT_EQ(perplexity(model, tensor, {.context = 12}), perplexity(model, tokens, {.context = 12}));
}

TEST(Perplexity, ASmallerStrideGivesEveryTokenMoreToGoBy) {
  CountingModel model;
  const TokenNll strided = text_nll(model, counting(31), {.context = 12, .stride = 5});
  // The first window counts whole; those at 5, 10 and 15 count their last five, the one at 20 the three that are left.
  EXPECT_EQ(strided.tokens, 30);
  EXPECT_NEAR(strided.sum, nll_between(0, 12) + 3 * nll_between(7, 12) + nll_between(7, 10), kTolerance);
  const TokenNll slow = text_nll(model, counting(31), {.context = 12, .stride = 1});
  EXPECT_NEAR(slow.sum, nll_between(0, 12) + 18 * nll_at(11), kTolerance);
}

TEST(Perplexity, OfDocumentsKeepsThemApartAndCutsThem) {
  CountingModel model;
  const std::vector<std::vector<int64_t>> documents{counting(5), counting(40, 7), {}, counting(1), counting(2)};
  const TokenNll result = document_nll(model, documents, {.context = 16});
  EXPECT_EQ(result.tokens, 4 + 15 + 1);
  EXPECT_NEAR(result.sum, nll_between(0, 4) + nll_between(0, 15) + nll_between(0, 1), kTolerance);
  EXPECT_EQ(model.longest, 15);
}

TEST(Perplexity, DoesNotDependOnTheBatch) {
  const std::vector<std::vector<int64_t>> documents{counting(9), counting(3, 4), counting(12, 1), counting(7, 8)};
  CountingModel one_by_one, together;
  const TokenNll a = document_nll(one_by_one, documents, {.context = 16, .batch_tokens = 1});
  const TokenNll b = document_nll(together, documents, {.context = 16, .batch_tokens = 1000});
  EXPECT_EQ(one_by_one.calls, 4);
  EXPECT_EQ(together.calls, 1);
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.sum, b.sum);
}

TEST(Perplexity, EvaluatesAndLeavesTheModeAsItWas) {
  CountingModel model;
  EXPECT_TRUE(model.is_training());
  static_cast<void>(perplexity(model, counting(9)));
  EXPECT_TRUE(model.evaluated);
  EXPECT_TRUE(model.is_training());
  model.eval();
  static_cast<void>(perplexity(model, counting(9)));
  EXPECT_FALSE(model.is_training());
}

TEST(Perplexity, RefusesWhatMakesNoSense) {
  CountingModel model;
  const std::vector<int64_t> tokens = counting(9);
  EXPECT_THROW(static_cast<void>(text_nll(model, tokens, {.context = 0})), ValueError);
  EXPECT_THROW(static_cast<void>(text_nll(model, tokens, {.context = 4, .stride = 5})), ValueError);
  EXPECT_THROW(static_cast<void>(text_nll(model, tokens, {.context = 4, .stride = -1})), ValueError);
  EXPECT_THROW(static_cast<void>(text_nll(model, tokens, {.batch_tokens = 0})), ValueError);
  EXPECT_THROW(static_cast<void>(document_nll(model, std::vector<std::vector<int64_t>>(1, tokens), {.context = 1})),
               ValueError);
  EXPECT_THROW(static_cast<void>(perplexity(model, counting(1))), ValueError);
  EXPECT_THROW(static_cast<void>(perplexity(model, empty({4}))), DTypeError);
  EXPECT_THROW(static_cast<void>(perplexity(model, empty({2, 2}, DType::kI64))), ShapeError);
  EXPECT_EQ(text_nll(model, counting(1)).tokens, 0);
}

TEST(Perplexity, SplitsDocuments) {
  using Texts = std::vector<std::string>;
  EXPECT_EQ(split_documents("a<s> b\n<s>\n<s>c d", "<s>"), (Texts{"a", "b", "c d"}));
  EXPECT_EQ(split_documents("a<s> b\n<s>\n<s>c d", "<s>", 2), (Texts{"a", "b"}));
  EXPECT_EQ(split_documents("<s>a<s>", "<s>"), (Texts{"a"}));
  EXPECT_EQ(split_documents("no separator ", "<s>"), (Texts{"no separator"}));
  EXPECT_EQ(split_documents("", "<s>"), Texts{});
  EXPECT_EQ(split_documents(" \n", "<s>"), Texts{});
  EXPECT_THROW(static_cast<void>(split_documents("a", "")), ValueError);
}

}  // namespace
}  // namespace tern::train
