#include <algorithm>
#include <filesystem>

#include <gtest/gtest.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/io/file.h>
#include <tern/core/io/safetensors.h>
#include <tern/core/ops/create.h>
#include <tern/core/random.h>
#include <tern/nn/models/llama.h>
#include <tern/quant/codeq/codeq.h>
#include <tern/train/language/generation.h>
#include <tern/train/language/language_model.h>
#include <tern/train/weights/checkpoint.h>

#include "apps/chain_model.h"
#include "message_of.h"
#include "temporary_directory.h"

namespace tern::train {
namespace {

using nn::models::Llama;
using tern::testing::ChainModel;

// A small decoder with shared key-value heads. Larger weights than usual, so that the likeliest token stands out.
std::shared_ptr<Llama> small_model(int64_t vocabulary = 50) {
  manual_seed(3);
  auto model = nn::make<Llama>(Llama::Options{.vocab_size = vocabulary,
                                              .hidden_size = 32,
                                              .intermediate_size = 48,
                                              .num_hidden_layers = 2,
                                              .num_attention_heads = 4,
                                              .num_key_value_heads = 2,
                                              .max_position_embeddings = 24});
  const NoGradGuard no_grad;
  for (const auto& [name, parameter] : model->named_parameters())
    if (parameter.dim() == 2) Tensor(parameter).mul_(10);
  return model;
}

// The likeliest token after `tokens`, by running the whole sequence.
int64_t next_of(Llama& model, const std::vector<int64_t>& tokens) {
  const NoGradGuard no_grad;
  const std::vector<float> logits =
      model(tensor(tokens, {1, static_cast<int64_t>(tokens.size())})).select(1, -1).to_vector<float>();
  return std::max_element(logits.begin(), logits.end()) - logits.begin();
}

const SampleOptions kGreedy{.temperature = 0};

TEST(Generation, WithACacheIsTheSameAsRunningTheWholeSequence) {
  const auto model = small_model();
  for (const std::vector<int64_t>& prompt : {std::vector<int64_t>{1}, std::vector<int64_t>{1, 17, 4, 30, 8}}) {
    std::vector<int64_t> expected = prompt;
    while (expected.size() < 25) expected.push_back(next_of(*model, std::vector<int64_t>(expected)));
    const Generated result = generate(*model, prompt, {.steps = 24, .sample = kGreedy, .stop_token = -1});
    EXPECT_EQ(result.tokens, expected);
    EXPECT_EQ(result.prompt_tokens, static_cast<int64_t>(prompt.size()));
    EXPECT_EQ(result.generated(), 25 - static_cast<int64_t>(prompt.size()));
    EXPECT_EQ(result.steps, result.generated() - 1);
    EXPECT_GT(result.tokens_per_second(), 0);
  }
}

TEST(Generation, CountsThePromptsPositions) {
  const auto model = small_model();
  const std::vector<int64_t> prompt{1, 17, 4, 30, 8};
  const auto all = generate(*model, prompt, {.steps = 9, .sample = kGreedy, .stop_token = -1}).tokens;
  EXPECT_EQ(all.size(), 10u);
  for (const int64_t steps : {1, 3, 4, 5, 6}) {
    const auto some = generate(*model, prompt, {.steps = steps, .sample = kGreedy, .stop_token = -1});
    EXPECT_EQ(some.tokens, std::vector<int64_t>(all.begin(), all.begin() + steps + 1)) << steps;
    EXPECT_EQ(some.prompt_tokens, std::min<int64_t>(steps + 1, 5));
  }
}

TEST(Generation, StopsAtTheStopToken) {
  const auto model = small_model();
  const std::vector<int64_t> prompt{1, 17};
  const auto all = generate(*model, prompt, {.steps = 20, .sample = kGreedy, .stop_token = -1}).tokens;
  const int64_t stop = all[6];
  const auto first = std::find(all.begin() + 2, all.end(), stop);  // never looked for in the prompt
  const auto stopped = generate(*model, prompt, {.steps = 20, .sample = kGreedy, .stop_token = stop}).tokens;
  EXPECT_EQ(stopped, std::vector<int64_t>(all.begin(), first));
}

TEST(Generation, TellsOfEveryTokenAfterTheFirst) {
  const auto model = small_model();
  const std::vector<int64_t> prompt{1, 17, 4};
  std::vector<int64_t> told{1};
  GenerateOptions options{.steps = 8, .sample = kGreedy, .stop_token = -1};
  options.on_token = [&](int64_t token) { told.push_back(token); };
  EXPECT_EQ(generate(*model, prompt, options).tokens, told);
}

TEST(Generation, DrawsBySeed) {
  const auto model = small_model();
  const std::vector<int64_t> prompt{1};
  const auto draw = [&](uint64_t seed) {
    return generate(*model, prompt, {.steps = 24, .sample = {.temperature = 5}, .seed = seed, .stop_token = -1}).tokens;
  };
  EXPECT_EQ(draw(1), draw(1));
  EXPECT_NE(draw(1), draw(2));
}

TEST(Generation, LeavesTheModeAsItWas) {
  const auto model = small_model();
  const std::vector<int64_t> prompt{1};
  static_cast<void>(generate(*model, prompt, {.steps = 2}));
  EXPECT_TRUE(model->is_training());
  model->eval();
  static_cast<void>(generate(*model, prompt, {.steps = 2}));
  EXPECT_FALSE(model->is_training());
}

TEST(Generation, RefusesWhatMakesNoSense) {
  const auto model = small_model();
  const auto run = [&](std::vector<int64_t> prompt, const GenerateOptions& options) {
    static_cast<void>(generate(*model, prompt, options));
  };
  EXPECT_THROW(run({}, {.steps = 4}), ValueError);
  EXPECT_THROW(run({50}, {.steps = 4}), ValueError);
  EXPECT_THROW(run({-1}, {.steps = 4}), ValueError);
  EXPECT_THROW(run({1}, {.steps = 0}), ValueError);
  EXPECT_THROW(run({1}, {.steps = 25}), ValueError);
  EXPECT_THROW(run({1}, {.steps = 4, .sample = {.temperature = -1}}), ValueError);
}

// -- files

class LanguageModelFiles : public ::testing::Test {
 protected:
  tern::testing::TemporaryDirectory directory_;
  ChainModel chain_;
  std::string tokenizer_ = directory_ / "tokenizer.bin", weights_ = directory_ / "model.safetensors";
  std::shared_ptr<Llama> model_ = small_model(chain_.vocabulary());

  void SetUp() override { chain_.write_tokenizer(tokenizer_); }
  static std::vector<float> logits(Llama& model) {
    const NoGradGuard no_grad;
    const bool training = model.is_training();
    model.eval();
    const auto values = model(tensor(std::vector<int64_t>{1, 9, 200, 30}, {1, 4})).to_vector<float>();
    model.train(training);
    return values;
  }
  void expect_same(const std::string& config = "") {
    const LanguageModel loaded = load_language_model(weights_, tokenizer_, config);
    EXPECT_EQ(logits(*loaded.model), logits(*model_));
    EXPECT_EQ(loaded.tokenizer.vocab_size(), chain_.vocabulary());
  }
};

TEST_F(LanguageModelFiles, LoadWithTheirOwnMetadata) {
  io::save_safetensors(weights_, model_->state_dict(), model_->metadata());
  expect_same();
}

TEST_F(LanguageModelFiles, LoadWithAConfigFile) {
  io::save_safetensors(weights_, model_->state_dict());
  const std::string config = directory_ / "config.json";
  io::write_file_atomic("test", config, model_->config().dump());
  expect_same(config);
}

TEST_F(LanguageModelFiles, LoadCheckpointsWithTheStateOfARun) {
  Checkpoint checkpoint = weights_of(*model_);
  checkpoint.metadata.merge(model_->metadata());
  checkpoint.state.insert("optimizer.step", tensor({1.0, 2.0}));
  save_checkpoint(weights_, checkpoint);
  expect_same();
}

TEST_F(LanguageModelFiles, LoadCheckpointsWithQuantizers) {
  quant::codeq::attach(*model_, {.bits = quant::codeq::Fixed{.bits = 3}});
  Checkpoint checkpoint = weights_of(*model_);
  checkpoint.metadata.merge(model_->metadata());
  save_checkpoint(weights_, checkpoint);
  expect_same();
}

TEST_F(LanguageModelFiles, AreKnownByTheirContent) {
  weights_ = directory_ / "model.bin";
  io::save_safetensors(weights_, model_->state_dict(), model_->metadata());
  expect_same();
  // A llama2.c checkpoint under another name: the seven sizes, then all weights 0.
  weights_ = directory_ / "weights";
  const auto vocabulary = static_cast<int32_t>(chain_.vocabulary());
  const int32_t header[7] = {4, 8, 1, 2, 1, vocabulary, 16};
  const size_t values = static_cast<size_t>(vocabulary) * 4 + 4 + 16 + 8 + 8 + 16 + 4 + 3 * 32 + 4 + 2 * 16;
  std::string bytes(reinterpret_cast<const char*>(header), sizeof header);
  bytes.append(values * sizeof(float), '\0');
  io::write_file_atomic("test", weights_, bytes);
  EXPECT_EQ(load_language_model(weights_, tokenizer_).model->options().hidden_size, 4);
  EXPECT_EQ(test::message_of<ValueError>(
                [&] { static_cast<void>(load_language_model(weights_, tokenizer_, "config.json")); }),
            concat("[load_language_model] expected no configuration with '", weights_,
                   "', as llama2.c checkpoints have their own, got 'config.json'"));
}

TEST_F(LanguageModelFiles, AreRefusedWhereTheyDoNotFit) {
  io::save_safetensors(weights_, model_->state_dict());  // and nothing says what it is
  EXPECT_THROW(static_cast<void>(load_language_model(weights_, tokenizer_)), ValueError);

  Checkpoint checkpoint = weights_of(*model_);
  save_checkpoint(weights_, checkpoint);
  EXPECT_THROW(static_cast<void>(load_language_model(weights_, tokenizer_)), FormatError);
  checkpoint.metadata = model_->metadata();
  checkpoint.metadata["tern.model"] = "resnet20";
  save_checkpoint(weights_, checkpoint);
  EXPECT_THROW(static_cast<void>(load_language_model(weights_, tokenizer_)), ValueError);

  io::save_safetensors(weights_, model_->state_dict(), model_->metadata());
  chain_.pieces.push_back("one more");
  chain_.write_tokenizer(tokenizer_);
  EXPECT_THROW(static_cast<void>(load_language_model(weights_, tokenizer_)), ValueError);
  EXPECT_THROW(static_cast<void>(load_language_model(directory_ / "missing.bin", tokenizer_)), IoError);
}

}  // namespace
}  // namespace tern::train
