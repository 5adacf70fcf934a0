// The train_lm program, and what generate, perplexity and report make of its runs.
#include <cmath>
#include <fstream>

#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/core/io/file.h>
#include <tern/core/io/json.h>
#include <tern/core/io/safetensors.h>

#include "apps/chain_model.h"
#include "apps/process.h"

namespace tern::testing {
namespace {

namespace fs = std::filesystem;
using io::Json;
using Arguments = std::vector<std::string>;

// A few kilobytes that repeat themselves enough to be learned in a few steps.
std::string text(int repeats = 60) {
  std::string out;
  for (int i = 0; i < repeats; ++i)
    out += concat("the cat ", i % 3 == 0 ? "sat on the mat" : "saw a dog", ", and the dog ",
                  i % 2 == 0 ? "ran" : "slept", ".\n");
  return out;
}

class TrainLm : public ::testing::Test {
 protected:
  TemporaryDirectory directory_;
  std::string text_ = directory_ / "text.txt";

  void SetUp() override { std::ofstream(text_) << text(); }

  // Twelve steps, measured after every four.
  Arguments small_run(const std::string& out, const Arguments& more = {}) const {
    Arguments arguments{"--data",
                        text_,
                        "--out",
                        out,
                        "--threads",
                        "2",
                        "--seed",
                        "5",
                        "--set",
                        "model.hidden_size=32",
                        "model.layers=2",
                        "model.heads=2",
                        "data.context=24",
                        "data.batch_size=4",
                        "steps=12",
                        "eval_every=4",
                        "sample.every=4",
                        "sample.tokens=16",
                        "sample.prompt=the ",
                        "schedule.warmup_steps=2",
                        "optim.lr=0.01"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return arguments;
  }
  static ProcessResult train(const Arguments& arguments) { return run_program("train_lm", arguments); }
};

std::vector<Json> rows_of(const std::string& path) {
  std::ifstream file(path);
  std::vector<Json> rows;
  for (std::string line; std::getline(file, line);) rows.push_back(Json::parse("test", path, line));
  return rows;
}

void expect_same_weights(const std::string& a, const std::string& b) {
  const auto left = io::load_safetensors(a + "/last.safetensors").tensors,
             right = io::load_safetensors(b + "/last.safetensors").tensors;
  ASSERT_EQ(left.size(), right.size());
  for (const auto& [name, tensor] : left)
    EXPECT_EQ(tensor.to_vector<double>(), right.at(name).to_vector<double>()) << name;
}

// What does not depend on the clock.
void expect_same_run(const std::string& a, const std::string& b) {
  expect_same_weights(a, b);
  for (const char* file : {"/summary.json", "/samples.jsonl", "/tokenizer.json"})
    EXPECT_EQ(io::read_file("test", a + file), io::read_file("test", b + file)) << file;
  const auto left = rows_of(a + "/metrics.jsonl"), right = rows_of(b + "/metrics.jsonl");
  ASSERT_EQ(left.size(), right.size());
  for (size_t i = 0; i < left.size(); ++i)
    for (const char* key : {"step", "loss", "train_loss", "val_loss", "val_perplexity", "lr"})
      if (left[i].contains(key)) {
        EXPECT_EQ(left[i].at(key).dump(), right[i].at(key).dump()) << key << " " << i;
      }
}

TEST_F(TrainLm, ARunAndItsFiles) {
  const std::string out = directory_ / "run";
  const ProcessResult run = train(small_run(out, {"--log-every", "2", "--tensorboard", "--profile"}));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.err, "");
  EXPECT_NE(run.out.find("---- sample after step 4\nthe "), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("step 12/12: train loss "), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("windows/s"), std::string::npos) << "the profile's table";

  const Json summary = Json::parse_file("test", out + "/summary.json");
  EXPECT_LT(summary.at("val_loss").as_number(), 4) << "ln 257 is 5.55";
  EXPECT_NEAR(summary.at("val_perplexity").as_number(), std::exp(summary.at("val_loss").as_number()), 1e-9);
  // One token of the held-out ones is not predicted; all of them are bytes.
  EXPECT_NEAR(summary.at("bits_per_byte").as_number(), summary.at("val_loss").as_number() / std::log(2), 1e-9);
  EXPECT_EQ(summary.at("steps").as_int(), 12);
  const auto rows = rows_of(out + "/metrics.jsonl");
  ASSERT_EQ(rows.size(), 6u + 3u);
  EXPECT_EQ(rows.back().at("val_loss").as_number(), summary.at("val_loss").as_number());
  const auto samples = rows_of(out + "/samples.jsonl");
  ASSERT_EQ(samples.size(), 3u);
  EXPECT_EQ(samples[2].at("step").as_int(), 12);
  EXPECT_EQ(samples[2].at("text").as_string().substr(0, 4), "the ");
  const Json config = Json::parse_file("test", out + "/config.json");
  EXPECT_EQ(config.at("data").at("files")[0].as_string(), text_);
  EXPECT_EQ(config.at("environment").at("data").at("tokenizer").as_string(), "byte");
  for (const char* file : {"last.safetensors", "best.safetensors", "tokenizer.json", "profile.json", "report.html"})
    EXPECT_TRUE(fs::exists(out + "/" + file)) << file;

  // Other programs read it, with the tokenizer that lies beside the weights.
  const ProcessResult generated = run_program("generate", {"--weights", out + "/last.safetensors", "--prompt",
                                                           "the cat", "--steps", "20", "--temperature", "0"});
  EXPECT_EQ(generated.exit_code, 0) << generated.err;
  EXPECT_EQ(generated.out.substr(0, 7), "the cat");
  const ProcessResult measured =
      run_program("perplexity", {"--weights", out + "/last.safetensors", "--text", text_, "--json"});
  ASSERT_EQ(measured.exit_code, 0) << measured.err;
  EXPECT_NEAR(Json::parse("test", "perplexity", measured.out).at("nll").as_number(), summary.at("val_loss").as_number(),
              0.3);
  EXPECT_EQ(run_program("report", {out, "--out", directory_ / "page.html"}).exit_code, 0);
  const std::string page = io::read_file("test", out + "/report.html");
  EXPECT_NE(page.find("\"val_perplexity\""), std::string::npos);
  EXPECT_NE(page.find("\"samples\":[{\"step\":12"), std::string::npos);
}

TEST_F(TrainLm, EveryTokenizerAndWeightsToStartFrom) {
  ChainModel chain;
  chain.pieces = {" ", "t", "h", "e", "a", "c", "d", "o", "g", "he", "the", " the"};
  chain.write_tokenizer(directory_ / "tok.bin");
  const std::string bpe = directory_ / "bpe", llama2c = directory_ / "llama2c", further = directory_ / "further";
  const auto figure = [](const std::string& out, const char* name) {
    return Json::parse_file("test", out + "/summary.json").at(name).as_number();
  };
  for (const auto& [out, more] : {std::pair{bpe, Arguments{"tokenizer.kind=bpe", "tokenizer.vocab_size=280"}},
                                  std::pair{llama2c, Arguments{"--tokenizer", directory_ / "tok.bin"}}}) {
    const ProcessResult run = train(small_run(out, more));
    ASSERT_EQ(run.exit_code, 0) << run.err;
    const ProcessResult generated =
        run_program("generate", {"--weights", out + "/best.safetensors", "--prompt", "the", "--steps", "12"});
    EXPECT_EQ(generated.exit_code, 0) << generated.err;
    EXPECT_EQ(generated.out.substr(0, 3), "the");
    EXPECT_LT(figure(out, "bits_per_byte"), 8) << "no worse than the bytes themselves";
  }
  // The tokenizer comes with the weights, the sizes come with them.
  Arguments again = small_run(further, {"model.layers=5", "--weights", bpe + "/last.safetensors"});
  const ProcessResult run = train(again);
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const Json config = Json::parse_file("test", further + "/config.json");
  EXPECT_EQ(config.at("model").at("layers").as_int(), 2);
  EXPECT_EQ(config.at("environment").at("data").at("vocab_size").as_int(), 280);
  EXPECT_LT(figure(further, "train_loss"), figure(bpe, "train_loss")) << "it goes on from what was learned";
  EXPECT_EQ(io::read_file("test", further + "/tokenizer.json"), io::read_file("test", bpe + "/tokenizer.json"));

  const ProcessResult other =
      train(small_run(directory_ / "other", {"tokenizer.kind=byte", "--weights", bpe + "/last.safetensors"}));
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_NE(other.err.find(
                concat("expected a tokenizer of 280 tokens, as '", bpe, "/last.safetensors' has, got 'byte' with 257")),
            std::string::npos)
      << other.err;
}

TEST_F(TrainLm, ThreadsDoNotChangeTheResultAndConfigRepeatsIt) {
  ASSERT_EQ(train(small_run(directory_ / "a")).exit_code, 0);
  Arguments one = small_run(directory_ / "b");
  one[5] = "1";
  ASSERT_EQ(train(one).exit_code, 0);
  expect_same_run(directory_ / "a", directory_ / "b");
  ASSERT_EQ(train({"--config", directory_ / "a/config.json", "--out", directory_ / "c"}).exit_code, 0);
  expect_same_run(directory_ / "a", directory_ / "c");
}

TEST_F(TrainLm, InterruptedOrKilledAndResumedEqualsUndisturbed) {
  const Arguments settings{"--log-every",
                           "1",
                           "--set",
                           "tokenizer.kind=bpe",
                           "tokenizer.vocab_size=270",
                           "save_every=3",
                           "optim.accumulate=2",
                           "optim.ema_decay=0.9"};
  const std::string whole = directory_ / "whole";
  ASSERT_EQ(train(small_run(whole, settings)).exit_code, 0);
  for (const auto& [signal, code] : {std::pair{SIGINT, 130}, std::pair{SIGTERM, 143}, std::pair{SIGKILL, 137}}) {
    const std::string out = concat(directory_ / "parts", signal);
    bool sent = false;
    const ProcessResult stopped =
        run_program("train_lm", small_run(out, settings), [&, number = signal](pid_t pid, const std::string& printed) {
          if (!sent && printed.find("step 4/12:") != std::string::npos) sent = kill(pid, number) == 0;
        });
    ASSERT_EQ(stopped.exit_code, code) << stopped.out << stopped.err;
    if (signal != SIGKILL) {
      EXPECT_NE(stopped.out.find(" of 12 steps; go on with --resume --out "), std::string::npos) << stopped.out;
      EXPECT_TRUE(fs::exists(out + "/report.html"));
    }
    const ProcessResult resumed = train({"--out", out, "--resume", "--threads", "1", "--log-every", "1"});
    ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
    expect_same_run(whole, out);
  }
}

TEST_F(TrainLm, ARunGoesOnBeyondItsEndOnlyAsTheSameRun) {
  const std::string out = directory_ / "run";
  ASSERT_EQ(train(small_run(out, {"schedule.name=constant"})).exit_code, 0);
  const auto resume = [&](const Arguments& more) {
    Arguments arguments{"--out", out, "--resume", "--threads", "2"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    return train(arguments);
  };
  ProcessResult run = resume({"--set", "eval_every=2"});
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_NE(run.err.find("with --resume, got another eval_every; only steps, save_every, "), std::string::npos)
      << run.err;
  fs::copy_file(text_, directory_ / "moved.txt");
  run = resume({"--data", directory_ / "moved.txt", "--set", "steps=16"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(Json::parse_file("test", out + "/summary.json").at("steps").as_int(), 16);
  EXPECT_EQ(rows_of(out + "/samples.jsonl").size(), 4u);
  std::ofstream(text_) << text(61);
  run = resume({"--data", text_, "--set", "steps=20"});
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_NE(run.err.find("expected the data set that the run in "), std::string::npos) << run.err;
}

// From a float model to a packed ternary one: trained, converted and recovered with its teacher, packed, used.
TEST_F(TrainLm, ABitNetFromItsTeacherToPackedIntegers) {
  const std::string teacher = directory_ / "float", out = directory_ / "bitnet", whole = directory_ / "whole",
                    packed = out + "/packed.safetensors";
  ASSERT_EQ(train(small_run(teacher)).exit_code, 0);
  const Arguments bitnet{"model.weights=" + teacher + "/last.safetensors",
                         "schedule.name=constant",
                         "bitnet.enabled=true",
                         "bitnet.subln=output",
                         "bitnet.warmup_steps=6",
                         "bitnet.distill.teacher=" + teacher + "/last.safetensors",
                         "bitnet.distill.relation_weight=1",
                         "bitnet.distill.splits=2",
                         "bitnet.distill.layers=model.layers.1.self_attn.q_proj"};
  ASSERT_EQ(train(small_run(whole, bitnet)).exit_code, 0);
  // Stopped in the middle of the warmup and resumed, it is the same run.
  Arguments first = bitnet;
  first.push_back("steps=4");
  ASSERT_EQ(train(small_run(out, first)).exit_code, 0);
  const ProcessResult run = train({"--out", out, "--resume", "--set", "steps=12"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_NE(run.out.find("left 1: lm_head (a head); converted before: 14\n"), std::string::npos) << run.out;
  expect_same_weights(whole, out);
  const auto rows = rows_of(out + "/metrics.jsonl");
  EXPECT_NEAR(rows.front().at("lambda").as_number(), 4.0 / 6, 1e-12);
  EXPECT_EQ(rows.back().at("lambda").as_number(), 1);
  EXPECT_GT(rows.back().at("sparsity").as_number(), 0.1);
  EXPECT_LT(rows.back().at("sparsity").as_number(), 0.6);
  EXPECT_EQ(rows_of(out + "/layers.jsonl").back().at("layers").size(), 14u);
  EXPECT_TRUE(fs::exists(out + "/report.html"));

  const ProcessResult pack = run_program("pack", {"--weights", out + "/last.safetensors", "--out", packed});
  ASSERT_EQ(pack.exit_code, 0) << pack.err;
  EXPECT_LT(fs::file_size(packed), fs::file_size(out + "/last.safetensors") / 4);
  const auto generated = [&](const std::string& weights, const Arguments& more) {
    Arguments arguments{"--weights", weights, "--prompt", "the ", "--steps", "24", "--temperature", "0"};
    arguments.insert(arguments.end(), more.begin(), more.end());
    const ProcessResult result = run_program("generate", arguments);
    EXPECT_EQ(result.exit_code, 0) << result.err;
    return result.out;
  };
  const std::string reference = generated(out + "/last.safetensors", {});
  EXPECT_EQ(generated(out + "/last.safetensors", {"--packed"}), reference);
  EXPECT_EQ(generated(packed, {}), reference);
  const ProcessResult refused = run_program("pack", {"--weights", teacher + "/last.safetensors", "--out", packed});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_EQ(refused.err, concat("pack: [pack] expected weights with compressed layers in '", teacher,
                                "/last.safetensors', got a model in full precision\n"));
}

TEST_F(TrainLm, BitNetSettingsThatContradictEachOther) {
  const auto refused = [&](const Arguments& more, const std::string& sentence) {
    const ProcessResult run = train(small_run(directory_ / "none", more));
    EXPECT_EQ(run.exit_code, 2);
    EXPECT_EQ(run.err, "train_lm: [config] expected " + sentence + "\n");
  };
  refused({"bitnet.subln=all"}, "bitnet.enabled with other settings of bitnet, got false");
  refused({"bitnet.enabled=true", "bitnet.lrc.rank_percentage=0.1", "bitnet.warmup_steps=5"},
          "no bitnet.warmup_steps with bitnet.lrc, whose layers are quantized wholly, got 5");
  refused({"bitnet.enabled=true", "bitnet.distill.relation_weight=1"},
          "distill.teacher with other settings of distill, got none");
  refused({"bitnet.enabled=true", "bitnet.lrc.freeze=false"},
          "bitnet.lrc.rank_percentage above 0 with other settings of bitnet.lrc, got 0");
  refused({"bitnet.enabled=true", "bitnet.warmup_schedule=cosine"},
          "bitnet.warmup_steps above 0 with bitnet.warmup_schedule cosine, got 0");
  refused({"bitnet.enabled=true", "bitnet.distill.teacher=t", "bitnet.distill.logits_weight=0"},
          "a distill.logits_weight or relation_weight above 0 with a teacher, got 0 for both");
  refused({"bitnet.enabled=true", "bitnet.distill.teacher=t", "bitnet.distill.splits=2"},
          "distill.splits and layers with a relation_weight and not without, got 2 splits and 0 layers with a "
          "weight of 0");
}

// What starts from a BitNet is that BitNet: settings that would have made another one are refused, not passed over.
TEST_F(TrainLm, StartsFromABitNet) {
  const std::string first = directory_ / "first", corrected = directory_ / "corrected",
                    packed = first + "/packed.safetensors";
  ASSERT_EQ(train(small_run(first, {"steps=4", "bitnet.enabled=true", "bitnet.subln=output"})).exit_code, 0);
  const auto from = [&](const std::string& weights, Arguments more) {
    more.insert(more.begin(), {"steps=4", "model.weights=" + weights, "bitnet.enabled=true"});
    return train(small_run(directory_ / "next", more));
  };
  const std::string ternary = first + "/last.safetensors";
  EXPECT_EQ(from(ternary, {}).err,
            "train_lm: [config] expected bitnet.subln as the weights that are started from have it, got none, but "
            "model.layers.0.self_attn.o_proj has a norm\n");
  const ProcessResult same = from(ternary, {"bitnet.subln=output", "--overwrite"});
  ASSERT_EQ(same.exit_code, 0) << same.err;
  EXPECT_NE(
      same.out.find("bitnet: converted 0 layers (0 with SubLN), left 1: lm_head (a head); converted before: 14\n"),
      std::string::npos)
      << same.out;

  Arguments lrc{"steps=4", "bitnet.enabled=true", "bitnet.lrc.rank_percentage=0.25"};
  ASSERT_EQ(train(small_run(corrected, lrc)).exit_code, 0);
  const std::string factors = corrected + "/last.safetensors";
  EXPECT_EQ(from(factors, {"--overwrite"}).err,
            "train_lm: [config] expected bitnet.lrc.rank_percentage above 0, as the weights that are started from have "
            "14 low-rank corrections, got 0\n");
  EXPECT_EQ(from(factors, {"bitnet.lrc.rank_percentage=0.5", "--overwrite"}).err,
            "train_lm: [config] expected bitnet.lrc.rank_percentage as the weights that are started from have it, got "
            "0.5, rank 16 for model.layers.0.self_attn.q_proj, which has rank 8\n");
  EXPECT_EQ(from(factors, {"bitnet.lrc.rank_percentage=0.25", "bitnet.lrc.freeze=false", "--overwrite"}).err,
            "train_lm: [config] expected bitnet.lrc.freeze as the weights that are started from have it, got false\n");
  const ProcessResult on = from(factors, {"bitnet.lrc.rank_percentage=0.25", "--overwrite"});
  ASSERT_EQ(on.exit_code, 0) << on.err;
  EXPECT_NE(on.out.find("low-rank corrections for 0 (14 had theirs)"), std::string::npos) << on.out;

  ASSERT_EQ(run_program("pack", {"--weights", ternary, "--out", packed}).exit_code, 0);
  EXPECT_EQ(from(packed, {"--overwrite"}).err,
            concat("train_lm: [train_lm] expected weights that can be trained, got packed ones in ", packed, "\n"));
  const auto size_told = [](const std::string& out) { return out.substr(out.find("in f32")); };
  EXPECT_EQ(size_told(run_program("pack", {"--weights", packed, "--out", first + "/again.safetensors"}).out),
            size_told(run_program("pack", {"--weights", ternary, "--out", packed}).out));
}

// A measurement at a lambda below 1 is not one of the model that programs make of the weights.
TEST_F(TrainLm, TheBestModelComesAfterTheWarmup) {
  const std::string out = directory_ / "run", early = directory_ / "early";
  ASSERT_EQ(train(small_run(out, {"steps=8", "bitnet.enabled=true", "bitnet.warmup_steps=7"})).exit_code, 0);
  EXPECT_LT(rows_of(out + "/metrics.jsonl").front().at("lambda").as_number(), 1);
  const io::TensorMap last = io::load_safetensors(out + "/last.safetensors").tensors;
  for (const auto& [name, tensor] : io::load_safetensors(out + "/best.safetensors").tensors)
    EXPECT_EQ(tensor.to_vector<double>(), last.at(name).to_vector<double>()) << name;
  ASSERT_EQ(train(small_run(early, {"steps=4", "bitnet.enabled=true", "bitnet.warmup_steps=7"})).exit_code, 0);
  EXPECT_FALSE(fs::exists(early + "/best.safetensors"));
}

TEST_F(TrainLm, FastDevRunWritesNothingWithoutOut) {
  const ProcessResult run = train({"--data", text_, "--fast-dev-run", "--set", "model.hidden_size=16", "model.layers=1",
                                   "data.context=16", "data.batch_size=2"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_NE(run.out.find("step 3/3: "), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("bits_per_byte="), std::string::npos) << run.out;
}

TEST_F(TrainLm, RefusesWhatCannotBeTrained) {
  const std::string missing = directory_ / "missing", out = directory_ / "run", empty = directory_ / "empty.txt";
  std::ofstream{empty};
  ChainModel chain;
  chain.write_checkpoint(directory_ / "chain.bin");
  chain.write_tokenizer(directory_ / "chain_tokenizer.bin");
  const struct {
    Arguments arguments;
    int exit_code;
    std::string said;
  } cases[] = {
      {{"--out", out}, 2, "[language] expected --data FILE, a text to learn from (see --help)"},
      {{"--data", text_}, 2, "[train_lm] expected --out DIR (see --help)"},
      {{"--data", missing, "--out", out}, 1, missing},
      {{"--data", empty, "--out", out}, 1, concat("[language] expected text in ", empty, ", got none")},
      {{"--data", text_, "--out", out, "--set", "data.context=5000"},
       1,
       "[language] expected a text of more than 5000 tokens, the context, besides the "},
      {{"--data", text_, "--out", out, "--set", "data.val_fraction=0.0005"},
       1,
       "[language] expected a text of which data.val_fraction 5e-04 is at least 2 tokens, got "},
      {{"--data", text_, "--out", out, "--set", "data.context=32", "model.positions=16"},
       2,
       "[train_lm] expected data.context of at most 16, the model's positions, got 32"},
      {{"--data", text_, "--out", out, "--weights", directory_ / "chain.bin"},
       2,
       "expected --tokenizer FILE, as neither tokenizer.json nor tokenizer.bin lies beside "},
      {{"--data", text_, "--out", out, "--weights", directory_ / "chain.bin", "--tokenizer",
        directory_ / "chain_tokenizer.bin"},
       2,
       "[train_lm] expected data.context of at most 16, the model's positions, got 256"},
      {{"--data", text_, "--out", out, "--set", "tokenizer.kind=bpe", "tokenizer.vocab_size=5000"},
       1,
       "[byte_pair] expected a text with pairs for 5000 tokens, got one that is enough for "},
      {{"--data", text_, "--out", out, "--set", "tokenizer.kind=words"}, 2, "tokenizer.kind"},
      {{"--data", text_, "--out", out, "--tokenizer", missing}, 1, missing},
      {{"--data", text_, "--out", out, "--tokenizer", text_}, 1, text_},
      {{"--data", text_, "--out", out, "--set", "steps=150"},
       2,
       "[config] expected steps to be a multiple of eval_every (100), got 150"},
      {{"--data", text_, "--out", out, "--set", "model.heads=3"}, 1, "256"},
      {{"--data", text_, "--out", out, "--set", "data.contxt=3"}, 2, "data.context"},
      {{"--out", out, "--resume"}, 2, "expected a run in "},
  };
  for (const auto& [arguments, exit_code, said] : cases) {
    const ProcessResult run = train(arguments);
    EXPECT_EQ(run.exit_code, exit_code) << said << "\n" << run.err;
    EXPECT_NE(run.err.find(said), std::string::npos) << said << "\n" << run.err;
    EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1) << run.err;
    EXPECT_FALSE(fs::exists(out + "/config.json")) << said;
    fs::remove_all(out);
  }
}

TEST_F(TrainLm, GoesOnFromStories260K) {
  TERN_NEEDS_TEST_DATA();
  const std::string files = test_data() + "/pretrained/", out = directory_ / "run";
  const ProcessResult run = train({"--data", test_data() + "/text/tinystories_sample.txt", "--weights",
                                   files + "stories260K.bin", "--tokenizer", files + "tok512.bin", "--out", out,
                                   "--fast-dev-run", "--set", "data.separator=<|endoftext|>", "optim.lr=0.0001"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_LT(Json::parse_file("test", out + "/summary.json").at("val_loss").as_number(), 1.7);
  EXPECT_EQ(Json::parse_file("test", out + "/config.json").at("model").at("hidden_size").as_int(), 64);
  const ProcessResult generated = run_program(
      "generate", {"--weights", out + "/last.safetensors", "--prompt", "Once upon a time", "--temperature", "0"});
  EXPECT_EQ(generated.out.substr(0, 27), "Once upon a time, there was") << generated.out << generated.err;
}

}  // namespace
}  // namespace tern::testing
