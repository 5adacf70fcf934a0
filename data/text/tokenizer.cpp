#include <cmath>
#include <queue>
#include <unordered_map>

#include <tern/core/error.h>
#include <tern/core/io/bytes.h>
#include <tern/core/io/file_kind.h>
#include <tern/data/text/tokenizer.h>

namespace tern::text {
namespace {

constexpr const char* kTokenizer = "tokenizer";
constexpr int32_t kMaxPiece = 1 << 16;
constexpr int64_t kMaxTokens = int64_t{1} << 24;
constexpr int64_t kByteTokens = 256;

struct TextHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>()(text); }
};

// The byte of a piece written "<0xHH>", or -1.
int byte_of(std::string_view piece) {
  if (piece.size() != 6 || !piece.starts_with("<0x") || piece[5] != '>') return -1;
  int value = 0;
  for (const char c : piece.substr(3, 2)) {
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                                             : -1;
    if (digit < 0) return -1;
    value = value * 16 + digit;
  }
  return value;
}

}  // namespace

struct Tokenizer::Vocabulary {
  std::vector<std::string> pieces;
  std::vector<float> scores;
  std::unordered_map<std::string, int64_t, TextHash, std::equal_to<>> ids;  // the first of equal pieces

  int64_t find(std::string_view piece) const {
    const auto it = ids.find(piece);
    return it == ids.end() ? -1 : it->second;
  }
};

Tokenizer Tokenizer::load(const std::string& path) {
  const std::string content = io::read_file(kTokenizer, path, uint64_t{1} << 30);
  return parse(io::bytes_of(content), path);
}

Tokenizer Tokenizer::parse(std::span<const std::byte> bytes, const std::string& name) {
  return io::naming_kind(bytes, io::FileKind::kUnknown, [&] {
    io::ByteReader reader(kTokenizer, name, bytes);
    const auto longest = reader.read<int32_t>("the length of the longest piece");
    TERN_CHECK(longest >= 1 && longest <= kMaxPiece, FormatError, "[", kTokenizer,
               "] expected a longest piece of 1 to ", kMaxPiece, " bytes in '", name, "', got ", longest,
               "; this may not be a tokenizer file");
    auto vocabulary = std::make_shared<Vocabulary>();
    while (!reader.at_end()) {
      const auto token = static_cast<int64_t>(vocabulary->pieces.size());
      TERN_CHECK(token < kMaxTokens, FormatError, "[", kTokenizer, "] expected at most ", kMaxTokens, " tokens in '",
                 name, "', got more");
      const auto score = reader.read<float>("a score");
      const auto length = reader.read<int32_t>("a length");
      TERN_CHECK(!std::isnan(score), FormatError, "[", kTokenizer, "] expected a number as score of token ", token,
                 " in '", name, "', got NaN");
      TERN_CHECK(length >= 0 && length <= longest, FormatError, "[", kTokenizer, "] expected a piece of 0 to ", longest,
                 " bytes for token ", token, " in '", name, "', got ", length);
      vocabulary->pieces.emplace_back(reader.take_text(static_cast<size_t>(length), "a piece"));
      vocabulary->scores.push_back(score);
      vocabulary->ids.try_emplace(vocabulary->pieces.back(), token);
    }
    TERN_CHECK(static_cast<int64_t>(vocabulary->pieces.size()) >= kFirstByte + kByteTokens, FormatError, "[",
               kTokenizer, "] expected at least ", kFirstByte + kByteTokens, " tokens in '", name, "', got ",
               vocabulary->pieces.size());
    return Tokenizer(std::move(vocabulary));
  });
}

int64_t Tokenizer::vocab_size() const {
  return static_cast<int64_t>(vocabulary_->pieces.size());
}

const std::string& Tokenizer::piece(int64_t token) const {
  TERN_CHECK(token >= 0 && token < vocab_size(), ValueError, "[", kTokenizer, "] expected a token in [0, ",
             vocab_size(), "), got ", token);
  return vocabulary_->pieces[static_cast<size_t>(token)];
}

std::vector<int64_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  const Vocabulary& v = *vocabulary_;
  // The symbols as a doubly linked list over positions; a merged symbol takes the place of its left half.
  struct Symbol {
    int64_t id;  // -1: merged away
    int64_t previous, next;
  };
  std::vector<Symbol> symbols;
  const auto add = [&](int64_t id) {
    const auto at = static_cast<int64_t>(symbols.size());
    symbols.push_back({id, at - 1, at + 1});
  };
  const auto add_text = [&](std::string_view character) {
    if (const int64_t id = v.find(character); id >= 0)
      add(id);
    else
      for (const char c : character) add(kFirstByte + static_cast<unsigned char>(c));
  };
  if (!text.empty()) add_text(" ");
  for (size_t at = 0; at < text.size();) {
    // A character is a byte and the continuation bytes after it, at most four together.
    size_t end = at + 1;
    while (end < text.size() && end - at < 4 && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
    add_text(text.substr(at, end - at));
    at = end;
  }
  if (!symbols.empty()) symbols.back().next = -1;

  struct Merge {
    float score;
    int64_t left, right;            // positions
    int64_t left_id, right_id, id;  // what they held when this was found: it is void once that has changed
  };
  const auto worse = [](const Merge& a, const Merge& b) {
    return a.score != b.score ? a.score < b.score : a.left > b.left;
  };
  std::priority_queue<Merge, std::vector<Merge>, decltype(worse)> merges(worse);
  std::string joined;
  const auto consider = [&](int64_t left) {
    if (left < 0 || symbols[static_cast<size_t>(left)].next < 0) return;
    const Symbol& a = symbols[static_cast<size_t>(left)];
    const Symbol& b = symbols[static_cast<size_t>(a.next)];
    joined = v.pieces[static_cast<size_t>(a.id)];
    joined += v.pieces[static_cast<size_t>(b.id)];
    if (const int64_t id = v.find(joined); id >= 0)
      merges.push({v.scores[static_cast<size_t>(id)], left, a.next, a.id, b.id, id});
  };
  for (int64_t i = 0; i + 1 < static_cast<int64_t>(symbols.size()); ++i) consider(i);
  while (!merges.empty()) {
    const Merge merge = merges.top();
    merges.pop();
    Symbol& left = symbols[static_cast<size_t>(merge.left)];
    Symbol& right = symbols[static_cast<size_t>(merge.right)];
    if (left.id != merge.left_id || right.id != merge.right_id || left.next != merge.right) continue;
    left.id = merge.id;
    left.next = right.next;
    right.id = -1;
    if (left.next >= 0) symbols[static_cast<size_t>(left.next)].previous = merge.left;
    consider(left.previous);
    consider(merge.left);
  }

  std::vector<int64_t> tokens;
  if (options.bos) tokens.push_back(kBos);
  for (const Symbol& symbol : symbols)
    if (symbol.id >= 0) tokens.push_back(symbol.id);
  if (options.eos) tokens.push_back(kEos);
  return tokens;
}

std::string Tokenizer::decode(int64_t previous, int64_t token) const {
  std::string_view text = piece(token);
  if (previous == kBos && text.starts_with(' ')) text.remove_prefix(1);
  if (const int byte = byte_of(text); byte >= 0) return std::string(1, static_cast<char>(byte));
  return std::string(text);
}

std::string Tokenizer::decode(std::span<const int64_t> tokens) const {
  std::string text;
  int64_t previous = kUnknown;
  for (const int64_t token : tokens) {
    if (token != kBos && token != kEos) text += decode(previous, token);
    previous = token;
  }
  return text;
}

}  // namespace tern::text
