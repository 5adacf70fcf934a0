#include <gtest/gtest.h>

#include <tern/nn/models/config_reader.h>

#include "message_of.h"

namespace tern::nn::models {
namespace {

struct Settings {
  int64_t depth = 20;
  double ratio = 4;
  bool bias = true;
  std::string name = "plain";
  std::vector<int64_t> hidden = {1};
};

Settings read(const char* text) {
  Settings s;
  const io::Json config = io::Json::parse("test", "text", text);
  ConfigReader reader("Net", config);
  reader.read("depth", s.depth, 1, 100);
  reader.read("ratio", s.ratio, 0, 8);
  reader.read("bias", s.bias);
  reader.read("name", s.name);
  reader.read("hidden", s.hidden, 1);
  reader.finish();
  return s;
}

std::string message_of(const char* text) {
  return test::message_of<ValueError>([&] { read(text); });
}

TEST(ModelConfig, ReadsWhatIsThereAndKeepsTheRest) {
  const Settings s = read(R"({"depth": 32, "hidden": [5, 6], "bias": null})");
  EXPECT_EQ(s.depth, 32);
  EXPECT_EQ(s.hidden, (std::vector<int64_t>{5, 6}));
  EXPECT_EQ(s.ratio, 4);
  EXPECT_TRUE(s.bias);
  EXPECT_EQ(read("null").depth, 20);
}

TEST(ModelConfig, RefusesTheRestWithOneSentence) {
  EXPECT_EQ(message_of(R"({"dept": 32})"), "[Net] expected a known setting, got 'dept' (nearest: depth)");
  EXPECT_EQ(message_of(R"({"depth": 0})"), "[Net] expected depth in [1, 100], got 0");
  EXPECT_EQ(message_of(R"({"depth": 2.5})"), "[Net] expected an integer for depth, got 2.5");
  EXPECT_EQ(message_of(R"({"ratio": "x"})"), "[Net] expected a number for ratio, got \"x\"");
  EXPECT_EQ(message_of(R"({"bias": 1})"), "[Net] expected true or false for bias, got 1");
  EXPECT_EQ(message_of(R"({"name": 1})"), "[Net] expected a text for name, got 1");
  EXPECT_EQ(message_of(R"({"hidden": [0]})"), "[Net] expected integers of at least 1 in hidden, got [0]");
  EXPECT_EQ(message_of("[1]"), "[Net] expected the configuration as an object, got an array");
}

TEST(ModelConfig, FindsTheNearestName) {
  EXPECT_EQ(nearest_name("resnet2", {"vit", "resnet20", "resnet110"}), "resnet20");
  EXPECT_EQ(nearest_name("x", {}), "");
}

}  // namespace
}  // namespace tern::nn::models
