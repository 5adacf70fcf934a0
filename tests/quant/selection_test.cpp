// How patterns choose layers, and what is said of those that choose none.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/nn/models/registry.h>
#include <tern/quant/selection.h>

#include "message_of.h"

namespace tern::quant {
namespace {

TEST(Patterns, AreReadByTheirRule) {
  struct Case {
    MatchRule rule;
    std::string pattern, path, type;
    bool hit;
  };
  const std::vector<Case> cases{
      {MatchRule::kGlob, "conv1", "conv1", "Conv2d", true},
      {MatchRule::kGlob, "conv1", "layer1.0.conv1", "Conv2d", false},
      {MatchRule::kGlob, "*.conv?", "layer1.0.conv1", "Conv2d", true},
      {MatchRule::kGlob, "Conv2d", "conv1", "Conv2d", false},
      {MatchRule::kName, "up_proj", "model.layers.0.mlp.up_proj", "Linear", true},
      {MatchRule::kName, "mlp", "model.layers.0.mlp.up_proj", "Linear", false},
      {MatchRule::kName, "Linear", "model.layers.0.mlp.up_proj", "Linear", true},
      {MatchRule::kName, "model.layers.0.*", "model.layers.0.mlp.up_proj", "Linear", true},
      {MatchRule::kSubstring, "conv1", "layer1.0.conv1", "Conv2d", true},
      {MatchRule::kSubstring, "conv?", "layer1.0.conv1", "Conv2d", false},
  };
  for (const Case& c : cases) {
    Patterns patterns({c.pattern}, c.rule);
    EXPECT_EQ(patterns.match(c.path, c.type), c.hit ? c.pattern : "") << c.pattern << " " << c.path;
  }
}

TEST(Patterns, OfALayerInSeveralPlacesOnePathIsEnough) {
  Patterns patterns({"b", "a", "c"});
  EXPECT_EQ(patterns.match(std::vector<std::string>{"x", "a", "b"}), "b") << "the first pattern, not the first path";
  EXPECT_EQ(patterns.match(std::vector<std::string>{"x"}), "");
  EXPECT_EQ(test::message_of<ValueError>([&] { patterns.check_all_used("convert", "exclusions that match a layer"); }),
            "[convert] expected exclusions that match a layer, got \"c\", which matches none")
      << "a and b are used";
}

TEST(Patterns, RefuseAnEmptyOne) {
  EXPECT_THROW(Patterns({"a", ""}), ValueError);
}

TEST(HeadPaths, AreTheModelsOwnAndTheUsualNames) {
  const auto heads = [](const char* model) { return head_paths(*nn::models::create(model, io::Json::object())); };
  EXPECT_EQ(heads("resnet20"), std::vector<std::string>{"linear"});
  const auto vit = heads("vit");
  EXPECT_NE(std::find(vit.begin(), vit.end(), "head"), vit.end());
}

TEST(LeftOutText, ListsPathsAndReasons) {
  EXPECT_EQ(to_string(std::vector<LeftOut>{}), "0");
  EXPECT_EQ(to_string(std::vector<LeftOut>{{"a", "a head"}, {"b.c", "excluded by \"c\""}}),
            "2: a (a head), b.c (excluded by \"c\")");
}

}  // namespace
}  // namespace tern::quant
