#include <gtest/gtest.h>

#include <tern/core/error.h>
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

// What a terminal would act on must not reach it.
TEST(Text, ControlCharactersAreShownAsNumbers) {
  EXPECT_EQ(printable("conv1.weight \xc3\xa9 \xe6\xbc\xa2 \xf0\x9f\x98\x80 \\"),
            "conv1.weight \xc3\xa9 \xe6\xbc\xa2 \xf0\x9f\x98\x80 \\");
  EXPECT_EQ(printable("a\x1b[2Jb\n\x7f"), "a\\x1b[2Jb\\x0a\\x7f");
  EXPECT_EQ(printable(std::string_view("\0\t\r", 3)), "\\x00\\x09\\x0d");
  EXPECT_EQ(printable("\xc2\x9b"
                      "31m\xc2\xa0"),
            "\\x9b31m\xc2\xa0");
  EXPECT_EQ(printable("\xe2\x80\xae"
                      "txt.exe\xe2\x80\xa8\xe2\x81\xa6"),
            "\\u202etxt.exe\\u2028\\u2066");
  for (const char* broken : {"\xc2", "\xff", "\x80", "\xed\xa0\x80", "\xc0\xaf"}) {
    const std::string shown = printable(concat("<", broken, ">"));
    EXPECT_EQ(shown.find_first_not_of("<>\\x0123456789abcdef"), std::string::npos) << shown;
    EXPECT_EQ(shown.size(), 2 + 4 * std::string_view(broken).size());
  }
}

TEST(Text, MessagesAreOneLineOfBoundedLength) {
  const std::string short_one = "[op] expected 'a', got 'b' (in layer1.0)";
  EXPECT_EQ(one_line(short_one), short_one);
  EXPECT_EQ(one_line("two\nlines"), "two\\x0alines");
  const std::string name(1 << 20, 'n');
  const std::string message = one_line(concat("[op] expected a tensor '", name, "' in 'file', got none"));
  EXPECT_LT(message.size(), 700u);
  EXPECT_TRUE(message.starts_with("[op] expected a tensor 'nnn"));
  EXPECT_TRUE(message.ends_with("nnn' in 'file', got none"));
  EXPECT_NE(message.find("[... 1048"), std::string::npos) << message;
  std::string many, wide;
  for (int i = 0; i < 100'000; ++i) many += concat(" name", i), wide += "\xe6\xbc\xa2";
  EXPECT_LE(one_line(many).size(), kMaxLine);
  EXPECT_TRUE(one_line(many).ends_with(" name99999"));
  EXPECT_EQ(one_line(many), one_line(one_line(many)));
  EXPECT_EQ(one_line(message), message);
  const std::string cut = one_line(wide);
  EXPECT_LE(cut.size(), kMaxWord);
  EXPECT_EQ(cut, printable(cut)) << "no character is cut in two";
  EXPECT_LE(one_line(std::string(1 << 20, '\x1b')).size(), kMaxWord);
  for (size_t most = 100; most < 112; ++most) EXPECT_LE(without_middle(wide, most).size(), most);
}

TEST(Error, IsOneLineWhateverNamesItHolds) {
  const std::string name = "w\x1b]0;title\x07\nline\xc2\x9b";
  ValueError error(concat("[op] expected 'a', got '", name, "'"));
  EXPECT_STREQ(error.what(), "[op] expected 'a', got 'w\\x1b]0;title\\x07\\x0aline\\x9b'");
  EXPECT_EQ(error.message(), error.what());
  error.set_module_path("layer\n1");
  EXPECT_TRUE(std::string(error.what()).ends_with("' (in layer\\x0a1)")) << error.what();
  const FormatError again(error.message());
  EXPECT_EQ(again.message(), error.message()) << "once is enough";
  EXPECT_LT(std::string(IoError(std::string(1 << 20, 'n')).what()).size(), 600u);
  EXPECT_STREQ(ValueError("caf\xc3\xa9").what(), "caf\xc3\xa9");
}

}  // namespace
}  // namespace tern
