// Language models through the trainer: what batches hold, resuming, threads, methods, tokenizers, settings.
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>
#include <numeric>

#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/core/io/file.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/parallel.h>
#include <tern/core/random.h>
#include <tern/train/language/language.h>
#include <tern/train/language/language_model.h>
#include <tern/train/language/language_task.h>
#include <tern/train/language/perplexity.h>
#include <tern/train/loop/trainer.h>

#include "apps/chain_model.h"
#include "message_of.h"
#include "temporary_directory.h"

namespace tern::train {
namespace {

using nn::models::Llama;
using tern::testing::TemporaryDirectory;
using test::message_of;

std::string words(int64_t count) {
  const std::vector<std::string> known{"the", "cat", "sat", "on", "a", "mat", "and", "saw", "dogs", "run"};
  Generator random(11);
  std::string text;
  for (int64_t i = 0; i < count; ++i) text += known[random.below(known.size())] + (random.below(9) == 0 ? ".\n" : " ");
  return text;
}

std::vector<int64_t> byte_tokens(int64_t count) {
  return text::BytePairTokenizer().encode(words(count));
}

std::shared_ptr<Llama> tiny_model(int64_t vocab_size = 257) {
  manual_seed(4);
  LanguageConfig config;
  config.model = {.hidden_size = 16, .layers = 2, .heads = 2, .kv_heads = 1};
  config.data.context = 12;
  return make_llama(config, vocab_size);
}

std::string weights_hash(const nn::Module& model) {
  return checksum(io::TensorMap(model.state_dict()), {});
}

std::vector<io::Json> rows_of(const std::string& path) {
  std::ifstream file(path);
  std::vector<io::Json> rows;
  for (std::string line; std::getline(file, line);) rows.push_back(io::Json::parse("test", path, line));
  return rows;
}

// -- batches and measurements

TEST(LanguageTask, ABatchDependsOnSeedAndNumberAlone) {
  std::vector<int64_t> tokens(1000);  // each names its place
  std::iota(tokens.begin(), tokens.end(), 0);
  const LanguageTaskOptions options{.context = 8, .batch_size = 5, .batches = 40, .held_out = 100, .seed = 3};
  LanguageTask task(tokens, options), again(tokens, options);
  LanguageTaskOptions other_seed = options;
  other_seed.seed = 4;
  const LanguageTask other(tokens, other_seed);
  task.start(2, {});
  int64_t number = 80, same = 0, last = 0;
  while (const auto batch = task.next()) {
    const auto inputs = batch->inputs.to_vector<int64_t>(), targets = batch->targets.to_vector<int64_t>();
    ASSERT_EQ(batch->inputs.shape(), (Shape{5, 8}));
    EXPECT_EQ(inputs, again.batch(number).inputs.to_vector<int64_t>());
    same += inputs == other.batch(number).inputs.to_vector<int64_t>();
    for (size_t i = 0; i < inputs.size(); ++i) EXPECT_EQ(targets[i], inputs[i] + 1);
    last = std::max(last, *std::max_element(targets.begin(), targets.end()));
    ++number;
  }
  EXPECT_EQ(number, 120);
  EXPECT_EQ(same, 0);
  EXPECT_LT(last, 900) << "nothing of what is held out";
  EXPECT_GT(last, 880);
}

TEST(LanguageTask, GoesOnWhereItWas) {
  const LanguageTaskOptions options{.context = 8, .batch_size = 2, .batches = 10, .held_out = 10, .seed = 3};
  LanguageTask task(byte_tokens(100), options);
  task.start(1, {});
  for (int i = 0; i < 4; ++i) (void)task.next();
  const io::TensorMap position = task.position();
  LanguageTask second(byte_tokens(100), options);
  second.start(1, position);
  EXPECT_EQ(second.next()->inputs.to_vector<int64_t>(), task.batch(14).inputs.to_vector<int64_t>());
  LanguageTask shorter(byte_tokens(90), options);
  EXPECT_THROW(shorter.start(1, position), ValueError);
  EXPECT_THROW(second.start(1, {{"batch", tensor({1.0})}}), ValueError);
}

TEST(LanguageTask, MeasuresEveryHeldOutTokenOnce) {
  const auto model = tiny_model();
  const auto tokens = byte_tokens(200);
  for (const int64_t batch_tokens : {1, 30, 2048}) {
    LanguageTask task(tokens, {.context = 12, .held_out = 101, .batch_tokens = batch_tokens});
    const EvalResult result = task.validate(*model, {});
    EXPECT_EQ(result.n, 100);
    EXPECT_TRUE(result.complete);
    const TokenNll expected = text_nll(*model, std::span(tokens).last(101), {.context = 12});
    EXPECT_NEAR(result.loss, expected.mean(), 1e-6);
    EXPECT_NEAR(result.loss, std::log(257), 0.1) << "nothing is learned yet";
    EXPECT_NEAR(task.score(result), 1 / expected.perplexity(), 1e-8);
    int asked = 0;
    EXPECT_EQ(task.validate(*model, [&] { return ++asked == 2; }).complete, batch_tokens == 2048);
  }
  LanguageTask none(tokens, {.context = 12});
  EXPECT_EQ(none.validate(*model, {}).n, 0);
}

TEST(LanguageTask, RefusesAShortText) {
  const auto made = [](int64_t tokens, const LanguageTaskOptions& options) {
    return message_of<ValueError>(
        [&] { LanguageTask task(std::vector<int64_t>(static_cast<size_t>(tokens)), options); });
  };
  EXPECT_EQ(made(110, {.context = 100, .held_out = 10}),
            "[language] expected a text of more than 100 tokens, the context, besides the 10 held out, got 100");
  EXPECT_EQ(made(5, {.context = 100, .held_out = 10}),
            "[language] expected a text of more than 100 tokens, the context, besides the 10 held out, got 0");
  EXPECT_EQ(made(110, {.context = 0}), "[language] expected a context of at least 1 token, got 0");
  EXPECT_EQ(made(110, {.context = 9, .held_out = 1}), "[language] expected no held-out tokens or at least 2, got 1");
  LanguageTask least(std::vector<int64_t>(111), {.context = 100, .held_out = 10});
  EXPECT_EQ(least.batch(0).inputs.shape(), (Shape{16, 100}));
}

// -- runs

// Learns from twice the task's loss until its state says enough; everything it does follows from step and state.
struct Doubling : Method {
  std::vector<int64_t> steps;
  Tensor seen = zeros({1}, DType::kF64);
  double factor = 1;
  void before_step(int64_t step) override {
    steps.push_back(step);
    factor = step < 5 ? 2 : 1;
  }
  Tensor loss(const Tensor& output, const TaskBatch& batch, const Tensor& task_loss) override {
    EXPECT_EQ(output.shape(), (Shape{batch.inputs.size(0), batch.inputs.size(1), 257}));
    seen.data<double>()[0] += 1;
    return mul(task_loss, factor);
  }
  MetricRow metrics() const override { return {{"factor", factor}, {"batches_seen", seen.data<double>()[0]}}; }
  io::TensorMap state_dict() const override { return {{"seen", seen}}; }
  void load_state_dict(const io::TensorMap& state) override { seen = state.at("seen").clone(); }
};

struct TinyRun {
  std::shared_ptr<Llama> model = tiny_model();
  LanguageTask task{byte_tokens(300),
                    {.context = 12, .batch_size = 3, .batches = 8, .held_out = 60, .seed = 9}};  // 4 steps of 2 batches
  Doubling method;
  LanguageConfig config;
  std::unique_ptr<optim::Optimizer> optimizer;
  std::unique_ptr<optim::LrScheduler> schedule;
  std::unique_ptr<optim::WeightEma> ema;

  TinyRun() {
    config.optim.ema_decay = 0.9;
    config.schedule.warmup = 2;
    optimizer = make_optimizer(config.optim, weight_groups(*model, model->parameters(), config.optim));
    schedule = make_schedule(*optimizer, config.schedule, 12, 1);
    ema = make_ema(*model, config.optim);
  }
  TrainerOptions options(int64_t max_steps = 0) {
    return {.optimizer = *optimizer,
            .schedule = schedule.get(),
            .ema = ema.get(),
            .method = &method,
            .epochs = 3,
            .max_steps = max_steps,
            .accumulate = 2,
            .clip_norm = 1};
  }
};

TEST(LanguageRun, ResumedEqualsUndisturbed) {
  TemporaryDirectory directory;
  TinyRun whole;
  const FitResult expected = Trainer(*whole.model, whole.options()).fit(whole.task);
  EXPECT_TRUE(expected.finished);
  EXPECT_EQ(expected.steps, 12);
  for (const int64_t stop : {1, 4, 6, 8, 11}) {
    {
      TinyRun first;
      Trainer trainer(*first.model, first.options(stop));
      EXPECT_EQ(trainer.fit(first.task).steps, stop);
      trainer.save(directory / "half.safetensors");
    }
    TinyRun second;
    Trainer trainer(*second.model, second.options());
    manual_seed(99);
    trainer.load(directory / "half.safetensors");
    EXPECT_EQ(second.method.steps, std::vector<int64_t>{stop - 1}) << "as it was in the last step";
    const FitResult result = trainer.fit(second.task);
    EXPECT_EQ(weights_hash(*second.model), weights_hash(*whole.model)) << stop;
    EXPECT_EQ(result.validation.loss, expected.validation.loss) << stop;
    EXPECT_EQ(result.best, expected.best) << stop;
    EXPECT_EQ(number_of(second.method.metrics(), "batches_seen", 0), 24) << stop;
    EXPECT_EQ(second.method.steps.at(1), stop);
  }
}

TEST(LanguageRun, SameBitsAtAnyNumberOfThreads) {
  const int threads = num_threads();
  std::string expected;
  for (const int n : {1, 2, 4}) {
    set_num_threads(n);
    TinyRun run;
    (void)Trainer(*run.model, run.options(6)).fit(run.task);
    if (expected.empty()) expected = weights_hash(*run.model);
    EXPECT_EQ(weights_hash(*run.model), expected) << n;
  }
  set_num_threads(threads);
}

TEST(LanguageRun, TellsOfStepsPerplexityAndMethod) {
  TemporaryDirectory directory;
  TinyRun run;
  TrainerOptions options = run.options();
  options.out = directory.path();
  options.log_every = 3;
  std::ostringstream text;
  options.progress = &text;
  const FitResult result = Trainer(*run.model, options).fit(run.task);
  EXPECT_LT(result.validation.loss, 5.4) << "it learns: ln 257 is 5.55";
  const auto rows = rows_of(directory / "metrics.jsonl");
  ASSERT_EQ(rows.size(), 3u + 4u);
  for (const io::Json& row : rows) {
    const bool whole = row.contains("train_loss");
    for (const char* key : {"epoch", "step", "lr", "tokens_per_s", "factor"}) EXPECT_TRUE(row.contains(key)) << key;
    EXPECT_EQ(row.contains("val_perplexity"), whole);
    const double loss = row.at(whole ? "train_loss" : "loss").as_number();
    EXPECT_NEAR(row.at(whole ? "train_perplexity" : "perplexity").as_number(), std::exp(loss), 1e-9);
    EXPECT_LT(loss, 6) << "the task's loss, not the doubled one";
    EXPECT_EQ(row.at("factor").as_number(), row.at("step").as_int() <= 5 ? 2 : 1);
  }
  EXPECT_EQ(rows.back().at("val_loss").as_number(), result.validation.loss);
  EXPECT_NE(text.str().find("step 12/12: train loss "), std::string::npos) << text.str();
  EXPECT_EQ(text.str().find("epoch"), std::string::npos) << text.str();
  EXPECT_EQ(run.method.steps.size(), 12u);
}

TEST(LanguageRun, AMethodsStateIsNeitherLostNorMadeUp) {
  TemporaryDirectory directory;
  TinyRun run;
  {
    Trainer trainer(*run.model, run.options(3));
    (void)trainer.fit(run.task);
    trainer.save(directory / "a.safetensors");
  }
  TinyRun other;
  TrainerOptions options = other.options();
  options.method = nullptr;
  EXPECT_EQ(message_of<ValueError>([&] { Trainer(*other.model, options).load(directory / "a.safetensors"); }),
            concat("[trainer] expected a checkpoint without a method's state, got ", directory / "a.safetensors"));
  {
    Trainer trainer(*other.model, options);
    trainer.save(directory / "b.safetensors");
  }
  EXPECT_THROW(Trainer(*run.model, run.options()).load(directory / "b.safetensors"), ValueError);
}

TEST(LanguageRun, ALossThatIsNoNumberIsToldByItsStep) {
  struct Breaking : Method {
    int64_t at = 0;
    void before_step(int64_t step) override { at = step; }
    Tensor loss(const Tensor&, const TaskBatch&, const Tensor& task_loss) override {
      return at == 2 ? mul(task_loss, std::numeric_limits<double>::infinity()) : task_loss;
    }
  } breaking;
  TinyRun run;
  TrainerOptions options = run.options();
  options.method = &breaking;
  EXPECT_EQ(
      message_of<NonFiniteError>([&] { (void)Trainer(*run.model, options).fit(run.task); }),
      "[trainer] expected a finite loss, got inf at step 3; first: [mul] produced a non-finite value in an output "
      "of f32 []; there is no checkpoint");
}

// -- texts, tokenizers, models

TEST(Language, TextsBecomeTokensWithAHeldOutEnd) {
  TemporaryDirectory directory;
  std::ofstream(directory / "a.txt") << "one\n<end>\n two <end>";
  std::ofstream(directory / "b.txt") << "three";
  LanguageConfig config;
  config.data.files = {directory / "a.txt", directory / "b.txt"};
  config.data.separator = "<end>";
  const Texts parts = read_texts(config.data);
  EXPECT_EQ(parts.documents, (std::vector<std::string>{"one", "two", "three"}));
  EXPECT_EQ(parts.bytes, 11);
  const TextTokenizer tokenizer = make_tokenizer(config, parts);
  EXPECT_STREQ(tokenizer.kind(), "byte");
  const TokenText text = tokenize(parts, tokenizer, 0.5);
  EXPECT_EQ(text.tokens, (std::vector<int64_t>{256, 'o', 'n', 'e', 256, 't', 'w', 'o', 256, 't', 'h', 'r', 'e', 'e'}));
  EXPECT_EQ(text.held_out, 7);        // o, the next document
  EXPECT_EQ(text.held_out_bytes, 5);  // three
  const TokenText less = tokenize(parts, tokenizer, 0.5, 3);
  EXPECT_EQ(less.held_out, 3);
  EXPECT_EQ(less.held_out_bytes, 2);  // e, e
  EXPECT_EQ(bits_per_byte(std::log(2), 10, 5), 2);
  config.data.separator.clear();
  const Texts whole = read_texts(config.data);
  EXPECT_EQ(whole.documents.size(), 2u);
  EXPECT_EQ(whole.fingerprint, parts.fingerprint);
  std::ofstream(directory / "b.txt") << "thrEe";
  EXPECT_NE(read_texts(config.data).fingerprint, whole.fingerprint);
  EXPECT_THROW((void)tokenize(parts, tokenizer, 0.01), ValueError);

  config.data.files = {directory / "missing.txt"};
  EXPECT_THROW((void)read_texts(config.data), IoError);
  std::ofstream(directory / "empty.txt");
  config.data.files = {directory / "empty.txt"};
  EXPECT_EQ(message_of<ValueError>([&] { (void)read_texts(config.data); }),
            concat("[language] expected text in ", directory / "empty.txt", ", got none"));
}

TEST(Language, BytePairsAreLearnedFromWhatIsNotHeldOut) {
  Texts texts;
  texts.documents = {words(400), std::string(200, 'z')};
  for (const std::string& d : texts.documents) texts.bytes += static_cast<int64_t>(d.size());
  LanguageConfig config;
  config.tokenizer = {.kind = "bpe", .file = "", .vocab_size = 280};
  config.data.val_fraction = 200.0 / static_cast<double>(texts.bytes);
  const TextTokenizer tokenizer = make_tokenizer(config, texts);
  EXPECT_STREQ(tokenizer.kind(), "bpe");
  EXPECT_EQ(tokenizer.vocab_size(), 280);
  EXPECT_EQ(tokenizer.encode("zzzz").size(), 5u) << "no pair of z was seen";
  EXPECT_LT(tokenizer.encode("the cat").size(), 5u);
}

TEST(Language, TokenizersOfEitherKindComeBackFromARun) {
  TemporaryDirectory directory;
  EXPECT_EQ(message_of<UsageError>([&] { (void)TextTokenizer::beside(directory / "w.safetensors"); }),
            concat("[tokenizer] expected --tokenizer FILE, as neither tokenizer.json nor tokenizer.bin lies beside ",
                   directory / "w.safetensors"));
  tern::testing::ChainModel chain;
  chain.write_tokenizer(directory / "llama2c");
  const TextTokenizer llama = TextTokenizer::load(directory / "llama2c");
  EXPECT_STREQ(llama.kind(), "llama2c");
  EXPECT_EQ(llama.start_token(), 1);
  llama.save(directory.path());
  EXPECT_EQ(io::read_file("test", directory / "tokenizer.bin"), io::read_file("test", directory / "llama2c"));
  EXPECT_STREQ(TextTokenizer::beside(directory / "w.safetensors").kind(), "llama2c");

  const TextTokenizer own = text::BytePairTokenizer::train(words(300), 280);
  own.save(directory.path());
  const TextTokenizer back = TextTokenizer::beside(directory / "w.safetensors");
  EXPECT_EQ(back.encode("the cat"), own.encode("the cat"));
  EXPECT_EQ(back.encode("").size(), 1u);
  EXPECT_EQ(back.start_token(), 256);
  EXPECT_EQ(back.decode(256, 'a'), "a");
  EXPECT_EQ(back.decode('a', 256), "");
}

TEST(Language, SamplesBySeed) {
  const auto model = tiny_model();
  const TextTokenizer tokenizer{text::BytePairTokenizer()};
  const LanguageConfig::Sample config{.every = 0, .prompt = "the", .tokens = 50};
  const std::string text = sample_text(*model, tokenizer, config, 1);
  EXPECT_EQ(text, sample_text(*model, tokenizer, config, 1));
  EXPECT_NE(text, sample_text(*model, tokenizer, config, 2));
  EXPECT_EQ(text.substr(0, 3), "the");
  EXPECT_LE(text.size(), 12u) << "no longer than the model can see";
  EXPECT_TRUE(model->is_training());
}

TEST(LanguageConfig, RefusesWhatContradicts) {
  const auto refused = [](const std::function<void(LanguageConfig&)>& change) {
    LanguageConfig config;
    change(config);
    return message_of<UsageError>([&] { check(config); });
  };
  EXPECT_NO_THROW(check(LanguageConfig{}));
  EXPECT_EQ(refused([](auto& c) { c.steps = 150; }),
            "[config] expected steps to be a multiple of eval_every (100), got 150");
  EXPECT_EQ(refused([](auto& c) { c.sample.every = 50; }),
            "[config] expected sample.every to be a multiple of eval_every (100), got 50");
  EXPECT_EQ(refused([](auto& c) { c.schedule.warmup = 1500; }),
            "[config] expected schedule.warmup_steps below the run's steps (1500), got 1500");
  EXPECT_EQ(refused([](auto& c) { c.tokenizer.kind = "file"; }),
            "[config] expected tokenizer.file with tokenizer.kind file, got none");
  EXPECT_EQ(refused([](auto& c) { c.tokenizer.kind = "bpe", c.tokenizer.file = "t"; }),
            "[config] expected tokenizer.kind file or auto with tokenizer.file, got bpe");
  EXPECT_EQ(refused([](auto& c) { c.weights_config = "c"; }),
            "[config] expected model.weights with model.weights_config, got none");
}

TEST(LanguageConfig, ComesBackFromItsOwnText) {
  LanguageConfig config, second;
  config.data.files = {"a", "b,c"};
  config.model.layers = 7;
  Schema schema, again;
  declare(schema, config);
  declare(again, second);
  again.read_json(schema.to_json(), "text");
  EXPECT_EQ(again.to_json(), schema.to_json());
  EXPECT_EQ(second.data.files, config.data.files);
}

TEST(TextTokenizerTest, WhatATerminalMightObeyIsNotShown) {
  EXPECT_EQ(without_controls("a\x1b[31mb\x07\x7f \tc\n\xc3\xa9"), "a[31mb \tc\n\xc3\xa9");
  EXPECT_EQ(without_controls(std::string_view("\0x", 2)), "x");
}

}  // namespace
}  // namespace tern::train
