#include <algorithm>
#include <map>
#include <queue>
#include <unordered_map>

#include <tern/core/error.h>
#include <tern/core/io/file.h>
#include <tern/data/text/byte_pair.h>

namespace tern::text {
namespace {

constexpr const char* kOp = "byte_pair";
constexpr const char* kKey = "tern.tokenizer";
constexpr const char* kKind = "byte_pair";

enum class Class { kSpace, kLetter, kDigit, kSign };

// Bytes above ASCII are parts of letters: that is right for most of what they encode.
Class class_of(char c) {
  const auto byte = static_cast<unsigned char>(c);
  if (byte == ' ' || (byte >= '\t' && byte <= '\r')) return Class::kSpace;
  if (byte >= 0x80 || (byte >= 'a' && byte <= 'z') || (byte >= 'A' && byte <= 'Z')) return Class::kLetter;
  return byte >= '0' && byte <= '9' ? Class::kDigit : Class::kSign;
}

// Where the word that begins at `begin` ends. No word is longer than a piece may be, so texts without spaces cost no
// more than others.
size_t word_end(std::string_view text, size_t begin) {
  size_t at = begin;
  if (text[at] == ' ' && at + 1 < text.size() && class_of(text[at + 1]) != Class::kSpace) ++at;
  const Class kind = class_of(text[at]);
  const size_t limit = std::min(text.size(), begin + BytePairTokenizer::kMaxPiece);
  while (at < limit && class_of(text[at]) == kind) ++at;
  // The last space of a run belongs to the word behind it.
  if (kind == Class::kSpace && at < text.size() && text[at - 1] == ' ' && at - begin > 1) --at;
  return at;
}

uint64_t key_of(int64_t left, int64_t right) {
  return static_cast<uint64_t>(left) << 32 | static_cast<uint64_t>(right);
}

using Ids = std::vector<int64_t>;

// One word of the training text, and how often it stands there.
struct Word {
  Ids ids;
  int64_t count;
};

// Pairs of all words with their counts, kept up to date while they are merged.
class PairCounts {
 public:
  explicit PairCounts(std::vector<Word>& words) : words_(words) {
    for (size_t w = 0; w < words.size(); ++w)
      for (size_t i = 0; i + 1 < words[w].ids.size(); ++i) change(words[w].ids[i], words[w].ids[i + 1], w, 1);
  }

  // The most frequent pair that stands there at least twice; false if there is none.
  bool best(uint64_t& key) {
    while (!queue_.empty()) {
      const Entry top = queue_.top();
      const int64_t now = pairs_.at(top.key).count;
      if (top.count == now) {
        key = top.key;
        return now >= 2;
      }
      queue_.pop();  // an old count: what it is now stands further down
      if (now > 0) queue_.push({now, top.key});
    }
    return false;
  }
  void merge(uint64_t key, int64_t id) {
    const auto left = static_cast<int64_t>(key >> 32), right = static_cast<int64_t>(key & 0xFFFFFFFF);
    std::vector<size_t> places = std::move(pairs_.at(key).words);
    std::sort(places.begin(), places.end());
    places.erase(std::unique(places.begin(), places.end()), places.end());
    for (const size_t w : places) {
      Ids& ids = words_[w].ids;
      for (size_t i = 0; i + 1 < ids.size(); ++i) {
        if (ids[i] != left || ids[i + 1] != right) continue;
        change(left, right, w, -1);
        if (i > 0) change(ids[i - 1], left, w, -1), change(ids[i - 1], id, w, 1);
        if (i + 2 < ids.size()) change(right, ids[i + 2], w, -1), change(id, ids[i + 2], w, 1);
        ids[i] = id;
        ids.erase(ids.begin() + static_cast<std::ptrdiff_t>(i) + 1);
      }
    }
  }

 private:
  struct Pair {
    int64_t count = 0;
    std::vector<size_t> words = {};  // where it stands, or once stood
  };
  struct Entry {
    int64_t count;
    uint64_t key;
    bool operator<(const Entry& other) const { return count != other.count ? count < other.count : key > other.key; }
  };

  void change(int64_t left, int64_t right, size_t word, int64_t sign) {
    const uint64_t key = key_of(left, right);
    Pair& pair = pairs_[key];
    pair.count += sign * words_[word].count;
    if (sign < 0) return;
    if (pair.words.empty() || pair.words.back() != word) pair.words.push_back(word);
    queue_.push({pair.count, key});
  }

  std::vector<Word>& words_;
  std::unordered_map<uint64_t, Pair> pairs_;
  std::priority_queue<Entry> queue_;
};

// The different words in the order of their bytes, so that nothing depends on a hash.
std::vector<Word> words_of(std::string_view text) {
  std::map<std::string_view, int64_t> counts;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = word_end(text, begin);
    ++counts[text.substr(begin, end - begin)];
    begin = end;
  }
  std::vector<Word> words;
  for (const auto& [word, count] : counts) {
    Word entry{{}, count};
    for (const char c : word) entry.ids.push_back(static_cast<unsigned char>(c));
    words.push_back(std::move(entry));
  }
  return words;
}

}  // namespace

struct BytePairTokenizer::Vocabulary {
  std::vector<std::string> pieces;
  std::vector<std::pair<int64_t, int64_t>> merges;
  std::unordered_map<uint64_t, int64_t> ids;  // of a pair: the token it becomes; lower ones were merged first

  Vocabulary() {
    for (int64_t byte = 0; byte < kBytes; ++byte) pieces.emplace_back(1, static_cast<char>(byte));
    pieces.emplace_back();
  }
  int64_t add(int64_t left, int64_t right) {
    const auto id = static_cast<int64_t>(pieces.size());
    pieces.push_back(pieces[static_cast<size_t>(left)] + pieces[static_cast<size_t>(right)]);
    merges.emplace_back(left, right);
    ids.emplace(key_of(left, right), id);
    return id;
  }
  // Merges the pair that was learned first, all over the word, until there is none.
  void merge(Ids& word) const {
    while (word.size() > 1) {
      int64_t first = -1;
      for (size_t i = 0; i + 1 < word.size(); ++i)
        if (const auto it = ids.find(key_of(word[i], word[i + 1]));
            it != ids.end() && (first < 0 || it->second < first))
          first = it->second;
      if (first < 0) return;
      const auto [left, right] = merges[static_cast<size_t>(first - kFirstMerge)];
      size_t to = 0;
      for (size_t i = 0; i < word.size(); ++to) {
        const bool pair = i + 1 < word.size() && word[i] == left && word[i + 1] == right;
        word[to] = pair ? first : word[i];
        i += pair ? 2 : 1;
      }
      word.resize(to);
    }
  }
};

BytePairTokenizer::BytePairTokenizer() : vocabulary_(std::make_shared<const Vocabulary>()) {}

BytePairTokenizer::BytePairTokenizer(const std::vector<std::pair<int64_t, int64_t>>& merges) {
  const auto count = static_cast<int64_t>(merges.size());
  TERN_CHECK(count <= kMaxVocabulary - kFirstMerge, ValueError, "[", kOp, "] expected at most ",
             kMaxVocabulary - kFirstMerge, " merges, got ", count);
  auto vocabulary = std::make_shared<Vocabulary>();
  for (int64_t i = 0; i < count; ++i) {
    const auto [left, right] = merges[static_cast<size_t>(i)];
    for (const int64_t id : {left, right})
      TERN_CHECK(id >= 0 && id < kFirstMerge + i && id != kEndOfText, ValueError, "[", kOp, "] expected merge ", i,
                 " of tokens below ", kFirstMerge + i, " other than ", kEndOfText, ", got ", id);
    TERN_CHECK(!vocabulary->ids.contains(key_of(left, right)), ValueError, "[", kOp, "] expected every pair once, got ",
               left, " and ", right, " again in merge ", i);
    const size_t length =
        vocabulary->pieces[static_cast<size_t>(left)].size() + vocabulary->pieces[static_cast<size_t>(right)].size();
    TERN_CHECK(length <= kMaxPiece, ValueError, "[", kOp, "] expected pieces of at most ", kMaxPiece, " bytes, got ",
               length, " in merge ", i);
    vocabulary->add(left, right);
  }
  vocabulary_ = std::move(vocabulary);
}

BytePairTokenizer BytePairTokenizer::train(std::string_view text, int64_t vocab_size) {
  TERN_CHECK(vocab_size >= kFirstMerge && vocab_size <= kMaxVocabulary, ValueError, "[", kOp,
             "] expected a vocabulary of ", kFirstMerge, " to ", kMaxVocabulary, " tokens, got ", vocab_size);
  std::vector<Word> words = words_of(text);
  PairCounts pairs(words);
  Vocabulary vocabulary;
  while (static_cast<int64_t>(vocabulary.pieces.size()) < vocab_size) {
    uint64_t key = 0;
    TERN_CHECK(pairs.best(key), ValueError, "[", kOp, "] expected a text with pairs for ", vocab_size,
               " tokens, got one that is enough for ", vocabulary.pieces.size());
    const auto left = static_cast<int64_t>(key >> 32), right = static_cast<int64_t>(key & 0xFFFFFFFF);
    pairs.merge(key, vocabulary.add(left, right));
  }
  BytePairTokenizer tokenizer;
  tokenizer.vocabulary_ = std::make_shared<const Vocabulary>(std::move(vocabulary));
  return tokenizer;
}

io::Json BytePairTokenizer::to_json() const {
  io::Json merges = io::Json::array();
  for (const auto& [left, right] : vocabulary_->merges) {
    merges.push_back(left);
    merges.push_back(right);
  }
  return io::Json::object({{kKey, kKind}, {"version", 1}, {"merges", std::move(merges)}});
}

BytePairTokenizer BytePairTokenizer::from_json(const io::Json& json, const std::string& name) {
  const auto need = [&](bool condition, auto&&... text) {
    TERN_CHECK(condition, FormatError, "[", kOp, "] expected ", text..., " in '", name, "', got another");
  };
  need(json.is_object(), "a JSON object");
  const io::Json *kind = json.find(kKey), *version = json.find("version"), *list = json.find("merges");
  need(kind != nullptr && kind->is_string() && kind->as_string() == kKind, "\"", kKey, "\": \"", kKind, "\"");
  need(version != nullptr && version->is_integer() && version->as_int() == 1, "version 1");
  need(list != nullptr && list->is_array() && list->size() % 2 == 0, "\"merges\", an even number of tokens");
  std::vector<std::pair<int64_t, int64_t>> merges(list->size() / 2);
  for (size_t i = 0; i < list->size(); ++i) {
    need((*list)[i].is_integer(), "whole numbers as merges");
    (i % 2 == 0 ? merges[i / 2].first : merges[i / 2].second) = (*list)[i].as_int();
  }
  try {
    return BytePairTokenizer(merges);
  } catch (const ValueError& error) {
    throw FormatError(concat(error.what(), " in '", name, "'"));
  }
}

void BytePairTokenizer::save(const io::FilePath& path) const {
  io::write_file_atomic(kOp, path, to_json().dump() + "\n");
}

BytePairTokenizer BytePairTokenizer::load(const std::string& path) {
  return from_json(io::Json::parse_file(kOp, path), path);
}

int64_t BytePairTokenizer::vocab_size() const {
  return static_cast<int64_t>(vocabulary_->pieces.size());
}

std::vector<int64_t> BytePairTokenizer::encode(std::string_view text) const {
  std::vector<int64_t> out;
  std::unordered_map<std::string_view, Ids> known;  // words repeat
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = word_end(text, begin);
    const auto [it, is_new] = known.try_emplace(text.substr(begin, end - begin));
    if (is_new) {
      for (const char c : it->first) it->second.push_back(static_cast<unsigned char>(c));
      vocabulary_->merge(it->second);
    }
    out.insert(out.end(), it->second.begin(), it->second.end());
    begin = end;
  }
  return out;
}

const std::string& BytePairTokenizer::piece(int64_t token) const {
  TERN_CHECK(token >= 0 && token < vocab_size(), ValueError, "[", kOp, "] expected a token in [0, ", vocab_size(),
             "), got ", token);
  return vocabulary_->pieces[static_cast<size_t>(token)];
}

std::string BytePairTokenizer::decode(std::span<const int64_t> tokens) const {
  std::string text;
  for (const int64_t token : tokens) text += piece(token);
  return text;
}

}  // namespace tern::text
