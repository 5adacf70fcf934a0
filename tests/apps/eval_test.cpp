#include <fstream>

#include <gtest/gtest.h>

#include <tern/core/io/file.h>
#include <tern/core/io/json.h>
#include <tern/core/io/safetensors.h>
#include <tern/core/random.h>
#include <tern/nn/models/registry.h>

#include "apps/process.h"

namespace tern::testing {
namespace {

using io::Json;

// Weights as another program would write them: names alone, nothing about the model.
std::string foreign_weights(const TemporaryDirectory& directory) {
  manual_seed(3);
  const auto model = nn::models::create("resnet20");
  const std::string path = directory / "foreign.safetensors";
  io::save_safetensors(path, io::TensorMap(model->state_dict()));
  return path;
}

Json measure(const std::string& model, const std::string& file) {
  const std::string data = test_data();
  const ProcessResult run = run_program("eval", {"--model", model, "--weights", data + "/pretrained/" + file, "--data",
                                                 data + "/cifar-10-batches-bin", "--json"});
  EXPECT_EQ(run.exit_code, 0) << run.err;
  return Json::parse("test", "eval", run.out);
}

TEST(Eval, PublishedResNet20) {
  TERN_NEEDS_TEST_DATA();
  const Json result = measure("resnet20", "cifar10_resnet20.safetensors");
  EXPECT_NEAR(result.at("top1").as_number(), 0.9173, 0.0002);
  EXPECT_EQ(result.at("n").as_int(), 10000);
}

TEST(Eval, PublishedResNet56) {
  TERN_NEEDS_TEST_DATA();
  EXPECT_NEAR(measure("resnet56", "cifar10_resnet56.safetensors").at("top1").as_number(), 0.9339, 0.0002);
}

TEST(Eval, PrintsOneJsonLine) {
  TemporaryDirectory directory;
  const std::string weights = foreign_weights(directory);
  const ProcessResult run = run_program(
      "eval", {"--model", "resnet20", "--weights", weights, "--data", mini_data(), "--limit", "150", "--json"});
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(run.err, "");
  EXPECT_EQ(std::count(run.out.begin(), run.out.end(), '\n'), 1);
  const Json result = Json::parse("test", "eval", run.out);
  EXPECT_EQ(result.at("n").as_int(), 150);
  EXPECT_GE(result.at("top5").as_number(), result.at("top1").as_number());
  EXPECT_LE(result.at("top5").as_number(), 1);
  EXPECT_GT(result.at("loss").as_number(), 0);
}

TEST(Eval, PreprocessingCanBeOverridden) {
  TemporaryDirectory directory;
  const std::string weights = foreign_weights(directory);
  const std::vector<std::string> base{"--model",   "resnet20", "--weights", weights, "--data",
                                      mini_data(), "--limit",  "50",        "--json"};
  const auto loss_with = [&](std::vector<std::string> more) {
    more.insert(more.begin(), base.begin(), base.end());
    const ProcessResult run = run_program("eval", more);
    EXPECT_EQ(run.exit_code, 0) << run.err;
    return Json::parse("test", "eval", run.out).at("loss").as_number();
  };
  const double published = loss_with({});
  EXPECT_EQ(loss_with({"--mean", "0.485,0.456,0.406", "--std", "0.229,0.224,0.225"}), published);
  EXPECT_NE(loss_with({"--mean", "0.5,0.5,0.5"}), published);
  EXPECT_NE(loss_with({"--resize", "40", "--crop", "32"}), published);
  EXPECT_NE(loss_with({"--split", "train"}), published);
}

TEST(Eval, MistakesGetOneSentence) {
  TemporaryDirectory directory;
  const std::string weights = foreign_weights(directory), mini = mini_data();
  const std::string whole = io::read_file("test", weights);
  std::ofstream(directory / "cut.safetensors") << whole.substr(0, whole.size() / 2);
  std::ofstream(directory / "text.safetensors") << "this is no weight file";
  struct Case {
    std::vector<std::string> arguments;
    int exit_code;
    std::string text;
  };
  const std::vector<Case> cases{
      {{}, 2, "expected --weights FILE"},
      {{"--weights", weights}, 2, "expected --data DIR"},
      {{"--weights", weights, "--data", mini}, 2, "expected --model NAME"},
      {{"--weights", weights, "--data", mini, "--model", "resnet21"}, 2, "expected --model to be one of resnet20"},
      {{"--weights", weights, "--data", mini, "--model", "resnet32"}, 1, "layer1.3.conv1.weight"},
      {{"--weights", weights, "--data", mini, "--model", "resnet20", "--mean", "1,2"},
       2,
       "expected --mean to be a list of 3 numbers"},
      {{"--weights", weights, "--data", mini, "--model", "resnet20", "--std", "0,1,1"},
       2,
       "expected --std to be a list of numbers above 0"},
      {{"--weights", directory / "none.safetensors", "--data", mini, "--model", "resnet20"}, 1, "none.safetensors"},
      {{"--weights", directory / "cut.safetensors", "--data", mini, "--model", "resnet20"}, 1, "cut.safetensors"},
      {{"--weights", directory / "text.safetensors", "--data", mini, "--model", "resnet20"}, 1, "text.safetensors"},
      {{"--weights", weights, "--data", directory / "none", "--model", "resnet20"},
       1,
       "expected a directory with a data set"},
      {{"--weights", weights, "--data", mini, "--model", "resnet20", "--jsno"},
       2,
       "unknown argument --jsno; did you mean --json?"},
  };
  for (const Case& c : cases) {
    const ProcessResult run = run_program("eval", c.arguments);
    EXPECT_EQ(run.exit_code, c.exit_code) << c.text << "\n" << run.err;
    EXPECT_NE(run.err.find(c.text), std::string::npos) << c.text << "\n" << run.err;
    EXPECT_EQ(std::count(run.err.begin(), run.err.end(), '\n'), 1) << run.err;
    EXPECT_EQ(run.out, "");
  }
}

TEST(Eval, Help) {
  const ProcessResult help = run_program("eval", {"--help"});
  EXPECT_EQ(help.exit_code, 0);
  EXPECT_NE(help.out.find("Usage: eval --weights FILE --data DIR"), std::string::npos) << help.out;
}

}  // namespace
}  // namespace tern::testing
