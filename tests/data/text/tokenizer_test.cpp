#include <cmath>
#include <cstdlib>
#include <cstring>

#include <tern/core/error.h>
#include <tern/core/io/bytes.h>
#include <tern/core/io/file.h>
#include <tern/data/text/token_windows.h>
#include <tern/data/text/tokenizer.h>

#include "data/support.h"

namespace tern {
namespace {

using text::Tokenizer;

struct Piece {
  std::string text;
  float score;
};

std::string file_of(const std::vector<Piece>& pieces, int32_t longest = 20) {
  std::string out(reinterpret_cast<const char*>(&longest), 4);
  for (const auto& [text, score] : pieces) {
    const auto length = static_cast<int32_t>(text.size());
    out.append(reinterpret_cast<const char*>(&score), 4);
    out.append(reinterpret_cast<const char*>(&length), 4);
    out += text;
  }
  return out;
}

std::vector<Piece> base() {
  std::vector<Piece> pieces{{"<unk>", 0}, {"\n<s>\n", 0}, {"\n</s>\n", 0}};
  for (int b = 0; b < 256; ++b) {
    char text[8];
    std::snprintf(text, sizeof text, "<0x%02X>", b);
    pieces.push_back({text, 0});
  }
  return pieces;
}

std::vector<Piece> toy() {
  auto pieces = base();
  // ids from 259
  for (const char* c : {" ", "a", "b", "c", "\xc3\xa9"}) pieces.push_back({c, -100});
  pieces.push_back({"ab", -1});
  pieces.push_back({"bc", -2});
  pieces.push_back({"abc", -3});
  pieces.push_back({" a", -4});
  pieces.push_back({"aa", -1});
  pieces.push_back({"abab", -1});
  return pieces;
}

Tokenizer parse(const std::vector<Piece>& pieces) {
  return Tokenizer::parse(io::bytes_of(file_of(pieces)), "f");
}

using Ids = std::vector<int64_t>;

TEST(Tokenizer, MergesTheBestPairFirstAndTheLeftmostOfEquals) {
  const Tokenizer t = parse(toy());
  const auto plain = [&](std::string_view text) { return t.encode(text, {.bos = false}); };
  EXPECT_EQ(plain("a"), (Ids{267}));              // the space in front joins
  EXPECT_EQ(plain("abc"), (Ids{259, 266}));       // ab before bc, then abc before " a"
  EXPECT_EQ(plain("aaa"), (Ids{259, 268, 260}));  // the left pair of equals
  EXPECT_EQ(plain("abab"), (Ids{259, 269}));
  EXPECT_EQ(plain(""), Ids{});
  EXPECT_EQ(t.encode(""), (Ids{1}));
  EXPECT_EQ(t.encode("a", {.bos = true, .eos = true}), (Ids{1, 267, 2}));
}

TEST(Tokenizer, CharactersWithoutATokenBecomeBytes) {
  const Tokenizer t = parse(toy());
  const auto plain = [&](std::string_view text) { return t.encode(text, {.bos = false}); };
  EXPECT_EQ(plain("\xc3\xa9"), (Ids{259, 263}));
  EXPECT_EQ(plain("\xe2\x82\xac"), (Ids{259, 3 + 0xe2, 3 + 0x82, 3 + 0xac}));
  EXPECT_EQ(plain("d\xff"), (Ids{259, 3 + 'd', 3 + 0xff}));
  EXPECT_EQ(plain(std::string_view("\0\x80", 2)), (Ids{259, 3, 3 + 0x80}));
}

TEST(Tokenizer, DecodesWhatItEncodes) {
  const Tokenizer t = parse(toy());
  std::mt19937 random(4);
  for (int round = 0; round < 300; ++round) {
    std::string text;
    for (unsigned n = random() % 30; n > 0; --n)
      text += random() % 4 ? std::string(1, "abc "[random() % 4]) : std::string(1, static_cast<char>(random()));
    EXPECT_EQ(t.decode(t.encode(text, {.bos = true, .eos = true})), text);
  }
  EXPECT_EQ(t.decode(Tokenizer::kBos, 267), "a");  // the space after the beginning is not text
  EXPECT_EQ(t.decode(5, 267), " a");
  EXPECT_EQ(t.decode(5, 3 + '\n'), "\n");
  EXPECT_EQ(t.piece(3 + '\n'), "<0x0A>");
}

// The definition, word for word: look for the best pair over the whole text, again and again.
Ids merged_slowly(const std::vector<Piece>& pieces, Ids ids) {
  const auto find = [&](const std::string& text) {
    for (size_t i = 0; i < pieces.size(); ++i)
      if (pieces[i].text == text) return static_cast<int64_t>(i);
    return int64_t{-1};
  };
  for (;;) {
    float best = -1e10f;
    int64_t best_id = -1;
    size_t best_at = 0;
    for (size_t i = 0; i + 1 < ids.size(); ++i) {
      const int64_t id = find(pieces[static_cast<size_t>(ids[i])].text + pieces[static_cast<size_t>(ids[i + 1])].text);
      if (id >= 0 && pieces[static_cast<size_t>(id)].score > best) {
        best = pieces[static_cast<size_t>(id)].score;
        best_id = id;
        best_at = i;
      }
    }
    if (best_id < 0) return ids;
    ids[best_at] = best_id;
    ids.erase(ids.begin() + static_cast<int64_t>(best_at) + 1);
  }
}

TEST(Tokenizer, AgreesWithTheSlowDefinition) {
  std::mt19937 random(8);
  for (int round = 0; round < 40; ++round) {
    auto pieces = base();
    for (const char* c : {" ", "a", "b", "c"}) pieces.push_back({c, -50});
    for (int i = 0; i < 25; ++i) {
      std::string text;
      for (unsigned n = 2 + random() % 4; n > 0; --n) text += "abc "[random() % 4];
      pieces.push_back({text, -static_cast<float>(random() % 6)});  // many equal scores, some pieces twice
    }
    const Tokenizer t = parse(pieces);
    for (int k = 0; k < 20; ++k) {
      std::string text;
      Ids ids{259};
      for (unsigned n = 1 + random() % 40; n > 0; --n) {
        const unsigned c = random() % 4;
        text += " abc"[c];
        ids.push_back(259 + static_cast<int64_t>(c));
      }
      EXPECT_EQ(t.encode(text, {.bos = false}), merged_slowly(pieces, ids)) << text;
    }
  }
}

TEST(Tokenizer, LongTextsTakeLittleTime) {
  const Tokenizer t = parse(toy());
  std::string text;
  for (int i = 0; i < 200'000; ++i) text += "abc a"[i % 5];
  EXPECT_EQ(t.decode(t.encode(text)), text);
}

std::string refusal(const std::string& file) {
  return sentence_of<FormatError>([&] { static_cast<void>(Tokenizer::parse(io::bytes_of(file), "f")); });
}

TEST(TokenizerRules, EachIsChecked) {
  EXPECT_EQ(refusal("ab"),
            "[tokenizer] expected the length of the longest piece (4 bytes) at byte 0 of 'f', got the end of the file "
            "after 2 bytes");
  for (const int32_t longest : {0, -1, 65537})
    EXPECT_EQ(refusal(file_of(toy(), longest)),
              concat("[tokenizer] expected a longest piece of 1 to 65536 bytes in 'f', got ", longest,
                     "; this may not be a tokenizer file"));
  EXPECT_EQ(refusal(file_of(toy(), 5)), "[tokenizer] expected a piece of 0 to 5 bytes for token 2 in 'f', got 6");
  auto few = base();
  few.pop_back();
  EXPECT_EQ(refusal(file_of(few)), "[tokenizer] expected at least 259 tokens in 'f', got 258");
  auto nan = toy();
  nan[7].score = std::nanf("");
  EXPECT_EQ(refusal(file_of(nan)), "[tokenizer] expected a number as score of token 7 in 'f', got NaN");
  std::string negative = file_of(toy());
  const int32_t minus = -1;
  std::memcpy(negative.data() + 8, &minus, 4);
  EXPECT_EQ(refusal(negative), "[tokenizer] expected a piece of 0 to 20 bytes for token 0 in 'f', got -1");
  EXPECT_EQ(sentence_of<IoError>([] { static_cast<void>(Tokenizer::load("no.bin")); }),
            "[tokenizer] cannot open 'no.bin': No such file or directory");
  const Tokenizer t = parse(toy());
  EXPECT_EQ(sentence_of<ValueError>([&] { static_cast<void>(t.decode(1, 270)); }),
            "[tokenizer] expected a token in [0, 270), got 270");
  EXPECT_EQ(sentence_of<ValueError>([&] { static_cast<void>(t.piece(-1)); }),
            "[tokenizer] expected a token in [0, 270), got -1");
}

TEST(Tokenizer, EveryTruncationIsRefusedOrEndsBetweenTokens) {
  const auto pieces = toy();
  const std::string whole = file_of(pieces);
  std::set<size_t> ends;  // after a token from the 259th on
  size_t at = 4;
  for (size_t i = 0; i < pieces.size(); ++i) {
    at += 8 + pieces[i].text.size();
    if (i >= 258) ends.insert(at);
  }
  for (size_t n = 0; n < whole.size(); ++n) {
    if (ends.contains(n)) {
      EXPECT_GE(Tokenizer::parse(io::bytes_of(whole.substr(0, n))).vocab_size(), 259);
    } else {
      EXPECT_FALSE(refusal(whole.substr(0, n)).empty()) << n;
    }
  }
}

TEST(Tokenizer, RandomChangesAreReadOrRefused) {
  const std::string whole = file_of(toy());
  std::mt19937 random(6);
  for (int round = 0; round < 3000; ++round) {
    std::string file = whole;
    for (unsigned changes = 1 + random() % 4; changes > 0; --changes)
      file[random() % file.size()] = static_cast<char>(random());
    try {
      const Tokenizer t = Tokenizer::parse(io::bytes_of(file));
      static_cast<void>(t.decode(t.encode("abc abab \xc3\xa9\xff")));
    } catch (const FormatError&) {
    }
  }
}

TEST(Tokenizer, TheRealFile) {
  const char* root = std::getenv("TERN_TEST_DATA");
  if (root == nullptr) GTEST_SKIP() << "TERN_TEST_DATA is not set";
  const Tokenizer t = Tokenizer::load(std::string(root) + "/pretrained/tok512.bin");
  EXPECT_EQ(t.vocab_size(), 512);
  const std::string text = io::read_file("test", std::string(root) + "/text/tinystories_sample.txt");
  const auto stories = text::split_documents(text, "<|endoftext|>");
  ASSERT_GE(stories.size(), 2000u);
  size_t predicted = 0;
  for (size_t i = 0; i < 100; ++i) {
    const auto tokens = t.encode(stories[i]);
    EXPECT_EQ(t.decode(tokens), stories[i]);
    predicted += std::min<size_t>(tokens.size(), 512) - 1;
  }
  EXPECT_EQ(predicted, 37072u);  // counted with another implementation
}

TEST(SplitDocuments, StripsAndLeavesOutEmptyOnes) {
  using Texts = std::vector<std::string>;
  EXPECT_EQ(text::split_documents(" a b \n|| c||\t||d", "||"), (Texts{"a b", "c", "d"}));
  EXPECT_EQ(text::split_documents("a||b", ""), (Texts{"a||b"}));
  EXPECT_EQ(text::split_documents(" \n", "||"), Texts{});
  EXPECT_EQ(text::split_documents("", "x"), Texts{});
  EXPECT_EQ(text::split_documents("xax", "x"), (Texts{"a"}));
}

TEST(TokenWindows, EveryWindowHasItsSuccessor) {
  Ids tokens;
  for (int64_t i = 0; i < 23; ++i) tokens.push_back(i);
  for (const int64_t context : {1, 4, 22, 23, 30})
    for (const int64_t stride : {0, 1, 3, 40}) {
      const text::TokenWindows windows(tokens, {.context = context, .stride = stride});
      const int64_t step = stride == 0 ? context : stride;
      int64_t count = 0;
      for (int64_t begin = 0; begin + context < 23; begin += step, ++count) {
        const auto [inputs, targets] = windows.get(count);
        EXPECT_EQ(inputs.shape(), (Shape{1, context}));
        EXPECT_EQ(inputs.to_vector<int64_t>().front(), begin);
        EXPECT_EQ(targets.to_vector<int64_t>().back(), begin + context);
      }
      EXPECT_EQ(windows.size(), count);
    }
  const text::TokenWindows windows(tokens, {.context = 4});
  const auto [inputs, targets] = windows.batch(Ids{4, 0});
  EXPECT_EQ(inputs.to_vector<int64_t>(), (Ids{16, 17, 18, 19, 0, 1, 2, 3}));
  EXPECT_EQ(targets.to_vector<int64_t>(), (Ids{17, 18, 19, 20, 1, 2, 3, 4}));
  EXPECT_EQ(sentence_of<ValueError>([&] { static_cast<void>(windows.get(5)); }),
            "[token_windows] expected a window in [0, 5), got 5");
  EXPECT_EQ(sentence_of<ValueError>([&] { text::TokenWindows(tokens, {.context = 0}); }),
            "[token_windows] expected a context of at least 1, got 0");
  EXPECT_EQ(sentence_of<ValueError>([&] { text::TokenWindows(tokens, {.context = 2, .stride = -1}); }),
            "[token_windows] expected a stride of at least 0, got -1");
  EXPECT_EQ(sentence_of<ValueError>([&] {
              text::TokenWindows({1, -1}, {.context = 1});
            }),
            "[token_windows] expected tokens of at least 0, got -1");
}

}  // namespace
}  // namespace tern
