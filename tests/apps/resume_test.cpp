// Runs that are resumed after their end, from before what they had done, or with averages: what their files then say.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>

#include <gtest/gtest.h>

#include <tern/core/io/file.h>
#include <tern/core/io/json.h>
#include <tern/core/io/safetensors.h>
#include <tern/quant/bitnet/bit_linear.h>
#include <tern/quant/codeq/codeq.h>
#include <tern/train/vision/classifier.h>
#include <tern/train/weights/best_checkpoint.h>
#include <tern/train/weights/checkpoint.h>

#include "apps/process.h"

namespace tern::testing {
namespace {

namespace fs = std::filesystem;
using io::Json;
using Arguments = std::vector<std::string>;

Arguments joined(Arguments first, const Arguments& second) {
  first.insert(first.end(), second.begin(), second.end());
  return first;
}

// Six epochs of two steps, with images held out.
Arguments images_run(const std::string& out, const Arguments& settings, const Arguments& options = {}) {
  return joined(
      joined({"--data", mini_data(), "--out", out, "--threads", "1", "--seed", "5"}, options),
      joined({"--set", "epochs=6", "model.name=mlp", "model.hidden=[16, 16]", "data.train_limit=80",
              "data.test_limit=50", "data.batch_size=32", "data.val_fraction=0.2", "data.workers=0", "optim.lr=0.02"},
             settings));
}

// Twelve steps, measured after every two.
Arguments text_run(const std::string& out, const Arguments& settings, const Arguments& options = {}) {
  return joined(
      joined({"--data", std::string(TERN_SOURCE_DIR) + "/README.md", "--out", out, "--threads", "1", "--seed", "5"},
             options),
      joined({"--set", "model.hidden_size=16", "model.layers=1", "model.heads=2", "data.context=16",
              "data.batch_size=4", "data.val_fraction=0.02", "steps=12", "eval_every=2", "sample.tokens=8",
              "schedule.warmup_steps=2", "optim.lr=0.02"},
             settings));
}

const Arguments kAveraged{"optim.ema_decay=0.9"};
const Arguments kMixed{"codeq.mode=mixed", "codeq.dz_decay=5", "codeq.dz_lr=0.05", "codeq.bit_lr=0.05"};
Arguments bitnet(int warmup) {
  return {"bitnet.enabled=true", "bitnet.warmup_steps=" + std::to_string(warmup)};
}

// A program that trains, as the tests of both call it.
struct Program {
  std::string name;
  Arguments (*run)(const std::string& out, const Arguments& settings, const Arguments& options);
};
const Program kImages{"train_classifier", images_run}, kTexts{"train_lm", text_run};

ProcessResult resume(const Program& program, const std::string& out, const Arguments& more = {}) {
  return run_program(program.name, joined({"--out", out, "--resume", "--threads", "1"}, more));
}

// Every file of a directory with its content.
std::map<std::string, std::string> contents(const std::string& directory) {
  std::map<std::string, std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(directory))
    if (entry.is_regular_file()) out[entry.path().string()] = io::read_file("test", entry.path().string());
  return out;
}

void expect_same_files(const std::map<std::string, std::string>& before, const std::string& directory) {
  const auto after = contents(directory);
  for (const auto& [name, content] : before) {
    const auto it = after.find(name);
    EXPECT_TRUE(it != after.end() && it->second == content) << name << " has changed";
  }
  EXPECT_EQ(after.size(), before.size()) << directory;
}

std::vector<Json> rows_of(const std::string& path) {
  std::ifstream file(path);
  std::vector<Json> rows;
  for (std::string line; std::getline(file, line);) rows.push_back(Json::parse("test", path, line));
  return rows;
}

TEST(Resume, ACompleteRunChangesNoByte) {
  const std::pair<Program, Arguments> cases[] = {
      {kImages, {}}, {kImages, joined(kMixed, kAveraged)},   {kImages, joined(bitnet(5), kAveraged)},
      {kTexts, {}},  {kTexts, joined(bitnet(5), kAveraged)},
  };
  TemporaryDirectory directory;
  int count = 0;
  for (const auto& [program, settings] : cases) {
    const std::string out = concat(directory / "run", ++count);
    const ProcessResult run =
        run_program(program.name, program.run(out, settings, {"--tensorboard", "--log-every", "1", "--profile"}));
    ASSERT_EQ(run.exit_code, 0) << run.err;
    const auto before = contents(out);
    EXPECT_TRUE(before.contains(out + "/report.html"));
    const ProcessResult again = run_program(
        program.name, {"--out", out, "--resume", "--threads", "2", "--tensorboard", "--log-every", "1", "--profile"});
    EXPECT_EQ(again.exit_code, 0) << again.err;
    expect_same_files(before, out);
    EXPECT_NE(again.out.find("is complete\n"), std::string::npos) << again.out;
    // The figures are the summary's.
    const Json summary = Json::parse_file("test", out + "/summary.json");
    const char* figure = program.name == "train_lm" ? "train_loss" : "top1";
    EXPECT_NE(again.out.find(concat(figure, "=", summary.at(figure).as_number())), std::string::npos) << again.out;
  }
}

// Counts are printed in full: in their shortest form 100,000 images would be "1e+05".
TEST(Resume, TheFiguresOfACompleteRunHaveWholeCounts) {
  TemporaryDirectory directory;
  const std::string out = directory / "run";
  ASSERT_EQ(run_program("train_classifier", images_run(out, {"epochs=1"})).exit_code, 0);
  Json summary = Json::parse_file("test", out + "/summary.json");
  summary["n"] = 100000;
  io::write_file_atomic("test", out + "/summary.json", summary.dump(2) + "\n");
  const ProcessResult again = resume(kImages, out);
  EXPECT_EQ(again.exit_code, 0) << again.err;
  EXPECT_NE(again.out.find(" n=100000 "), std::string::npos) << again.out;
}

// Ended by something after the last checkpoint and before the last file: what there is stays, what is missing comes.
TEST(Resume, WhatAnEndLacksIsWrittenAsItWouldHaveBeen) {
  TemporaryDirectory directory;
  int count = 0;
  for (const auto& [program, settings] : {std::pair{kImages, joined(bitnet(5), kAveraged)}, std::pair{kImages, kMixed},
                                          std::pair{kTexts, joined(bitnet(5), kAveraged)}}) {
    const std::string out = concat(directory / "run", ++count);
    ASSERT_EQ(run_program(program.name, program.run(out, settings, {})).exit_code, 0);
    const auto before = contents(out);
    for (const char* from : {"/summary.json", "/evaluation.json", "/report.html"}) {
      bool removes = false;
      for (const char* name : {"/summary.json", "/evaluation.json", "/report.html"}) {
        removes = removes || std::string(from) == name;
        if (removes) fs::remove(out + name);
      }
      const ProcessResult rest = resume(program, out);
      ASSERT_EQ(rest.exit_code, 0) << rest.err;
      expect_same_files(before, out);
    }
  }
}

// A run that is extended has no figures of its earlier end beside the weights of the new one.
TEST(Resume, FiguresOfAnEarlierEndDoNotStay) {
  TemporaryDirectory directory;
  const std::string out = directory / "run";
  ASSERT_EQ(run_program("train_classifier", images_run(out, {"epochs=1", "schedule.name=constant"})).exit_code, 0);
  bool sent = false;
  const ProcessResult stopped =
      run_program("train_classifier", {"--out", out, "--resume", "--threads", "1", "--set", "epochs=3"},
                  [&](pid_t child, const std::string& said) {
                    if (!sent && said.find("epoch 2/3:") != std::string::npos) sent = kill(child, SIGKILL) == 0;
                  });
  ASSERT_EQ(stopped.exit_code, 128 + SIGKILL) << stopped.out;
  EXPECT_FALSE(fs::exists(out + "/summary.json"));
  EXPECT_FALSE(fs::exists(out + "/evaluation.json"));
  ASSERT_EQ(resume(kImages, out).exit_code, 0);
  EXPECT_EQ(Json::parse_file("test", out + "/summary.json").at("epochs").as_int(), 3);
}

// With averages every column, layer and figure is of the weights in last.safetensors.
TEST(Resume, WithAveragesEverythingIsOfTheWeightsThatAreSaved) {
  TemporaryDirectory directory;
  const std::string mixed = directory / "mixed", ternary = directory / "ternary", text = directory / "text";
  ASSERT_EQ(run_program("train_classifier", images_run(mixed, joined(kMixed, kAveraged))).exit_code, 0);
  const auto model = train::model_of(train::load_checkpoint(mixed + "/last.safetensors"));
  const quant::LayerTable report = quant::layer_table(*model);
  const Json row = rows_of(mixed + "/metrics.jsonl").back(),
             summary = Json::parse_file("test", mixed + "/summary.json");
  EXPECT_EQ(row.at("sparsity").as_number(), report.sparsity());
  EXPECT_EQ(row.at("mean_bits").as_number(), report.mean_bits());
  EXPECT_EQ(summary.at("sparsity").as_number(), report.sparsity());
  EXPECT_EQ(summary.at("mean_bits").as_number(), report.mean_bits());
  const Json layers = rows_of(mixed + "/layers.jsonl").back().at("layers");
  ASSERT_EQ(layers.size(), report.layers.size());
  for (size_t i = 0; i < layers.size(); ++i) {
    EXPECT_EQ(layers[i].at("logit_dz").as_number(), report.layers[i].figure("logit_dz").value_or(0)) << i;
    EXPECT_EQ(layers[i].at("range").as_number(), report.layers[i].range) << i;
  }

  const auto expect_ternary = [](const std::string& out) {
    const Json last = rows_of(out + "/metrics.jsonl").back(), end = Json::parse_file("test", out + "/summary.json");
    const io::TensorMap tensors = io::load_safetensors(out + "/last.safetensors").tensors;
    double zeros = 0, weights = 0;
    const Json layers_of_end = rows_of(out + "/layers.jsonl").back();
    for (const Json& layer : layers_of_end.at("layers").items()) {
      const Tensor& weight = tensors.at(layer.at("name").as_string() + ".weight");
      const quant::bitnet::Ternary codes = quant::bitnet::ternarize(weight);
      EXPECT_EQ(layer.at("scale").as_number(), codes.scale) << layer.at("name").as_string();
      for (const int64_t code : codes.codes.to_vector<int64_t>()) zeros += code == 0, ++weights;
    }
    EXPECT_GT(weights, 0);
    EXPECT_EQ(last.at("sparsity").as_number(), zeros / weights);
    EXPECT_EQ(end.at("sparsity").as_number(), zeros / weights);
  };
  ASSERT_EQ(run_program("train_classifier", images_run(ternary, joined(bitnet(3), kAveraged), {"--log-every", "1"}))
                .exit_code,
            0);
  expect_ternary(ternary);
  // The row of the last step, which is told of before its epoch is complete, is of the same weights.
  const auto rows = rows_of(ternary + "/metrics.jsonl");
  EXPECT_EQ(rows[rows.size() - 2].at("sparsity").as_number(), rows.back().at("sparsity").as_number());
  ASSERT_EQ(run_program("train_lm", text_run(text, joined(bitnet(3), kAveraged))).exit_code, 0);
  expect_ternary(text);
}

// Runs until `text` is printed, then is killed.
void killed_at(const Program& program, const Arguments& arguments, const std::string& text) {
  bool sent = false;
  const ProcessResult run = run_program(program.name, arguments, [&](pid_t child, const std::string& said) {
    if (!sent && said.find(text) != std::string::npos) sent = kill(child, SIGKILL) == 0;
  });
  ASSERT_EQ(run.exit_code, 128 + SIGKILL) << run.out << run.err;
}

// A best checkpoint of epochs that were trained after the checkpoint from which the run is resumed.
TEST(Resume, ABestOfAbandonedEpochsIsNotKept) {
  TemporaryDirectory directory;
  const std::string whole = directory / "whole", out = directory / "out";
  // Slow measurements, so that the run does not end before it is killed: an epoch and a thousand images later. Nothing
  // is saved on the way.
  const Arguments settings{"save_every=0", "optim.lr=0.1", "data.eval_batch_size=1", "data.test_limit=1000"};
  ASSERT_EQ(run_program("train_classifier", images_run(whole, settings)).exit_code, 0);
  killed_at(kImages, images_run(out, settings), "epoch 5/6:");
  const auto abandoned = train::mark_of(out + "/best.safetensors");
  ASSERT_TRUE(abandoned.has_value());
  // The same run again: it has the same best checkpoint.
  fs::copy(out, directory / "same", fs::copy_options::recursive);
  ASSERT_EQ(resume(kImages, directory / "same").exit_code, 0);
  EXPECT_EQ(io::read_file("test", directory / "same/best.safetensors"),
            io::read_file("test", whole + "/best.safetensors"));
  EXPECT_FALSE(fs::exists(directory / "same/best.previous.safetensors"));
  // A shorter one: the best checkpoint is of its own epochs.
  ASSERT_GT(abandoned->step, 2);
  ASSERT_EQ(resume(kImages, out, {"--set", "epochs=1"}).exit_code, 0);
  const auto own = train::mark_of(out + "/best.safetensors");
  ASSERT_TRUE(own.has_value());
  EXPECT_EQ(own->step, 2);
  EXPECT_EQ(own->score, Json::parse_file("test", out + "/summary.json").at("best_val_top1").as_number());

  // Quantization that has not set in yet has no best checkpoint, whatever lay there.
  const std::string ternary = directory / "ternary";
  const Arguments warm = joined(settings, bitnet(4));
  killed_at(kImages, images_run(ternary, warm), "epoch 4/6:");
  ASSERT_TRUE(fs::exists(ternary + "/best.safetensors"));
  ASSERT_EQ(resume(kImages, ternary, {"--set", "epochs=1"}).exit_code, 0);
  EXPECT_FALSE(fs::exists(ternary + "/best.safetensors"));
  EXPECT_FALSE(Json::parse_file("test", ternary + "/summary.json").contains("best_val_top1"));
}

// A checkpoint from before is put back, and the run goes another way from there.
TEST(Resume, ACheckpointThatWasPutBackHasItsOwnBest) {
  TemporaryDirectory directory;
  const std::string out = directory / "run", copy = directory / "copy";
  const Arguments settings{"schedule.name=constant", "optim.lr=0.05"};
  ASSERT_EQ(run_program("train_lm", text_run(out, joined(settings, {"steps=4"}))).exit_code, 0);
  fs::copy(out, copy, fs::copy_options::recursive);
  const auto before = train::mark_of(out + "/best.safetensors");
  ASSERT_TRUE(before.has_value());
  ASSERT_EQ(before->step, 4);
  ASSERT_EQ(resume(kTexts, out, {"--set", "steps=12"}).exit_code, 0);
  ASSERT_NE(train::mark_of(out + "/best.safetensors"), before);
  fs::copy_file(copy + "/last.safetensors", out + "/last.safetensors", fs::copy_options::overwrite_existing);
  ASSERT_EQ(resume(kTexts, out, {"--set", "steps=4"}).exit_code, 0);
  // It was the best one itself, so it is made of it again.
  EXPECT_EQ(train::mark_of(out + "/best.safetensors"), before);
  const auto best = io::load_safetensors(out + "/best.safetensors").tensors,
             expected = io::load_safetensors(copy + "/best.safetensors").tensors;
  for (const auto& [name, tensor] : expected)
    EXPECT_EQ(best.at(name).to_vector<double>(), tensor.to_vector<double>()) << name;
  EXPECT_EQ(Json::parse_file("test", out + "/summary.json").at("val_loss").as_number(),
            Json::parse_file("test", copy + "/summary.json").at("val_loss").as_number());
}

// Stopped while it is measured, a run with a warmup measures with the quantization that its last step had.
TEST(Resume, AMeasurementThatComesFirstHasTheLambdaOfTheLastStep) {
  TemporaryDirectory directory;
  const std::string whole = directory / "whole", out = directory / "out";
  const Arguments settings =
      joined(bitnet(3),
             joined(kAveraged, {"epochs=2", "data.test_limit=1000", "data.eval_batch_size=1", "save_every_steps=1"}));
  ASSERT_EQ(run_program("train_classifier", images_run(whole, settings, {"--log-every", "1"})).exit_code, 0);
  // The second epoch's last step has been told of, so the measurement is under way.
  bool sent = false;
  const ProcessResult stopped = run_program("train_classifier", images_run(out, settings, {"--log-every", "1"}),
                                            [&](pid_t child, const std::string& said) {
                                              if (sent || said.find("epoch 1/2:") == std::string::npos) return;
                                              const auto lines = [&] {
                                                const std::string rows = io::read_file("test", out + "/metrics.jsonl");
                                                return std::count(rows.begin(), rows.end(), '\n');
                                              };
                                              while (lines() < 5) usleep(1000);
                                              sent = kill(child, SIGTERM) == 0;
                                            });
  ASSERT_EQ(stopped.exit_code, 128 + SIGTERM) << stopped.out << stopped.err;
  EXPECT_FALSE(fs::exists(out + "/best.safetensors") &&
               io::read_file("test", out + "/best.safetensors") == io::read_file("test", whole + "/best.safetensors"))
      << "stopped too late";
  const ProcessResult rest = resume(kImages, out, {"--log-every", "1"});
  ASSERT_EQ(rest.exit_code, 0) << rest.err;
  for (const char* name : {"/last.safetensors", "/best.safetensors", "/summary.json", "/evaluation.json"})
    EXPECT_TRUE(io::read_file("test", out + name) == io::read_file("test", whole + name)) << name;
  const auto a = rows_of(whole + "/metrics.jsonl"), b = rows_of(out + "/metrics.jsonl");
  ASSERT_EQ(a.size(), b.size());
  for (const char* key : {"val_loss", "test_loss", "lambda", "sparsity", "train_loss"})
    EXPECT_EQ(a.back().at(key).dump(), b.back().at(key).dump()) << key;
  EXPECT_FALSE(b.back().contains("images_per_s")) << "none of that epoch's images were trained on";
}

}  // namespace
}  // namespace tern::testing
