// Folders of images whose classes are not those of the weights, of a teacher or of the run: by name, or refused.
#include <filesystem>
#include <fstream>
#include <map>

#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/core/io/json.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/index.h>
#include <tern/train/weights/checkpoint.h>
#include <tern/train/weights/classes.h>

#include "apps/process.h"
#include "data/image_writer.h"

namespace tern::testing {
namespace {

namespace fs = std::filesystem;
using Arguments = std::vector<std::string>;
using Names = std::vector<std::string>;

class Classes : public ::testing::Test {
 protected:
  TemporaryDirectory directory_;
  std::string run_ = directory_ / "run", weights_ = run_ + "/last.safetensors", all_ = folder({"ant", "bee", "cat"});

  // Images of one colour per class; "x", "y" and "z" look like the three.
  std::string folder(const Names& classes) {
    static const std::map<std::string, std::vector<int>> colours{
        {"ant", {250, 20, 20}}, {"bee", {20, 250, 20}}, {"cat", {20, 20, 250}}, {"dog", {200, 200, 20}},
        {"x", {250, 20, 20}},   {"y", {20, 250, 20}},   {"z", {20, 20, 250}}};
    std::string name = directory_ / "images";
    for (const std::string& c : classes) name += "_" + c;
    for (const std::string part : {"train", "test"})
      for (const std::string& c : classes) {
        fs::create_directories(concat(name, "/", part, "/", c));
        for (int i = 0; i < 6; ++i) {
          std::vector<uint8_t> pixels;
          for (int k = 0; k < 16 * 16 * 3; ++k)
            pixels.push_back(static_cast<uint8_t>(std::max(0, colours.at(c)[static_cast<size_t>(k % 3)] - 3 * i)));
          std::ofstream(concat(name, "/", part, "/", c, "/", i, ".bmp"), std::ios::binary)
              << test::bmp_of(pixels, 16, 16, 3);
        }
      }
    return name;
  }
  static Arguments arguments(const std::string& data, const std::string& out, const Arguments& more = {}) {
    Arguments a{"--data",
                data,
                "--out",
                out,
                "--threads",
                "1",
                "--seed",
                "5",
                "--set",
                "model.name=mlp",
                "model.hidden=[8]",
                "data.resize=16",
                "epochs=8",
                "data.batch_size=5",
                "data.val_fraction=0",
                "data.workers=0",
                "optim.lr=0.01"};
    a.insert(a.end(), more.begin(), more.end());
    return a;
  }
  void SetUp() override {
    const ProcessResult run = run_program("train_classifier", arguments(all_, run_));
    ASSERT_EQ(run.exit_code, 0) << run.err;
  }
  static double top1(const std::string& weights, const std::string& data) {
    const ProcessResult run = run_program("eval", {"--weights", weights, "--data", data, "--json"});
    EXPECT_EQ(run.exit_code, 0) << run.err;
    return run.exit_code == 0 ? io::Json::parse("test", "eval", run.out).at("top1").as_number() : -1;
  }
};

TEST_F(Classes, EvalFindsThemByName) {
  EXPECT_EQ(train::classes_of(train::load_checkpoint(weights_)), (Names{"ant", "bee", "cat"}));
  EXPECT_EQ(top1(weights_, all_), 1);
  EXPECT_EQ(top1(weights_, folder({"bee", "cat"})), 1);
  const std::string more = folder({"bee", "dog"});
  const ProcessResult refused = run_program("eval", {"--weights", weights_, "--data", more});
  EXPECT_EQ(refused.exit_code, 1);
  EXPECT_EQ(refused.err, concat("eval: [classes] expected classes of ", weights_,
                                " (\"ant\", \"bee\", \"cat\") alone, got also \"dog\" in ", more, "\n"));
  // A checkpoint of before there were names: places, as ever.
  train::Checkpoint old = train::load_checkpoint(weights_);
  old.metadata.erase(train::meta::kClasses);
  train::save_checkpoint(directory_ / "old.safetensors", old);
  EXPECT_EQ(top1(directory_ / "old.safetensors", all_), 1);
}

TEST_F(Classes, WeightsThatAreStartedFromKeepTheirs) {
  const std::string two = folder({"bee", "cat"}), fewer = directory_ / "fewer", other = directory_ / "other",
                    data = folder({"x", "y", "z"});
  ProcessResult run =
      run_program("train_classifier", arguments(two, fewer, {"model.weights=" + weights_, "optim.lr=0.001"}));
  ASSERT_EQ(run.exit_code, 0) << run.err;
  EXPECT_EQ(train::classes_of(train::load_checkpoint(fewer + "/last.safetensors")), (Names{"ant", "bee", "cat"}));
  EXPECT_EQ(io::Json::parse_file("test", fewer + "/summary.json").at("top1").as_number(), 1);
  const io::Json evaluation = io::Json::parse_file("test", fewer + "/evaluation.json");
  EXPECT_EQ(evaluation.at("classes").dump(), "[\"ant\",\"bee\",\"cat\"]");
  EXPECT_EQ(evaluation.at("confusion").dump(), "[[0,0,0],[0,6,0],[0,0,6]]");
  EXPECT_EQ(top1(fewer + "/last.safetensors", two), 1);

  run = run_program("train_classifier", arguments(data, other, {"model.weights=" + weights_}));
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_EQ(run.err, concat("train_classifier: [classes] expected classes of ", weights_,
                            " (\"ant\", \"bee\", \"cat\") alone, got also \"x\", \"y\", \"z\" in ", data,
                            "; model.new_head=true draws an output layer for other classes\n"));
  // With an output layer of its own, of any size; the rest is the weights'.
  const std::string four = folder({"ant", "bee", "cat", "dog"});
  for (const auto& [images, names] :
       {std::pair{data, Names{"x", "y", "z"}}, std::pair{four, Names{"ant", "bee", "cat", "dog"}}}) {
    const std::string out = directory_ / concat("head", names.size());
    run = run_program(
        "train_classifier",
        arguments(images, out, {"model.weights=" + weights_, "model.new_head=true", "optim.lr=1e-12", "epochs=1"}));
    ASSERT_EQ(run.exit_code, 0) << run.err;
    const train::Checkpoint last = train::load_checkpoint(out + "/last.safetensors"),
                            from = train::load_checkpoint(weights_);
    EXPECT_EQ(train::classes_of(last), names);
    EXPECT_EQ(last.weights.at("layers.1.weight").size(0), static_cast<int64_t>(names.size()));
    const auto a = last.weights.at("layers.0.weight").to_vector<double>(),
               b = from.weights.at("layers.0.weight").to_vector<double>();
    ASSERT_EQ(a.size(), b.size());
    for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], 1e-6);
    run = run_program("train_classifier", {"--out", out, "--resume", "--threads", "1", "--set", "epochs=2"});
    EXPECT_EQ(run.exit_code, 0) << run.err;
    EXPECT_EQ(train::classes_of(train::load_checkpoint(out + "/last.safetensors")), names);
  }
  run = run_program("train_classifier", arguments(data, other, {"model.new_head=true"}));
  EXPECT_EQ(run.exit_code, 2);
  EXPECT_EQ(run.err, "train_classifier: [config] expected model.weights with model.new_head, got none\n");
}

// A teacher that has the classes in another order teaches the same.
TEST_F(Classes, ATeacherTellsOfThemByName) {
  const auto taught = [&](const std::string& teacher, const std::string& out) {
    return run_program("train_classifier", arguments(all_, out,
                                                     {"model.hidden=[8,8]", "epochs=2", "bitnet.enabled=true",
                                                      "bitnet.distill.teacher=" + teacher}));
  };
  const train::Checkpoint teacher = train::load_checkpoint(weights_);
  train::Checkpoint turned = teacher, lacking = teacher;
  turned.metadata[train::meta::kClasses] = train::to_text(Names{"cat", "ant", "bee"});
  for (const char* name : {"layers.1.weight", "layers.1.bias"}) {
    const Tensor& rows = teacher.weights.at(name);
    turned.weights.set(name, index_select(rows, 0, tensor(std::vector<int64_t>{2, 0, 1}, {3})));
  }
  lacking.metadata[train::meta::kClasses] = train::to_text(Names{"ant", "bee", "dog"});
  train::save_checkpoint(directory_ / "turned.safetensors", turned);
  train::save_checkpoint(directory_ / "lacking.safetensors", lacking);
  const std::string a = directory_ / "a", b = directory_ / "b";
  ProcessResult run = taught(weights_, a);
  ASSERT_EQ(run.exit_code, 0) << run.err;
  run = taught(directory_ / "turned.safetensors", b);
  ASSERT_EQ(run.exit_code, 0) << run.err;
  const io::TensorMap left = train::load_checkpoint(a + "/last.safetensors").weights,
                      right = train::load_checkpoint(b + "/last.safetensors").weights;
  for (const auto& [name, tensor] : left) {
    const auto x = tensor.to_vector<double>(), y = right.at(name).to_vector<double>();
    for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(x[i], y[i], 1e-4) << name;
  }
  run = taught(directory_ / "lacking.safetensors", directory_ / "c");
  EXPECT_EQ(run.exit_code, 1);
  EXPECT_EQ(run.err, concat("train_classifier: [classes] expected classes of ", directory_ / "lacking.safetensors",
                            " (\"ant\", \"bee\", \"dog\") alone, got also \"cat\" in the model\n"));
}

// Tokens are a language model's classes: a tokenizer of the same size is another one all the same.
TEST(Tokenizers, OfWeightsAndTeachersAreTheRuns) {
  TemporaryDirectory directory;
  std::string one, two;
  for (int i = 0; i < 60; ++i) one += "the cat sat on the mat.\n", two += "quick zebras jump over dogs!\n";
  std::ofstream(directory / "one.txt") << one;
  std::ofstream(directory / "two.txt") << two;
  const auto train = [&](const char* text, const std::string& out, const Arguments& more) {
    Arguments a{"--data",
                directory / text,
                "--out",
                directory / out,
                "--threads",
                "1",
                "--set",
                "model.hidden_size=16",
                "model.layers=1",
                "model.heads=2",
                "data.context=8",
                "data.batch_size=2",
                "steps=2",
                "eval_every=2",
                "schedule.warmup_steps=0",
                "sample.tokens=4",
                "tokenizer.kind=bpe",
                "tokenizer.vocab_size=262"};
    a.insert(a.end(), more.begin(), more.end());
    return run_program("train_lm", a);
  };
  ASSERT_EQ(train("one.txt", "a", {}).exit_code, 0);
  const std::string weights = directory / "a/last.safetensors";
  const std::string sentence =
      concat("[load_language_model] expected the tokenizer that lies beside '", weights, "', got another one: 'bpe'");
  const ProcessResult other = train("two.txt", "b", {"model.weights=" + weights});
  EXPECT_EQ(other.exit_code, 1);
  EXPECT_EQ(other.err, "train_lm: " + sentence + "\n");
  const ProcessResult taught = train("two.txt", "c", {"bitnet.enabled=true", "bitnet.distill.teacher=" + weights});
  EXPECT_EQ(taught.exit_code, 1);
  EXPECT_EQ(taught.err, "train_lm: " + sentence + "\n");
  EXPECT_EQ(train("one.txt", "d", {"bitnet.enabled=true", "bitnet.distill.teacher=" + weights}).exit_code, 0);
}

}  // namespace
}  // namespace tern::testing
