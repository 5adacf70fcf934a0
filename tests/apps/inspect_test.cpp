#include <algorithm>
#include <fstream>

#include <gtest/gtest.h>

#include <tern/core/io/file.h>
#include <tern/core/io/json.h>
#include <tern/core/io/npy.h>
#include <tern/core/io/safetensors.h>
#include <tern/core/ops/create.h>
#include <tern/core/random.h>
#include <tern/nn/models/registry.h>

#include "apps/process.h"

namespace tern::testing {
namespace {

using io::Json;

std::string foreign_weights(const TemporaryDirectory& directory) {
  manual_seed(3);
  const auto model = nn::models::create("resnet20");
  const std::string path = directory / "foreign.safetensors";
  io::save_safetensors(path, io::TensorMap(model->state_dict()), {{"note", "a\x1b[31mb"}});
  return path;
}

std::vector<std::string> short_run(const std::string& out, std::vector<std::string> more) {
  std::vector<std::string> arguments{"--data",
                                     mini_data(),
                                     "--out",
                                     out,
                                     "--threads",
                                     "1",
                                     "--set",
                                     "epochs=2",
                                     "data.train_limit=160",
                                     "data.test_limit=50",
                                     "data.batch_size=16",
                                     "codeq.mode=mixed"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return arguments;
}

TEST(Inspect, ListsAFile) {
  TemporaryDirectory directory;
  const std::string weights = foreign_weights(directory);
  const ProcessResult run = run_program("inspect", {weights});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.err, "");
  EXPECT_NE(run.out.find("\nlayer3.2.conv2.weight "), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("\n  note: a\\x1b[31mb\n"), std::string::npos) << run.out;
  EXPECT_EQ(run.out.find('\x1b'), std::string::npos);
  const ProcessResult some = run_program("inspect", {"--filter", "*.conv1.weight", "--sort=elements", weights});
  ASSERT_EQ(some.exit_code, 0) << some.err;
  EXPECT_LT(some.out.find("layer3.1.conv1.weight"), some.out.find("layer1.0.conv1.weight"));
  EXPECT_EQ(some.out.find("bn1"), std::string::npos);

  const ProcessResult json = run_program("inspect", {weights, "--json"});
  ASSERT_EQ(json.exit_code, 0) << json.err;
  const Json document = Json::parse("test", "inspect", json.out);
  EXPECT_EQ(document.at("format").as_string(), "safetensors");
  EXPECT_EQ(document.at("tensors").size(), document.at("totals").at("tensors").as_number());
  EXPECT_EQ(document.at("metadata").at("note").as_string(), "a\x1b[31mb");

  const ProcessResult summary = run_program("inspect", {weights, "--summary", "--model", "resnet20"});
  ASSERT_EQ(summary.exit_code, 0) << summary.err;
  EXPECT_NE(summary.out.find("MACs 40,551,040"), std::string::npos) << summary.out;
  const ProcessResult layers = run_program("inspect", {weights, "--summary", "--model", "resnet20", "--json"});
  EXPECT_EQ(Json::parse("test", "inspect", layers.out).at("parameters").as_int(), 269722);
}

TEST(Inspect, PublishedFiles) {
  TERN_NEEDS_TEST_DATA();
  const ProcessResult resnet =
      run_program("inspect", {test_data() + "/pretrained/cifar10_resnet20.safetensors", "--json"});
  ASSERT_EQ(resnet.exit_code, 0) << resnet.err;
  EXPECT_GT(Json::parse("test", "inspect", resnet.out).at("totals").at("elements").as_int(), 270000);
  const ProcessResult llama = run_program("inspect", {test_data() + "/pretrained/stories260K.bin", "--summary"});
  ASSERT_EQ(llama.exit_code, 0) << llama.err;
  EXPECT_NE(llama.out.find("model.layers.4.self_attn"), std::string::npos) << llama.out;
}

TEST(Inspect, MistakesGetOneSentence) {
  TemporaryDirectory directory;
  const std::string weights = foreign_weights(directory);
  const std::string whole = io::read_file("test", weights);
  std::ofstream(directory / "cut.safetensors") << whole.substr(0, whole.size() / 2);
  std::ofstream(directory / "text.safetensors") << "this is no weight file";
  std::ofstream(directory / "empty") << "";
  io::save_npy(directory / "a.npy", ones({3}));
  const std::string npy = io::read_file("test", directory / "a.npy");
  std::ofstream(directory / "cut.npy") << npy.substr(0, npy.size() - 1);
  struct Case {
    std::vector<std::string> arguments;
    int exit_code;
    std::string text;
  };
  const std::vector<Case> cases{
      {{}, 2, "[inspect] expected FILE (see --help)"},
      {{weights, "other"}, 2, "unknown argument other"},
      {{weights, "--jsno"}, 2, "unknown argument --jsno; did you mean --json?"},
      {{weights, "--sort", "size"}, 2, "expected --sort to be one of file, name"},
      {{weights, "--model", "resnet20"}, 2, "expected --summary with --model"},
      {{weights, "--side", "8"}, 2, "expected --summary with --side"},
      {{weights, "--summary", "--all"}, 2, "expected no --all with --summary"},
      {{weights, "--summary"}, 2, "expected --model NAME, a model of the zoo, as " + weights},
      {{weights, "--summary", "--model", "resnet21"}, 2, "expected --model to be one of resnet20"},
      {{weights, "--summary", "--model", "resnet32"}, 1, "layer1.3.conv1.weight"},
      {{weights, "--summary", "--model", "llama"}, 1, "config.json"},
      {{weights, "--filter", "nope"}, 1, "expected a filter that one of the"},
      {{directory / "a.npy", "--summary"}, 2, "expected weights of a model for --summary, got the array"},
      {{directory / "none.safetensors"}, 1, "none.safetensors"},
      {{directory.path()}, 1, directory.path()},
      {{directory / "empty"}, 1, "empty"},
      {{directory / "cut.safetensors"}, 1, "cut.safetensors"},
      {{directory / "cut.npy"}, 1, "cut.npy"},
      {{directory / "text.safetensors"}, 1, "text.safetensors"},
  };
  for (const Case& c : cases) {
    const ProcessResult run = run_program("inspect", c.arguments);
    EXPECT_EQ(run.exit_code, c.exit_code) << c.text << "\n" << run.err;
    EXPECT_NE(run.err.find(c.text), std::string::npos) << c.text << "\n" << run.err;
    EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1) << run.err;
    EXPECT_EQ(run.out, "");
  }
  EXPECT_NE(run_program("inspect", {"--help"}).out.find("Usage: inspect FILE [options]"), std::string::npos);
}

TEST(TrainClassifier, ProfileAndTensorBoardChangeNothing) {
  TemporaryDirectory directory;
  const std::string plain = directory / "plain", watched = directory / "watched";
  ASSERT_EQ(run_program("train_classifier", short_run(plain, {})).exit_code, 0);
  const ProcessResult run =
      run_program("train_classifier", short_run(watched, {"--profile", "--profile-steps", "4", "--tensorboard"}));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(io::read_file("test", plain + "/last.safetensors"), io::read_file("test", watched + "/last.safetensors"));
  EXPECT_EQ(io::read_file("test", plain + "/summary.json"), io::read_file("test", watched + "/summary.json"));
  EXPECT_NE(run.out.find("\nlayer1.0.conv1 "), std::string::npos) << run.out;
  EXPECT_NE(run.out.find("means of 4 steps\n"), std::string::npos) << run.out;

  const Json profile = Json::parse_file("test", watched + "/profile.json");
  EXPECT_EQ(profile.at("steps").as_int(), 4);
  double layers = 0;
  for (const Json& layer : profile.at("layers").items())
    layers += layer.at("forward_ms").as_number() + layer.at("backward_ms").as_number();
  EXPECT_GT(layers, 0);
  EXPECT_LT(layers, profile.at("step_ms").as_number());
  const Json trace = Json::parse_file("test", watched + "/trace.json");
  const auto& events = trace.at("traceEvents").items();
  for (const char* name : {"data wait", "layer3.2.bn2", "evaluation", "checkpoint", "optimizer"})
    EXPECT_TRUE(std::any_of(events.begin(), events.end(), [&](const Json& event) {
      return event.at("name").as_string() == name;
    })) << name;

  const auto event_files = [&] {
    int64_t count = 0;
    for (const auto& file : std::filesystem::directory_iterator(watched))
      count += file.path().filename().string().starts_with("events.out.tfevents.");
    return count;
  };
  EXPECT_EQ(event_files(), 1);
  EXPECT_EQ(run_program("train_classifier", {"--out", watched, "--resume", "--tensorboard"}).exit_code, 0);
  EXPECT_EQ(event_files(), 1) << "nothing is left to tell of";
  EXPECT_EQ(
      run_program("train_classifier", {"--out", watched, "--resume", "--tensorboard", "--set", "epochs=3"}).exit_code,
      0);
  EXPECT_EQ(event_files(), 2);
  ASSERT_EQ(run_program("train_classifier", short_run(watched, {"--overwrite"})).exit_code, 0);
  EXPECT_EQ(event_files(), 0);
  EXPECT_FALSE(std::filesystem::exists(watched + "/trace.json"));

  EXPECT_NE(run_program("train_classifier", {"--data", mini_data(), "--fast-dev-run", "--tensorboard"})
                .err.find("expected --out DIR with --tensorboard"),
            std::string::npos);
  EXPECT_NE(run_program("train_classifier", {"--data", mini_data(), "--out", directory / "x", "--profile-steps", "3"})
                .err.find("expected --profile with --profile-steps"),
            std::string::npos);
  const ProcessResult quick = run_program(
      "train_classifier",
      {"--data", mini_data(), "--fast-dev-run", "--profile", "--set", "data.batch_size=8", "data.eval_batch_size=10"});
  EXPECT_EQ(quick.exit_code, 0) << quick.err;
  EXPECT_NE(quick.out.find(" images/s; means of "), std::string::npos) << quick.out;
}

}  // namespace
}  // namespace tern::testing
