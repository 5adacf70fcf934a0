#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/core/io/bytes.h>
#include <tern/core/io/json.h>

#include "core/io_support.h"

namespace tern {
namespace {

using io::Json;

Json parse(std::string_view text, const io::JsonLimits& limits = {}) {
  return Json::parse("test", "f", text, limits);
}
std::string refused_json(std::string_view text, const io::JsonLimits& limits = {}) {
  return sentence_of<FormatError>([&] { static_cast<void>(parse(text, limits)); });
}

TEST(Json, ReadsEveryKind) {
  const Json v = parse(R"( {"n": null, "t": true, "i": -12, "d": 1.5e2, "s": "a\u00e9\n", "a": [1, [], {}]} )");
  EXPECT_TRUE(v.at("n").is_null());
  EXPECT_TRUE(v.at("t").as_bool());
  EXPECT_EQ(v.at("i").as_int(), -12);
  EXPECT_EQ(v.at("i").as_number(), -12.0);
  EXPECT_EQ(v.at("d").as_number(), 150.0);
  EXPECT_EQ(v.at("s").as_string(), "a\xc3\xa9\n");
  EXPECT_EQ(v.at("a").size(), 3u);
  EXPECT_TRUE(v.at("a")[1].is_array());
  EXPECT_EQ(v.members()[3].first, "d");  // the order stays
  EXPECT_EQ(v.find("x"), nullptr);
}

TEST(Json, IntegersKeepAllTheirBits) {
  EXPECT_EQ(parse("9223372036854775807").as_int(), std::numeric_limits<int64_t>::max());
  EXPECT_EQ(parse("-9223372036854775808").as_int(), std::numeric_limits<int64_t>::min());
  EXPECT_EQ(parse("9223372036854775808").kind(), Json::Kind::kNumber);
  EXPECT_EQ(parse("1.0").kind(), Json::Kind::kNumber);
}

TEST(Json, WritesWhatItReads) {
  Json v;
  v["name"] = "quo\"te\\ \t \x01 \x7f \xc3\xa9";
  v["list"] = Json::array({1, 2.5, nullptr, false});
  v["inner"]["deep"] = std::numeric_limits<int64_t>::min();
  EXPECT_EQ(v.dump(),
            "{\"name\":\"quo\\\"te\\\\ \\t \\u0001 \\u007f \xc3\xa9\",\"list\":[1,2.5,null,false],"
            "\"inner\":{\"deep\":-9223372036854775808}}");
  EXPECT_EQ(parse(v.dump()), v);
  EXPECT_EQ(parse(v.dump(2)), v);
  EXPECT_EQ(Json(std::vector<int>{1, 2}).dump(), "[1,2]");
  EXPECT_EQ(parse(R"({"a": {"b": 1}, "c": {}})").dump(2), "{\n  \"a\": {\n    \"b\": 1\n  },\n  \"c\": {}\n}");
}

TEST(Json, DoublesReadBackEqual) {
  std::mt19937_64 random(5);
  for (int i = 0; i < 20000; ++i) {
    const auto v = std::bit_cast<double>(random());
    if (!std::isfinite(v)) continue;
    const Json back = parse(Json(v).dump());
    EXPECT_EQ(back.kind(), Json::Kind::kNumber) << v;
    EXPECT_EQ(std::bit_cast<uint64_t>(back.as_number()), std::bit_cast<uint64_t>(v)) << v;
  }
  EXPECT_EQ(Json(3.0).dump(), "3.0");
  EXPECT_EQ(Json(0.1).dump(), "0.1");
  EXPECT_EQ(Json(std::nan("")).dump(), "null");
  EXPECT_EQ(Json(1.0f / 3).as_number(), double{1.0f / 3});
}

TEST(Json, BytesThatAreNotUtf8AreReplaced) {
  EXPECT_EQ(Json("a\xff\xc3").dump(), "\"a\xEF\xBF\xBD\xEF\xBF\xBD\"");
}

TEST(Json, EditsObjects) {
  Json v = parse(R"({"a": 1, "b": 2})");
  v["a"] = 3;
  EXPECT_TRUE(v.erase("b"));
  EXPECT_FALSE(v.erase("b"));
  EXPECT_EQ(v.dump(), "{\"a\":3}");
  Json list;
  list.push_back(1);
  EXPECT_EQ(list.dump(), "[1]");
}

TEST(Json, ErrorsNameTheirPlace) {
  EXPECT_EQ(refused_json("{\n  \"a\": 1,\n  \"a\": 2}"),
            "[test] expected valid JSON in 'f', got an error at line 3, column 5: the key 'a' stands twice in one "
            "object");
  EXPECT_TRUE(
      refused_json("[1,\n 2,]").starts_with("[test] expected valid JSON in 'f', got an error at line 2, column 4: "));
  EXPECT_EQ(refused_json("[\"\xc0\x80\"]"),
            "[test] expected valid JSON in 'f', got an error at line 1, column 3: invalid UTF-8");
  EXPECT_EQ(refused_json(std::string_view("{}\0", 3)),
            "[test] expected valid JSON in 'f', got an error at line 1, column 3: a zero byte");
}

TEST(Json, IsStrict) {
  for (const char* text :
       {"",      " ",    "nul",        "NaN",     "Infinity", "1e999",  "01",      "+1",          ".5", "1.",     "'a'",
        "{a:1}", "[1,]", "{\"a\":1,}", "// c\n1", "1 2",      "\"\n\"", "\"\\x\"", "\"\\ud800\"", "[",  "{\"a\"", "]"})
    EXPECT_FALSE(refused_json(text).empty()) << text;
}

TEST(Json, DepthAndCountAreLimited) {
  EXPECT_TRUE(parse(std::string(64, '[') + std::string(64, ']')).is_array());
  EXPECT_TRUE(
      refused_json(std::string(65, '[') + std::string(65, ']')).ends_with("more than 64 levels of arrays and objects"));
  EXPECT_FALSE(refused_json(std::string(5'000'000, '[')).empty());
  EXPECT_FALSE(refused_json([] {
                 std::string text;
                 for (int i = 0; i < 100000; ++i) text += "{\"a\":";
                 return text;
               }())
                   .empty());
  EXPECT_TRUE(refused_json("[1,2,3]", {.max_depth = 4, .max_values = 3}).ends_with("more than 3 values"));
}

TEST(Json, ElementsBeyondTheEndAreRefused) {
  const Json list = Json::array({1, 2});
  EXPECT_EQ(list[1].as_int(), 2);
  EXPECT_EQ(sentence_of<FormatError>([&] { (void)list[2]; }),
            "[json] expected an element 2 of an array, got one of 2 elements");
}

TEST(Json, WrongKindsAreNamed) {
  EXPECT_EQ(sentence_of<FormatError>([] { static_cast<void>(Json(1.5).as_int()); }),
            "[json] expected an integer, got a number");
  EXPECT_EQ(sentence_of<FormatError>([] { static_cast<void>(Json("x").items()); }),
            "[json] expected an array, got a string");
  EXPECT_EQ(sentence_of<FormatError>([] { static_cast<void>(parse("{\"a\":1}").at("b")); }),
            "[json] expected a member 'b', got none among 1");
  EXPECT_EQ(sentence_of<ValueError>([] {
              static_cast<void>(Json::object({{"a", 1}, {"a", 2}}));
            }),
            "[json] expected every key once, got 'a' twice");
}

TEST(Json, RandomChangesAreReadOrRefused) {
  const std::string whole = R"({"a": [1, 2.5, "x\u00e9\n", null, true], "b": {"c": -3e-2, "d": {}}})";
  std::mt19937 random(9);
  for (int round = 0; round < 20000; ++round) {
    std::string text = whole;
    for (unsigned changes = 1 + random() % 4; changes > 0; --changes) {
      const size_t at = random() % text.size();
      text[at] = random() % 2 ? static_cast<char>(random()) : "0123456789[]{},:\"\\eu"[random() % 20];
    }
    try {
      const Json v = parse(text);
      EXPECT_EQ(parse(v.dump()), v) << text;  // what is read can be written
    } catch (const FormatError&) {
    }
  }
}

TEST(Utf8, ValidPrefix) {
  EXPECT_TRUE(io::is_valid_utf8("plain \xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80 \xf4\x8f\xbf\xbf"));
  for (const char* bad :
       {"\x80", "\xc0\x80", "\xc1\xbf", "\xe0\x80\x80", "\xe0\x9f\xbf", "\xed\xa0\x80", "\xf0\x8f\xbf\xbf",
        "\xf4\x90\x80\x80", "\xf5\x80\x80\x80", "\xc3", "\xe2\x82", "\xf0\x9f\x98", "\xc3(", "\xff"}) {
    EXPECT_EQ(io::valid_utf8_prefix(std::string("ab") + bad + "c"), 2u) << bad;
    EXPECT_EQ(io::valid_utf8_prefix(bad), 0u) << bad;
  }
}

TEST(CheckedIntegers, NoticeOverflow) {
  EXPECT_EQ(io::checked_mul<uint64_t>(1ull << 32, 1ull << 31), 1ull << 63);
  EXPECT_EQ(io::checked_mul<uint64_t>(1ull << 32, 1ull << 32), std::nullopt);
  EXPECT_EQ(io::checked_add<uint64_t>(~0ull, 1), std::nullopt);
  EXPECT_EQ(io::checked_add<int64_t>(-3, 2), -1);
  EXPECT_EQ((io::checked_cast<int32_t>(int64_t{1} << 31)), std::nullopt);
  EXPECT_EQ((io::checked_cast<uint64_t>(int64_t{-1})), std::nullopt);
  EXPECT_EQ((io::checked_cast<uint8_t>(uint64_t{255})), uint8_t{255});
}

TEST(ByteReader, StaysInsideItsBytes) {
  const std::string text("\1\0\0\0abc", 7);
  io::ByteReader reader("test", "f", io::bytes_of(text));
  EXPECT_EQ(reader.read<int32_t>("a number"), 1);
  EXPECT_EQ(sentence_of<FormatError>([&] { static_cast<void>(reader.read<float>("a score")); }),
            "[test] expected a score (4 bytes) at byte 4 of 'f', got the end of the file after 7 bytes");
  EXPECT_EQ(sentence_of<FormatError>([&] { reader.take(~size_t{0}, "x"); }),
            "[test] expected x (18446744073709551615 bytes) at byte 4 of 'f', got the end of the file after 7 bytes");
  EXPECT_EQ(reader.take_text(2, "a word"), "ab");
  EXPECT_EQ(sentence_of<FormatError>([&] { reader.expect_end(); }),
            "[test] expected the end of 'f' at byte 6, got 1 more bytes");
  reader.take(1, "the rest");
  reader.expect_end();
}

}  // namespace
}  // namespace tern
