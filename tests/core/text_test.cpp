#include <gtest/gtest.h>

#include <tern/core/text.h>

namespace tern {
namespace {

TEST(Text, EditDistance) {
  EXPECT_EQ(edit_distance("", ""), 0u);
  EXPECT_EQ(edit_distance("epochs", "epochs"), 0u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("abc", ""), 3u);
  EXPECT_EQ(edit_distance("lr", "lrr"), 1u);
  EXPECT_EQ(edit_distance("lr", "ls"), 1u);
  EXPECT_EQ(edit_distance("epohcs", "epochs"), 1u) << "swapped neighbours are one edit";
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  EXPECT_EQ(edit_distance("ab", "ba"), edit_distance("ba", "ab"));
}

TEST(Text, PatternsMatchWholeTexts) {
  EXPECT_TRUE(glob_matches("layer?.*.conv1", "layer1.0.conv1"));
  EXPECT_TRUE(glob_matches("layer1.*.weight", "layer1.0.conv1.weight"));
  EXPECT_FALSE(glob_matches("layer1.*.weight", "layer2.0.conv1.weight"));
  EXPECT_TRUE(glob_matches("conv1", "conv1"));
  EXPECT_FALSE(glob_matches("conv1", "layer1.0.conv1"));
  EXPECT_TRUE(glob_matches("*conv1", "layer1.0.conv1"));
  EXPECT_FALSE(glob_matches("conv1", "conv10"));
  EXPECT_TRUE(glob_matches("a*b", "aXbXb"));
  EXPECT_TRUE(glob_matches("*ab*ab", "abxab"));
  EXPECT_TRUE(glob_matches("a?c", "abc"));
  EXPECT_FALSE(glob_matches("a?c", "ac"));
  EXPECT_TRUE(glob_matches("*", ""));
  EXPECT_FALSE(glob_matches("?", ""));
  EXPECT_FALSE(glob_matches("", "a"));
}

}  // namespace
}  // namespace tern
