#include <fstream>
#include <map>

#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/core/random.h>
#include <tern/data/text/byte_pair.h>

#include "message_of.h"
#include "temporary_directory.h"

namespace tern::text {
namespace {

using test::message_of;
using Ids = std::vector<int64_t>;
using Merges = std::vector<std::pair<int64_t, int64_t>>;

// Words of one to eight of the first letters, with a space between.
std::vector<std::string> random_words(Generator& random, int64_t count, uint64_t letters) {
  std::vector<std::string> words;
  for (int64_t i = 0; i < count; ++i) {
    std::string word = i > 0 ? " " : "";
    for (uint64_t n = random.below(8) + 1; n > 0; --n) word += static_cast<char>('a' + random.below(letters));
    words.push_back(std::move(word));
  }
  return words;
}

std::string joined(const std::vector<std::string>& words) {
  std::string text;
  for (const std::string& word : words) text += word;
  return text;
}

// Counts everything anew for each merge.
Merges by_the_book(const std::vector<std::string>& words, int64_t merges) {
  std::vector<Ids> ids;
  for (const std::string& word : words) {
    ids.emplace_back();
    for (const char c : word) ids.back().push_back(static_cast<unsigned char>(c));
  }
  Merges out;
  for (int64_t id = 257; id < 257 + merges; ++id) {
    std::map<std::pair<int64_t, int64_t>, int64_t> counts;
    for (const Ids& word : ids)
      for (size_t i = 0; i + 1 < word.size(); ++i) ++counts[{word[i], word[i + 1]}];
    std::pair<int64_t, int64_t> best;
    int64_t most = 0;
    for (const auto& [pair, count] : counts)
      if (count > most) best = pair, most = count;
    out.push_back(best);
    for (Ids& word : ids)
      for (size_t i = 0; i + 1 < word.size(); ++i)
        if (word[i] == best.first && word[i + 1] == best.second) {
          word[i] = id;
          word.erase(word.begin() + static_cast<std::ptrdiff_t>(i) + 1);
        }
  }
  return out;
}

Merges merges_of(const BytePairTokenizer& tokenizer) {
  const io::Json json = tokenizer.to_json();
  Merges out;
  for (size_t i = 0; i + 1 < json.at("merges").size(); i += 2)
    out.emplace_back(json.at("merges")[i].as_int(), json.at("merges")[i + 1].as_int());
  return out;
}

TEST(BytePair, MergesWhatStandsTogetherMostOften) {
  // "aaab", " aaab" and " ab": aa four times, then ab three times, then both twice.
  const std::string text = "aaab aaab ab";
  const auto t = BytePairTokenizer::train(text, 260);
  EXPECT_EQ(merges_of(t), (Merges{{'a', 'a'}, {'a', 'b'}, {257, 258}}));
  EXPECT_EQ(t.piece(259), "aaab");
  EXPECT_EQ(t.encode(text), (Ids{259, ' ', 259, ' ', 258}));
  EXPECT_EQ(message_of<ValueError>([&] { (void)BytePairTokenizer::train(text, 261); }),
            "[byte_pair] expected a text with pairs for 261 tokens, got one that is enough for 260");
  EXPECT_EQ(message_of<ValueError>([&] { (void)BytePairTokenizer::train(text, 256); }),
            "[byte_pair] expected a vocabulary of 257 to 65536 tokens, got 256");
}

TEST(BytePair, TrainsAsCountingEverythingAnewDoes) {
  Generator random(7);
  for (const uint64_t letters : {1, 2, 3, 6}) {
    const auto words = random_words(random, 300, letters);
    const int64_t merges = letters == 1 ? 5 : 40;
    EXPECT_EQ(merges_of(BytePairTokenizer::train(joined(words), 257 + merges)), by_the_book(words, merges)) << letters;
  }
}

TEST(BytePair, IsLosslessOnAnyBytes) {
  Generator random(3);
  const auto t = BytePairTokenizer::train(joined(random_words(random, 500, 4)) + "  123 123, \n\n caf\xC3\xA9", 330);
  std::vector<std::string> texts{"",
                                 " ",
                                 "   ",
                                 "\n\n  abc  ",
                                 "caf\xC3\xA9 \xF0\x9F\x98\x80",
                                 std::string("\0a\0", 3),
                                 std::string(1000, 'a'),
                                 std::string(500, ' ') + "x"};
  for (int i = 0; i < 20; ++i) {
    std::string bytes;
    for (uint64_t n = random.below(400); n > 0; --n) bytes += static_cast<char>(random.below(256));
    texts.push_back(bytes);
    texts.push_back(joined(random_words(random, 50, 5)));
  }
  const BytePairTokenizer plain;
  EXPECT_EQ(plain.vocab_size(), 257);
  for (const std::string& text : texts) {
    EXPECT_EQ(t.decode(t.encode(text)), text);
    const Ids bytes = plain.encode(text);
    EXPECT_EQ(bytes.size(), text.size());
    EXPECT_EQ(plain.decode(bytes), text);
    EXPECT_LE(t.encode(text).size(), text.size());
  }
  EXPECT_EQ(t.piece(BytePairTokenizer::kEndOfText), "");
  EXPECT_THROW((void)t.piece(330), ValueError);
  EXPECT_THROW((void)t.piece(-1), ValueError);
}

TEST(BytePair, PiecesStayWithinWords) {
  std::string text;
  for (int i = 0; i < 50; ++i) text += "the cat, 42!\n";
  const auto t = BytePairTokenizer::train(text, 264);
  for (int64_t id = 257; id < t.vocab_size(); ++id) {
    const std::string& piece = t.piece(id);
    bool within = false;
    for (const std::string word : {"the", " cat", " 42"}) within = within || word.find(piece) != std::string::npos;
    EXPECT_TRUE(within) << piece;
  }
  // A text without spaces costs no more than another one, and its pieces have an end.
  const auto one = BytePairTokenizer::train(std::string(100'000, 'x'), 264);
  EXPECT_EQ(one.piece(263).size(), 128u);
  EXPECT_EQ(one.encode(std::string(100'000, 'x')).size(), 100'000 / 128 + 1u);
}

TEST(BytePair, FilesBringItBack) {
  testing::TemporaryDirectory directory;
  Generator random(5);
  const std::string text = joined(random_words(random, 400, 5));
  const auto a = BytePairTokenizer::train(text, 300), b = BytePairTokenizer::train(text, 300);
  EXPECT_EQ(a.to_json(), b.to_json()) << "the same text, the same tokenizer";
  a.save(directory / "t.json");
  const auto loaded = BytePairTokenizer::load(directory / "t.json");
  EXPECT_EQ(loaded.to_json(), a.to_json());
  EXPECT_EQ(loaded.encode(text), a.encode(text));
  EXPECT_THROW((void)BytePairTokenizer::load(directory / "missing.json"), IoError);
}

TEST(BytePair, RefusesBrokenFiles) {
  const auto refused = [](const std::string& text) {
    return message_of<FormatError>(
        [&] { (void)BytePairTokenizer::from_json(io::Json::parse("test", "t", text), "t.json"); });
  };
  const std::string head = R"({"tern.tokenizer": "byte_pair", "version": 1, "merges": )";
  EXPECT_EQ(refused("[]"), "[byte_pair] expected a JSON object in 't.json', got another");
  EXPECT_EQ(refused(R"({"version": 1, "merges": []})"),
            "[byte_pair] expected \"tern.tokenizer\": \"byte_pair\" in 't.json', got another");
  EXPECT_EQ(refused(R"({"tern.tokenizer": "byte_pair", "version": 2, "merges": []})"),
            "[byte_pair] expected version 1 in 't.json', got another");
  EXPECT_EQ(refused(head + "[1]}"),
            "[byte_pair] expected \"merges\", an even number of tokens in 't.json', got another");
  EXPECT_EQ(refused(head + "[1, 2.5]}"), "[byte_pair] expected whole numbers as merges in 't.json', got another");
  EXPECT_EQ(refused(head + "[97, 257]}"),
            "[byte_pair] expected merge 0 of tokens below 257 other than 256, got 257 in 't.json'");
  EXPECT_EQ(refused(head + "[97, 256]}"),
            "[byte_pair] expected merge 0 of tokens below 257 other than 256, got 256 in 't.json'");
  EXPECT_EQ(refused(head + "[97, -1]}"),
            "[byte_pair] expected merge 0 of tokens below 257 other than 256, got -1 in 't.json'");
  EXPECT_EQ(refused(head + "[97, 98, 97, 98]}"),
            "[byte_pair] expected every pair once, got 97 and 98 again in merge 1 in 't.json'");
  std::string doubling = "97, 97";  // would be 2^40 bytes
  for (int i = 0; i < 39; ++i) doubling += concat(", ", 257 + i, ", ", 257 + i);
  EXPECT_EQ(refused(head + "[" + doubling + "]}"),
            "[byte_pair] expected pieces of at most 128 bytes, got 256 in merge 7 in 't.json'");
}

}  // namespace
}  // namespace tern::text
