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

}  // namespace
}  // namespace tern
