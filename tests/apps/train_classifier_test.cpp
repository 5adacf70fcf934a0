#include <fstream>
#include <sstream>

#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/core/io/file.h>
#include <tern/core/io/json.h>
#include <tern/core/io/safetensors.h>

#include "apps/process.h"
#include "data/image_writer.h"

namespace tern::testing {
namespace {

using io::Json;

// A run of seconds: a tiny model on a few of the images that ship with the sources.
std::vector<std::string> small_run(const std::string& out, std::vector<std::string> more = {}) {
  std::vector<std::string> arguments{"--data",
                                     mini_data(),
                                     "--out",
                                     out,
                                     "--threads",
                                     "2",
                                     "--seed",
                                     "5",
                                     "--set",
                                     "epochs=2",
                                     "data.train_limit=200",
                                     "data.test_limit=100",
                                     "data.batch_size=32",
                                     "data.val_fraction=0.2",
                                     "optim.lr=0.05"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

std::string write(const std::string& path, const std::string& text) {
  std::ofstream(path) << text;
  return path;
}

std::string last_line(const std::string& text) {
  const size_t end = text.find_last_not_of('\n');
  const size_t begin = text.rfind('\n', end);
  return text.substr(begin == std::string::npos ? 0 : begin + 1,
                     end - (begin == std::string::npos ? 0 : begin + 1) + 1);
}

double figure(const std::string& line, const std::string& name) {
  const size_t at = (" " + line).find(" " + name + "=");
  return at == std::string::npos ? -1 : std::stod(line.substr(at + name.size() + 1));
}

std::vector<Json> rows_of(const std::string& path) {
  std::ifstream file(path);
  std::vector<Json> rows;
  for (std::string line; std::getline(file, line);) rows.push_back(Json::parse("test", path, line));
  return rows;
}

// Ternary layers in a ViT and an MLP, with every part that a BitNet's training may have; resumed, it is the same run.
TEST(TrainClassifier, BitNets) {
  TemporaryDirectory directory;
  const std::vector<std::string> vit{"model.name=vit", "model.patch_size=8", "model.width=32", "model.depth=2",
                                     "model.heads=2",  "optim.name=adamw",   "optim.lr=0.002"};
  const std::vector<std::string> mlp{"model.name=mlp", "model.hidden=[32, 16]", "optim.lr=0.01"};
  const std::string teacher = directory / "teacher";
  ASSERT_EQ(run_program("train_classifier", small_run(teacher, vit)).exit_code, 0);
  const std::string distilled = "bitnet.distill.teacher=" + teacher + "/last.safetensors";
  const std::pair<std::vector<std::string>, std::vector<std::string>> cases[] = {
      {vit, {"bitnet.subln=output", "bitnet.warmup_steps=6", distilled}},
      {vit, {"bitnet.lrc.rank_percentage=0.25", "bitnet.lrc.init=activations"}},
      {mlp, {"bitnet.exclude=layers.2"}}};
  int count = 0;
  for (const auto& [model, method] : cases) {
    const std::string out = concat(directory / "run", ++count);
    std::vector<std::string> settings = model;
    settings.push_back("bitnet.enabled=true");
    settings.insert(settings.end(), method.begin(), method.end());
    const ProcessResult run = run_program("train_classifier", small_run(out, settings));
    ASSERT_EQ(run.exit_code, 0) << run.err;
    EXPECT_EQ(run.err, "");
    EXPECT_NE(run.out.find("bitnet: converted "), std::string::npos) << run.out;
    const Json summary = Json::parse_file("test", out + "/summary.json");
    EXPECT_GT(summary.at("sparsity").as_number(), 0.1);
    EXPECT_LT(summary.at("sparsity").as_number(), 0.6);
    EXPECT_LT(summary.at("rel_bops").as_number(), 0.5);
    EXPECT_EQ(rows_of(out + "/layers.jsonl").size(), 2u);
    const ProcessResult eval =
        run_program("eval", {"--weights", out + "/last.safetensors", "--data", mini_data(), "--limit", "100"});
    EXPECT_EQ(eval.exit_code, 0) << eval.err;
    EXPECT_EQ(figure(last_line(eval.out), "top1"), summary.at("top1").as_number()) << eval.out;
    if (count == 2) continue;  // corrected layers have no packed form
    const std::string packed = out + "/packed.safetensors";
    ASSERT_EQ(run_program("pack", {"--weights", out + "/last.safetensors", "--out", packed}).exit_code, 0);
    const ProcessResult again = run_program("eval", {"--weights", packed, "--data", mini_data(), "--limit", "100"});
    EXPECT_EQ(last_line(again.out), last_line(eval.out)) << again.err << "the same images, prepared and named alike";
  }
  const ProcessResult both =
      run_program("train_classifier", small_run(directory / "both", {"codeq.mode=fixed", "bitnet.enabled=true"}));
  EXPECT_EQ(both.exit_code, 1) << "a ResNet's only linear layer is its head";
  EXPECT_NE(both.err.find("[convert] found no linear layer to convert in ResNetCifar"), std::string::npos) << both.err;
}

TEST(TrainClassifier, MixedPrecisionRunAndItsFiles) {
  TemporaryDirectory directory;
  const std::string out = directory / "run";
  const ProcessResult run =
      run_program("train_classifier", small_run(out, {"codeq.mode=mixed", "codeq.dz_decay=5", "codeq.dz_lr=0.01"}));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.err, "");

  const std::string line = last_line(run.out);
  const Json summary = Json::parse_file("test", out + "/summary.json");
  for (const char* name : {"top1", "sparsity", "mean_bits", "rel_bops"})
    EXPECT_EQ(figure(line, name), summary.at(name).as_number()) << name << " in " << line;
  EXPECT_GT(summary.at("sparsity").as_number(), 0);
  EXPECT_GE(summary.at("mean_bits").as_number(), 2);
  EXPECT_LE(summary.at("mean_bits").as_number(), 8);
  EXPECT_GT(summary.at("rel_bops").as_number(), 0);
  EXPECT_LT(summary.at("rel_bops").as_number(), 0.26);

  const Json config = Json::parse_file("test", out + "/config.json");
  EXPECT_EQ(config.at("codeq").at("mode").as_string(), "mixed");
  EXPECT_EQ(config.at("seed").as_int(), 5);
  for (const char* key : {"tern", "compiler", "cpu", "isa", "blas", "threads"})
    EXPECT_TRUE(config.at("environment").contains(key)) << key;

  const auto rows = rows_of(out + "/metrics.jsonl");
  ASSERT_EQ(rows.size(), 2u);
  for (const char* key : {"epoch", "step", "train_loss", "train_top1", "val_top1", "test_top1", "lr", "images_per_s",
                          "data_wait", "mean_bits", "sparsity"})
    EXPECT_TRUE(rows[1].contains(key)) << key;
  EXPECT_EQ(rows[1].at("test_top1").as_number(), summary.at("top1").as_number());

  const auto layers = rows_of(out + "/layers.jsonl");
  ASSERT_EQ(layers.size(), 2u);
  EXPECT_EQ(layers[1].at("layers").size(), 20u);
  const Json& layer = layers[1].at("layers")[1];
  EXPECT_EQ(layer.at("name").as_string(), "layer1.0.conv1");
  EXPECT_LT(layer.at("logit_dz").as_number(), 3);
  EXPECT_GT(layer.at("dead_zone").as_number(), layers[0].at("layers")[1].at("dead_zone").as_number());

  // The checkpoint knows its model, quantizers and preprocessing, and gives the run's figure again.
  const ProcessResult eval =
      run_program("eval", {"--weights", out + "/last.safetensors", "--data", mini_data(), "--limit", "100", "--json"});
  ASSERT_EQ(eval.exit_code, 0) << eval.err;
  const Json measured = Json::parse("test", "eval", eval.out);
  EXPECT_EQ(measured.at("top1").as_number(), summary.at("top1").as_number());
  EXPECT_EQ(measured.at("loss").as_number(), summary.at("loss").as_number());
  EXPECT_EQ(measured.at("n").as_int(), 100);
  EXPECT_EQ(
      run_program("eval", {"--weights", out + "/best.safetensors", "--data", mini_data(), "--limit", "100"}).exit_code,
      0);
}

TEST(TrainClassifier, FastDevRunOfEveryMode) {
  TemporaryDirectory directory;
  for (const char* mode : {"none", "fixed", "mixed"}) {
    const ProcessResult run =
        run_program("train_classifier", {"--data", mini_data(), "--fast-dev-run", "--set", "data.batch_size=8",
                                         "data.eval_batch_size=10", std::string("codeq.mode=") + mode});
    ASSERT_EQ(run.exit_code, 0) << run.err;
    const std::string line = last_line(run.out);
    EXPECT_EQ(figure(line, "mean_bits"), std::string(mode) == "none"    ? 32
                                         : std::string(mode) == "fixed" ? 4
                                                                        : 8)
        << line;
    EXPECT_GE(figure(line, "top1"), 0) << line;
  }
}

TEST(TrainClassifier, OtherOptimizersSchedulesAndModels) {
  const std::vector<std::vector<std::string>> variants{
      {"optim.name=adamw", "optim.lr=0.001", "optim.decay_norms=false", "schedule.name=one_cycle",
       "optim.ema_decay=0.9", "codeq.mode=fixed"},
      {"optim.name=adam", "schedule.name=plateau", "schedule.warmup_epochs=0.5", "optim.clip_norm=1", "data.mixup=0.2",
       "data.cutmix=1", "data.cutout=8"},
      {"model.name=mlp", "model.hidden=16", "schedule.name=step", "optim.accumulate=2", "data.color_jitter=0.4"},
      {"model.name=vit", "model.width=24", "model.depth=1", "model.heads=2", "schedule.name=exponential",
       "schedule.gamma=0.9", "optim.label_smoothing=0.1"},
      {"model.name=mlp", "model.hidden=", "data.dataset=synthetic", "schedule.name=multistep", "schedule.milestones=1"},
  };
  for (const auto& variant : variants) {
    TemporaryDirectory directory;
    const ProcessResult run = run_program("train_classifier", small_run(directory / "run", variant));
    EXPECT_EQ(run.exit_code, 0) << variant[0] << ": " << run.err;
    const ProcessResult eval = run_program(
        "eval", {"--weights", directory / "run/last.safetensors", "--data", mini_data(), "--limit", "100", "--json"});
    ASSERT_EQ(eval.exit_code, 0) << variant[0] << ": " << eval.err;
    if (variant[2] == "data.dataset=synthetic") continue;
    EXPECT_EQ(Json::parse("test", "eval", eval.out).at("top1").as_number(), figure(last_line(run.out), "top1"))
        << variant[0];
  }
}

TEST(TrainClassifier, StartsFromWeights) {
  TemporaryDirectory directory;
  ASSERT_EQ(run_program("train_classifier", small_run(directory / "a")).exit_code, 0);
  const ProcessResult run =
      run_program("train_classifier",
                  small_run(directory / "b", {"codeq.mode=fixed", "--weights", directory / "a/last.safetensors"}));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(Json::parse_file("test", directory / "b/config.json").at("model").at("weights").as_string(),
            directory / "a/last.safetensors");
}

TEST(TrainClassifier, ThreadsAndWorkersDoNotChangeTheResult) {
  TemporaryDirectory directory;
  ASSERT_EQ(run_program("train_classifier", small_run(directory / "a", {"codeq.mode=mixed"})).exit_code, 0);
  std::vector<std::string> other = small_run(directory / "b", {"codeq.mode=mixed", "data.workers=3"});
  for (size_t i = 0; i < other.size(); ++i)
    if (other[i] == "--threads") other[i + 1] = "1";
  ASSERT_EQ(run_program("train_classifier", other).exit_code, 0);
  const auto a = io::load_safetensors(directory / "a/last.safetensors").tensors;
  const auto b = io::load_safetensors(directory / "b/last.safetensors").tensors;
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [name, tensor] : a) EXPECT_EQ(tensor.to_vector<double>(), b.at(name).to_vector<double>()) << name;
}

TEST(TrainClassifier, InterruptedAndResumedEqualsUndisturbed) {
  TemporaryDirectory directory;
  const std::vector<std::string> settings{"codeq.mode=fixed", "epochs=3", "--log-every", "1"};
  ASSERT_EQ(run_program("train_classifier", small_run(directory / "whole", settings)).exit_code, 0);
  bool sent = false;
  const ProcessResult stopped =
      run_program("train_classifier", small_run(directory / "parts", settings), [&](pid_t pid, const std::string& out) {
        if (!sent && out.find("epoch 1/3:") != std::string::npos) sent = kill(pid, SIGINT) == 0;
      });
  ASSERT_EQ(stopped.exit_code, 130) << stopped.out << stopped.err;
  EXPECT_NE(stopped.out.find("go on with --resume"), std::string::npos);
  const ProcessResult resumed =
      run_program("train_classifier", {"--out", directory / "parts", "--resume", "--threads", "2", "--log-every", "1"});
  ASSERT_EQ(resumed.exit_code, 0) << resumed.err;
  const auto a = io::load_safetensors(directory / "whole/last.safetensors").tensors;
  const auto b = io::load_safetensors(directory / "parts/last.safetensors").tensors;
  for (const auto& [name, tensor] : a) EXPECT_EQ(tensor.to_vector<double>(), b.at(name).to_vector<double>()) << name;
  for (const char* file : {"metrics.jsonl", "layers.jsonl"})
    EXPECT_EQ(rows_of((directory / "whole/") + file).size(), rows_of((directory / "parts/") + file).size());
}

// What a run takes from the weights that it starts from, its preprocessing and structure, it has after a resume too.
TEST(TrainClassifier, ResumesWhatBeganWithWeights) {
  TemporaryDirectory directory;
  const std::string first = directory / "first", whole = directory / "whole", half = directory / "half";
  ASSERT_EQ(run_program("train_classifier", small_run(first, {"epochs=1", "data.mean=[0.5, 0.5, 0.5]",
                                                              "data.std=[0.3, 0.2, 0.1]", "schedule.name=constant"}))
                .exit_code,
            0);
  const std::vector<std::string> from{"model.weights=" + first + "/last.safetensors", "schedule.name=constant"};
  ASSERT_EQ(run_program("train_classifier", small_run(whole, from)).exit_code, 0);
  std::vector<std::string> shorter = from;
  shorter.push_back("epochs=1");
  ASSERT_EQ(run_program("train_classifier", small_run(half, shorter)).exit_code, 0);
  const ProcessResult rest =
      run_program("train_classifier", {"--out", half, "--resume", "--threads", "1", "--set", "epochs=2"});
  ASSERT_EQ(rest.exit_code, 0) << rest.err;
  const auto a = io::load_safetensors(whole + "/last.safetensors"),
             b = io::load_safetensors(half + "/last.safetensors");
  for (const auto& [name, tensor] : a.tensors)
    EXPECT_EQ(tensor.to_vector<double>(), b.tensors.at(name).to_vector<double>()) << name;
  EXPECT_EQ(a.metadata.at("tern.preprocessing"), b.metadata.at("tern.preprocessing"));
  const Json config = Json::parse_file("test", half + "/config.json");
  ASSERT_EQ(config.at("environment").at("earlier").size(), 1u);
  const Json& earlier = config.at("environment").at("earlier")[0];
  EXPECT_EQ(earlier.at("epochs").as_int(), 1);
  EXPECT_EQ(earlier.at("threads").as_int(), 2);
  EXPECT_EQ(earlier.at("until_step").as_int(), 5);
}

TEST(TrainClassifier, AnotherTeacherIsNoticed) {
  TemporaryDirectory directory;
  const std::string teacher = directory / "teacher", other = directory / "other", out = directory / "run";
  const std::vector<std::string> vit{"model.name=vit", "model.patch_size=8",     "model.width=16", "model.depth=1",
                                     "model.heads=2",  "schedule.name=constant", "epochs=1"};
  const auto trained = [&](const std::string& where, std::vector<std::string> more) {
    more.insert(more.begin(), vit.begin(), vit.end());
    return run_program("train_classifier", small_run(where, more));
  };
  ASSERT_EQ(trained(teacher, {}).exit_code, 0);
  ASSERT_EQ(trained(other, {"optim.lr=0.01"}).exit_code, 0);
  const std::string file = teacher + "/last.safetensors";
  ASSERT_EQ(trained(out, {"bitnet.enabled=true", "bitnet.distill.teacher=" + file}).exit_code, 0);
  std::filesystem::copy_file(other + "/last.safetensors", file, std::filesystem::copy_options::overwrite_existing);
  const ProcessResult rest = run_program("train_classifier", {"--out", out, "--resume", "--set", "epochs=2"});
  EXPECT_EQ(rest.exit_code, 1);
  EXPECT_NE(rest.err.find("expected the teacher that the run in " + out + " began with, "), std::string::npos)
      << rest.err;
}

// Folders of images that no setting brings to one size, as long as they are of one.
TEST(TrainClassifier, ImagesOfAFolderAsTheyAre) {
  TemporaryDirectory directory;
  for (const char* part : {"train/a", "train/b", "test/a", "test/b"}) {
    std::filesystem::create_directories(directory / part);
    for (int i = 0; i < 6; ++i)
      write(directory / (part + concat("/", i, ".bmp")),
            test::bmp_of(std::vector<uint8_t>(20 * 24 * 3, static_cast<uint8_t>(40 * i)), 20, 24, 3));
  }
  const std::string out = directory / "run";
  for (const char* mode : {"none", "fixed"}) {
    const ProcessResult run =
        run_program("train_classifier",
                    {"--data", directory.path(), "--out", out, "--overwrite", "--threads", "1", "--profile",
                     "--profile-steps", "1", "--set", "data.dataset=image_folder", "epochs=2", "data.batch_size=2",
                     "data.val_fraction=0", "data.crop_padding=0", concat("codeq.mode=", mode)});
    ASSERT_EQ(run.exit_code, 0) << run.err;
    EXPECT_TRUE(std::filesystem::exists(out + "/summary.json"));
    EXPECT_TRUE(std::filesystem::exists(out + "/report.html"));
  }
}

TEST(TrainClassifier, ResumeRefusesAnotherRunsSettings) {
  TemporaryDirectory directory;
  const std::string out = directory / "run";
  ASSERT_EQ(run_program("train_classifier", small_run(out, {"codeq.mode=fixed"})).exit_code, 0);
  const std::string config = io::read_file("test", out + "/config.json");
  for (const char* change : {"optim.lr=5", "codeq.bits=2", "data.batch_size=64", "data.val_fraction=0.5", "seed=9"}) {
    const ProcessResult run = run_program("train_classifier", {"--out", out, "--resume", "--set", change});
    EXPECT_EQ(run.exit_code, 2) << change;
    const std::string key = std::string(change).substr(0, std::string(change).find('='));
    EXPECT_NE(run.err.find("got another " + key + ";"), std::string::npos) << run.err;
    EXPECT_EQ(io::read_file("test", out + "/config.json"), config) << change;
  }
  const ProcessResult longer = run_program("train_classifier", {"--out", out, "--resume", "--set", "epochs=3"});
  EXPECT_EQ(longer.exit_code, 0) << longer.err;
}

TEST(TrainClassifier, StartsFromACheckpointWithQuantizers) {
  TemporaryDirectory directory;
  ASSERT_EQ(run_program("train_classifier",
                        small_run(directory / "a", {"codeq.mode=fixed", "codeq.dz_decay=5", "codeq.dz_lr=0.01"}))
                .exit_code,
            0);
  const std::string weights = directory / "a/last.safetensors";
  const ProcessResult plain = run_program("train_classifier", small_run(directory / "b", {"--weights", weights}));
  EXPECT_EQ(plain.exit_code, 2);
  EXPECT_NE(plain.err.find("expected codeq.mode fixed or mixed, as " + weights), std::string::npos) << plain.err;
  const ProcessResult mixed = run_program(
      "train_classifier", small_run(directory / "c", {"codeq.mode=mixed", "codeq.dz_lr=0", "--weights", weights}));
  ASSERT_EQ(mixed.exit_code, 0) << mixed.err;
  const auto before = io::load_safetensors(weights).tensors,
             after = io::load_safetensors(directory / "c/last.safetensors").tensors;
  const std::string logit = "layer1.0.conv1.weight.codeq.logit_dz";
  EXPECT_EQ(after.at(logit).item(), before.at(logit).item()) << "the dead-zone goes on where it was";
  EXPECT_NE(before.at(logit).item(), 3.0);
}

TEST(TrainClassifier, DivergenceInTheLastStepIsNoticed) {
  TemporaryDirectory directory;
  const std::string out = directory / "run";
  const ProcessResult run =
      run_program("train_classifier", small_run(out, {"epochs=1", "data.train_limit=125", "data.batch_size=100",
                                                      "optim.lr=1e38", "schedule.name=constant"}));
  EXPECT_EQ(run.exit_code, 1) << run.out;
  EXPECT_NE(run.err.find("expected a finite loss on the val images, got nan after step 1 (epoch 1)"), std::string::npos)
      << run.err;
  EXPECT_NE(run.err.find("; the last good checkpoint is " + out + "/last.safetensors of step 0"), std::string::npos)
      << run.err;
}

TEST(TrainClassifier, OutputThatCannotBeWrittenIsAnError) {
  TemporaryDirectory directory;
  const std::string program = std::string(TERN_APPS_DIR) + "/eval --help > /dev/full 2> " + (directory / "text");
  EXPECT_EQ(WEXITSTATUS(std::system(program.c_str())), 1);
  EXPECT_NE(io::read_file("test", directory / "text").find("expected to write to standard output"), std::string::npos);
}

TEST(TrainClassifier, TheSavedConfigurationRepeatsTheRun) {
  TemporaryDirectory directory;
  ASSERT_EQ(run_program("train_classifier", small_run(directory / "a")).exit_code, 0);
  ASSERT_EQ(run_program("train_classifier",
                        {"--config", directory / "a/config.json", "--out", directory / "b", "--threads", "2"})
                .exit_code,
            0);
  EXPECT_EQ(io::read_file("test", directory / "a/summary.json"), io::read_file("test", directory / "b/summary.json"));
}

TEST(TrainClassifier, AUsedDirectoryIsNotTouched) {
  TemporaryDirectory directory;
  const std::string out = directory / "run";
  ASSERT_EQ(run_program("train_classifier", small_run(out)).exit_code, 0);
  const std::string before = io::read_file("test", out + "/last.safetensors");
  const ProcessResult again = run_program("train_classifier", small_run(out, {"--seed=6"}));
  EXPECT_EQ(again.exit_code, 2);
  const ProcessResult refused = run_program("train_classifier", small_run(out));
  EXPECT_EQ(refused.exit_code, 2);
  EXPECT_EQ(refused.err, "train_classifier: [run] expected an unused directory, got " + out +
                             " with a run in it (config.json); give --resume to go on, --overwrite to replace it\n");
  EXPECT_EQ(io::read_file("test", out + "/last.safetensors"), before);
  EXPECT_EQ(run_program("train_classifier", small_run(out, {"--overwrite"})).exit_code, 0);
}

TEST(TrainClassifier, MistakesGetOneSentence) {
  TemporaryDirectory directory;
  const std::string mini = mini_data();
  struct Case {
    std::vector<std::string> arguments;
    int exit_code;
    std::string text;
  };
  const std::string out = directory / "run";
  std::filesystem::create_directories(directory / "empty");
  std::filesystem::create_directories(directory / "cut");
  std::filesystem::create_directories(directory / "label");
  for (const char* name : {"data_batch_1.bin", "test_batch.bin"}) {
    const std::string whole = io::read_file("test", mini + "/" + name);
    write((directory / "cut") + "/" + name, whole.substr(0, 3073 * 20 - 1));
    std::string wrong = whole.substr(0, 3073 * 20);
    wrong[3073 * 7] = 10;
    write((directory / "label") + "/" + name, wrong);
  }
  for (const char* name : {"train/a", "train/b", "test/b", "test/c"}) {
    std::filesystem::create_directories((directory / "folders/") + name);
    const std::vector<uint8_t> pixels(8 * 8 * 3, 100);
    write((directory / "folders/") + name + "/x.png", test::png_of(pixels, 8, 8, 3));
  }
  const std::vector<Case> cases{
      {{}, 2, "expected --out DIR"},
      {{"--out", out}, 2, "expected --data DIR"},
      {{"--data", mini, "--otu", out}, 2, "unknown argument --otu; did you mean --out?"},
      {{"--data", mini, "--out", out, "--threads", "0"},
       2,
       "expected --threads to be a whole number at least 1 and at most 4096, got 0"},
      {{"--data", mini, "--out", out, "--set", "optim.lrr=1"},
       2,
       "unknown key optim.lrr in --set; did you mean optim.lr?"},
      {{"--data", mini, "--out", out, "--set", "optim.lr=fast"},
       2,
       "expected optim.lr to be a number at least 0, got \"fast\" (--set)"},
      {{"--data", mini, "--out", out, "--set", "model.name=vgg"}, 2, "expected model.name to be one of resnet20"},
      {{"--data", mini, "--out", out, "--config", write(directory / "a.json", "{\"optimizer\": {\"lr\": 1}}")},
       2,
       "unknown key optimizer.lr in " + (directory / "a.json") + "; did you mean optim.lr?"},
      {{"--data", mini, "--out", out, "--config", write(directory / "b.json", "{\"epochs\": }")},
       2,
       "expected valid JSON"},
      {{"--data", mini, "--out", out, "--config", directory / "none.json"}, 1, directory / "none.json"},
      {{"--data", directory / "none", "--out", out},
       1,
       "expected a directory with a data set, got " + (directory / "none")},
      {{"--data", directory / "empty", "--out", out}, 1, "expected test_batch.bin (CIFAR-10)"},
      {{"--data", directory / "cut", "--out", out}, 1, "data_batch_1.bin"},
      {{"--data", directory / "label", "--out", out}, 1, "data_batch_1.bin"},
      {{"--data", mini, "--out", out, "--weights", directory / "none.safetensors"}, 1, "none.safetensors"},
      {{"--data", mini, "--out", out, "--set", "codeq.mode=fixed", "codeq.exclude=nothing.like.this"},
       1,
       "nothing.like.this"},
      {{"--data", mini, "--out", out, "--set", "codeq.bits=1"},
       2,
       "expected codeq.bits to be a whole number at least 2"},
      {{"--data", mini, "--out", write(directory / "file", "x") + "/run"},
       1,
       "[run] expected to create the directory " + (directory / "file/run") + ", got: Not a directory"},
      {{"--data", mini, "--out", out, "--set", "codeq.mode=mixed", "codeq.min_bits=9"},
       2,
       "expected codeq.min_bits of at most codeq.max_bits, got 9 and 8"},
      {{"--data", mini, "--out", out, "--set", "optim.nesterov=true", "optim.momentum=0"},
       2,
       "expected optim.momentum above 0 with optim.nesterov, got 0"},
      {{"--data", mini, "--out", out, "--set", "schedule.name=plateau", "schedule.gamma=1"},
       2,
       "expected schedule.gamma below 1 with plateau, got 1"},
      {{"--data", mini, "--out", out, "--set", "schedule.name=multistep"}, 2, "expected schedule.milestones"},
      {{"--data", mini, "--out", out, "--set", "schedule.milestones=5,3"},
       2,
       "expected rising schedule.milestones, got 3 after 5"},
      {{"--data", directory / "folders", "--out", out, "--set", "data.resize=32", "data.crop=32"},
       1,
       "expected the same classes in both splits of " + (directory / "folders") +
           ", got \"a\" among the training images alone"},
      {{"--out", directory / "empty", "--resume"}, 2, "to go on with, got a directory without config.json"},
      {{"--data", mini, "--out", out, "--resume", "--overwrite"},
       2,
       "expected --resume with --out and without --overwrite"},
  };
  for (const Case& c : cases) {
    const ProcessResult run = run_program("train_classifier", c.arguments);
    EXPECT_EQ(run.exit_code, c.exit_code) << c.text << "\n" << run.err;
    EXPECT_NE(run.err.find(c.text), std::string::npos) << c.text << "\n" << run.err;
    EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1) << run.err;
    EXPECT_FALSE(std::filesystem::exists(out + "/last.safetensors")) << c.text;
  }
}

TEST(TrainClassifier, HelpNamesEverySetting) {
  const ProcessResult help = run_program("train_classifier", {"--help"});
  EXPECT_EQ(help.exit_code, 0);
  for (const char* text :
       {"--fast-dev-run", "--set KEY=VALUE", "optim.lr = 0.1", "codeq.mode = \"none\"", "schedule.name"})
    EXPECT_NE(help.out.find(text), std::string::npos) << text;
}

}  // namespace
}  // namespace tern::testing
