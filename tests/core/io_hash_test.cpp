#include <gtest/gtest.h>

#include <tern/core/io/hash.h>

namespace tern::testing {
namespace {

// What xxh64sum (xxHash 0.8) prints for these texts.
TEST(Hash64, KnownValues) {
  EXPECT_EQ(io::hex(io::hash64("")), "ef46db3751d8e999");
  EXPECT_EQ(io::hex(io::hash64("a")), "d24ec4f1a98c6e5b");
  EXPECT_EQ(io::hex(io::hash64("abc")), "44bc2cf5ad770999");
  EXPECT_EQ(io::hex(io::hash64("abcdefghijklmnopqrstuvwxyz0123456789")), "64f23ecf1609b766");
  EXPECT_EQ(io::hex(io::hash64("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789")), "fd5e2ce9520872dd");
}

TEST(Hash64, PiecesDoNotMatter) {
  std::string text;
  for (int i = 0; i < 200; ++i) text += static_cast<char>(i * 37);
  for (size_t length = 0; length <= text.size(); ++length) {
    const std::string_view all = std::string_view(text).substr(0, length);
    for (const size_t piece : {size_t{1}, size_t{7}, size_t{31}, size_t{33}}) {
      io::Hash64 hash(5);
      for (size_t at = 0; at < length; at += piece) hash.add(all.substr(at, piece));
      ASSERT_EQ(hash.value(), io::hash64(all, 5)) << length << " bytes by " << piece;
    }
  }
}

TEST(Hash64, SizedTextsCannotBeConfused) {
  io::Hash64 one, other;
  one.add_sized("ab");
  one.add_sized("c");
  other.add_sized("a");
  other.add_sized("bc");
  EXPECT_NE(one.value(), other.value());
}

}  // namespace
}  // namespace tern::testing
