#include <cmath>

#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include "apps/chain_model.h"
#include "apps/process.h"

namespace tern::testing {
namespace {

class Perplexity : public ::testing::Test {
 protected:
  TemporaryDirectory directory_;
  std::string weights_ = directory_ / "chain.bin", tokenizer_ = directory_ / "chain_tokenizer.bin",
              text_ = directory_ / "text.txt";
  ChainModel model_;

  // " abcabc...": a space comes in front of every document.
  void SetUp() override {
    model_.chain({" ", "a", "b", "c", "a"});
    model_.write_checkpoint(weights_);
    model_.write_tokenizer(tokenizer_);
  }
  ProcessResult run(const std::string& text, std::vector<std::string> more) {
    std::ofstream(text_, std::ios::binary) << text;
    std::vector<std::string> arguments{"--weights", weights_, "--tokenizer", tokenizer_, "--text", text_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program("perplexity", arguments);
  }
  void expect(const ProcessResult& result, int64_t tokens, double nll) {
    ASSERT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(std::count(result.out.begin(), result.out.end(), '\n'), 1) << result.out;
    const auto json = nlohmann::json::parse(result.out);
    EXPECT_EQ(json.at("tokens"), tokens);
    EXPECT_NEAR(json.at("nll"), nll, 1e-5);
    EXPECT_NEAR(json.at("perplexity"), std::exp(nll), 1e-4 * std::exp(nll));
  }
};

TEST_F(Perplexity, IsTheMeanOverAllPredictedTokensOfAllDocuments) {
  // Four predictions as foreseen, then five of which the last is not.
  const double mean = (4 * model_.nll_expected() + 4 * model_.nll_expected() + model_.nll_other()) / 9;
  expect(run("abc<end>abcb", {"--separator", "<end>", "--context", "16", "--json"}), 9, mean);
}

TEST_F(Perplexity, StripsDocumentsAndLeavesEmptyOnesOut) {
  expect(run("\n abc \n<end>\t\n<end><end>\nab\n<end>", {"--separator", "<end>", "--context", "16", "--json"}), 7,
         model_.nll_expected());
}

TEST_F(Perplexity, CutsDocumentsToTheContext) {
  // BOS, space and four letters; the wrong one comes after.
  expect(run("abcacccccc<end>ab", {"--separator", "<end>", "--context", "6", "--json"}), 8, model_.nll_expected());
}

TEST_F(Perplexity, TakesTheFirstDocumentsOnly) {
  expect(run("abc<end>ab<end>cccc", {"--separator", "<end>", "--context", "16", "--limit", "2", "--json"}), 7,
         model_.nll_expected());
}

TEST_F(Perplexity, PredictsEveryTokenOfARunningTextOnce) {
  // 40 letters and the space: windows of 16 and 7, or a window of its own for every fourth token.
  std::string text;
  for (int i = 0; i < 40; ++i) text += "abc"[i % 3];
  text[20] = 'd';  // 'd' is not foreseen, and nothing is after it
  const double uniform = std::log(model_.vocabulary());
  const double mean = (39 * model_.nll_expected() + model_.nll_other() + uniform) / 41;
  for (const char* stride : {"16", "5", "1"})
    expect(run(text, {"--context", "16", "--stride", stride, "--json"}), 41, mean);
  expect(run(text, {"--json"}), 41, mean);
}

TEST_F(Perplexity, ReadsWithoutJsonToo) {
  const ProcessResult result = run("abc", {"--context", "16"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_NE(result.out.find("perplexity"), std::string::npos) << result.out;
}

TEST_F(Perplexity, RefusesBadArguments) {
  const auto refused = [&](std::vector<std::string> arguments, const std::string& said) {
    const ProcessResult result = run("abc", arguments);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find(said), std::string::npos) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  };
  refused({"--context", "1"}, "--context");
  refused({"--context", "17"}, "16");  // more than the model's positions
  refused({"--context", "8", "--stride", "9"}, "--stride");
  refused({"--separator", "", "--context", "8"}, "--separator");
  refused({"--separator", "|", "--stride", "4"}, "--stride");
  refused({"--limit", "5"}, "--separator");
  refused({"--separator", "|", "--limit", "0"}, "--limit");
  refused({"--contxt", "8"}, "--context");
  EXPECT_EQ(run_program("perplexity", {"--weights", weights_, "--tokenizer", tokenizer_}).exit_code, 2);
}

TEST_F(Perplexity, RefusesBadFiles) {
  const std::string missing = directory_ / "missing";
  const auto refused = [&](const ProcessResult& result, const std::string& said) {
    EXPECT_EQ(result.exit_code, 1) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find(said), std::string::npos) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  };
  refused(run_program("perplexity", {"--weights", missing, "--tokenizer", tokenizer_, "--text", tokenizer_}), missing);
  refused(run_program("perplexity", {"--weights", weights_, "--tokenizer", missing, "--text", tokenizer_}), missing);
  refused(run_program("perplexity", {"--weights", weights_, "--tokenizer", tokenizer_, "--text", missing}), missing);
  refused(run_program("perplexity", {"--weights", tokenizer_, "--tokenizer", tokenizer_, "--text", tokenizer_}),
          tokenizer_);
  refused(run("", {"--json"}), text_);
  refused(run(" | \n|", {"--separator", "|", "--json"}), text_);
}

TEST_F(Perplexity, OfTinyStories) {
  TERN_NEEDS_TEST_DATA();
  const std::string files = test_data();
  const ProcessResult result =
      run_program("perplexity", {"--weights", files + "/pretrained/stories260K.bin", "--tokenizer",
                                 files + "/pretrained/tok512.bin", "--text", files + "/text/tinystories_sample.txt",
                                 "--context", "512", "--separator", "<|endoftext|>", "--limit", "100", "--json"});
  ASSERT_EQ(result.exit_code, 0) << result.err;
  const auto json = nlohmann::json::parse(result.out);
  EXPECT_EQ(json.at("tokens"), 37072);
  EXPECT_NEAR(json.at("nll"), 1.4076, 5e-4);
  EXPECT_NEAR(json.at("perplexity"), std::exp(json.at("nll").get<double>()), 1e-6);
}

}  // namespace
}  // namespace tern::testing
