#include <gtest/gtest.h>

#include "apps/chain_model.h"
#include "apps/process.h"

namespace tern::testing {
namespace {

// "abcd" over and over.
ChainModel abcd() {
  ChainModel model;
  model.chain({" ", "a", "b", "c", "d", "a"});
  return model;
}

class Generate : public ::testing::Test {
 protected:
  TemporaryDirectory directory_;
  std::string weights_ = directory_ / "chain.bin", tokenizer_ = directory_ / "chain_tokenizer.bin";

  void write(const ChainModel& model) {
    model.write_checkpoint(weights_);
    model.write_tokenizer(tokenizer_);
  }
  ProcessResult generate(std::vector<std::string> more) {
    std::vector<std::string> arguments{"--weights", weights_, "--tokenizer", tokenizer_};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program("generate", arguments);
  }
};

TEST_F(Generate, PrintsPromptAndContinuationAndNothingElse) {
  write(abcd());
  // Eight positions: the space that encoding puts in front, the prompt's two letters, five more.
  const ProcessResult result = generate({"--prompt", "ab", "--steps", "8", "--temperature", "0"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "abcdabc\n");
  EXPECT_NE(result.err.find("tokens/s"), std::string::npos) << result.err;
}

TEST_F(Generate, StartsFromNothing) {
  write(abcd());
  for (const auto& prompt : {std::vector<std::string>{}, std::vector<std::string>{"--prompt", ""}}) {
    std::vector<std::string> arguments{"--steps", "6", "--temperature", "0"};
    arguments.insert(arguments.end(), prompt.begin(), prompt.end());
    EXPECT_EQ(generate(arguments).out, "abcda\n");
  }
}

TEST_F(Generate, StopsAtTheBeginningOfTextToken) {
  ChainModel model = abcd();
  model.next[model.id("c")] = ChainModel::kBos;
  write(model);
  EXPECT_EQ(generate({"--prompt", "a", "--steps", "16", "--temperature", "0"}).out, "abc\n");
}

TEST_F(Generate, PassesTheEndOfTextTokenBy) {
  ChainModel model = abcd();  // llama2.c stops at the beginning-of-text token alone
  constexpr int kEos = 2;
  model.next[model.id("b")] = kEos;
  model.next[kEos] = model.id("d");
  write(model);
  EXPECT_EQ(generate({"--prompt", "a", "--steps", "5", "--temperature", "0"}).out, "ab\n</s>\nd\n");
}

TEST_F(Generate, StepsEndAtTheModelsPositions) {
  write(abcd());
  for (const char* steps : {"16", "0", "1000"}) {
    const ProcessResult result = generate({"--steps", steps, "--temperature", "0"});
    EXPECT_EQ(result.exit_code, 0) << result.err;
    EXPECT_EQ(result.out, "abcdabcdabcdabc\n");
    EXPECT_EQ(result.err.find("1000") != std::string::npos, std::string(steps) == "1000") << result.err;
  }
}

TEST_F(Generate, CutsALongPromptAtTheSteps) {
  write(abcd());
  const ProcessResult result = generate({"--prompt", "dcbadcba", "--steps", "4", "--temperature", "0"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, "dcb\n");
  EXPECT_NE(result.err.find("--steps"), std::string::npos) << result.err;
}

TEST_F(Generate, GivesThePromptsBytesBack) {
  write(abcd());
  const std::string prompt = "a \"b\" caf\xC3\xA9 \xE2\x82\xAC";  // letters that have no token of their own
  const ProcessResult result = generate({"--prompt", prompt, "--steps", "16", "--temperature", "0"});
  EXPECT_EQ(result.exit_code, 0) << result.err;
  EXPECT_EQ(result.out, prompt + "\n");
  EXPECT_EQ(generate({"--prompt", "\"ab\"", "--steps", "5", "--temperature", "0"}).out, "\"ab\"\n");
}

TEST_F(Generate, SamplesBySeed) {
  ChainModel model = abcd();
  model.logit = 0;  // all tokens equally likely
  write(model);
  const auto sample = [&](const char* seed) {
    return generate({"--steps", "16", "--temperature", "1", "--top-p", "1", "--seed", seed}).out;
  };
  const std::string one = sample("1");
  EXPECT_EQ(one, sample("1"));
  EXPECT_NE(one, sample("2"));
}

TEST_F(Generate, OneLikeliestTokenLeavesNoChoice) {
  ChainModel model = abcd();
  model.logit = 1;
  write(model);
  const std::string greedy = generate({"--steps", "12", "--temperature", "0"}).out;
  EXPECT_EQ(generate({"--steps", "12", "--temperature", "5", "--top-k", "1"}).out, greedy);
  EXPECT_EQ(generate({"--steps", "12", "--temperature", "5", "--top-p", "1e-6"}).out, greedy);
}

TEST_F(Generate, RefusesBadArguments) {
  write(abcd());
  const auto refused = [&](std::vector<std::string> arguments, const std::string& said) {
    const ProcessResult result = generate(arguments);
    EXPECT_EQ(result.exit_code, 2) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find(said), std::string::npos) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  };
  refused({"--steps", "-1"}, "--steps");
  refused({"--steps", "many"}, "--steps");
  refused({"--temperature", "-0.5"}, "--temperature");
  refused({"--temperature", "nan"}, "--temperature");
  refused({"--top-k", "-1"}, "--top-k");
  refused({"--top-p", "0"}, "--top-p");
  refused({"--top-p", "1.5"}, "--top-p");
  refused({"--threads", "-2"}, "--threads");
  refused({"--temprature", "0"}, "--temperature");
  refused({"--prompt"}, "--prompt");
  EXPECT_EQ(run_program("generate", {}).exit_code, 2);
  EXPECT_EQ(run_program("generate", {"--weights", weights_}).exit_code, 2);
}

TEST_F(Generate, RefusesBadFiles) {
  const ChainModel model = abcd();
  write(model);
  const auto refused = [&](const std::string& weights, const std::string& tokenizer, const std::string& said) {
    const ProcessResult result =
        run_program("generate", {"--weights", weights, "--tokenizer", tokenizer, "--temperature", "0"});
    EXPECT_EQ(result.exit_code, 1) << result.err;
    EXPECT_EQ(result.out, "");
    EXPECT_NE(result.err.find(said), std::string::npos) << result.err;
    EXPECT_EQ(std::count(result.err.begin(), result.err.end(), '\n'), 1) << result.err;
  };
  const std::string missing = directory_ / "missing.bin";
  refused(missing, tokenizer_, missing);
  refused(weights_, missing, missing);
  refused(directory_.path(), tokenizer_, directory_.path());

  const ProcessResult with_config = generate({"--config", missing});  // a llama2.c checkpoint needs none
  EXPECT_EQ(with_config.exit_code, 1);
  EXPECT_NE(with_config.err.find(missing), std::string::npos) << with_config.err;

  const std::string cut = directory_ / "cut.bin";
  for (const auto& [source, is_weights] : {std::pair{weights_, true}, std::pair{tokenizer_, false}})
    for (const double share : {0.0, 0.001, 0.5, 0.999}) {
      std::filesystem::copy_file(source, cut, std::filesystem::copy_options::overwrite_existing);
      const auto size = static_cast<double>(std::filesystem::file_size(cut));
      std::filesystem::resize_file(cut, static_cast<uintmax_t>(size * share));
      refused(is_weights ? cut : weights_, is_weights ? tokenizer_ : cut, cut);
    }

  ChainModel larger = model;  // a tokenizer with another number of tokens
  larger.pieces.push_back("e");
  const std::string other = directory_ / "other_tokenizer.bin";
  larger.write_tokenizer(other);
  refused(weights_, other, std::to_string(larger.vocabulary()));
}

TEST_F(Generate, TellsTheStoryOfLily) {
  TERN_NEEDS_TEST_DATA();
  const std::string files = test_data() + "/pretrained/";
  const auto story = [&](std::vector<std::string> more) {
    std::vector<std::string> arguments{"--weights",          files + "stories260K.bin", "--tokenizer",
                                       files + "tok512.bin", "--temperature",           "0"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return run_program("generate", arguments).out;
  };
  const std::string lily =
      "Once upon a time, there was a little girl named Lily. She loved to play outside in the park. One day, she saw a "
      "big, red ball. She wanted to play with it, but it was too high.";
  const std::string text = story({"--prompt", "", "--steps", "256"});
  EXPECT_EQ(text.substr(0, lily.size()), lily);
  EXPECT_EQ(story({"--steps", "256", "--threads", "1"}), text);
  // A prompt that is the story's own beginning changes nothing.
  EXPECT_EQ(story({"--prompt", "Once upon a time, there was", "--steps", "256"}), text);
}

}  // namespace
}  // namespace tern::testing
