// A byte-pair tokenizer of one's own: trained on a text, lossless on any bytes (Sennrich et al., "Neural machine
// translation of rare words with subword units", 2016; over bytes as GPT-2's).
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tern/core/io/directory.h>
#include <tern/core/io/json.h>

namespace tern::text {

/// Tokens 0 to 255 are the bytes, kEndOfText stands before every document, and each further one is two earlier ones
/// joined. Without merges it is the byte-level tokenizer. Joined pieces never cross the border of a word: a space (or
/// none) with letters, digits or signs behind it, or a run of white space. Cheap to copy.
class BytePairTokenizer {
 public:
  static constexpr int64_t kBytes = 256;
  static constexpr int64_t kEndOfText = 256;
  static constexpr int64_t kFirstMerge = 257;
  static constexpr int64_t kMaxVocabulary = 1 << 16;
  static constexpr int64_t kMaxPiece = 128;  ///< bytes of a token

  /// Every byte a token: 257 tokens.
  BytePairTokenizer();
  /// These merges, in their order. Throws ValueError for one of a token that is not there before it, or of kEndOfText,
  /// a pair that stands twice, a piece above kMaxPiece bytes, or too many.
  explicit BytePairTokenizer(const std::vector<std::pair<int64_t, int64_t>>& merges);
  /// Merges what stands side by side most often, again and again, until there are vocab_size tokens (257 to
  /// kMaxVocabulary); of equally frequent pairs, the one of lower ids. The same text gives the same tokenizer. Throws
  /// ValueError for a size out of range, and for a text that has not so many pairs that stand there twice, with how
  /// many tokens it is enough for.
  static BytePairTokenizer train(std::string_view text, int64_t vocab_size);

  /// {"tern.tokenizer": "byte_pair", "version": 1, "merges": [left, right, left, right, ...]}
  io::Json to_json() const;
  /// Throws FormatError, naming `name`, for JSON that is not such an object.
  static BytePairTokenizer from_json(const io::Json& json, const std::string& name);
  /// As a file. Throws IoError where it cannot be written; load() also FormatError as from_json.
  void save(const io::FilePath& path) const;
  static BytePairTokenizer load(const std::string& path);

  int64_t vocab_size() const;
  /// Token ids of a text, without kEndOfText.
  std::vector<int64_t> encode(std::string_view text) const;
  /// The bytes of a token; none for kEndOfText. Throws ValueError for an id out of range.
  const std::string& piece(int64_t token) const;
  /// The bytes of a sequence: decode(encode(text)) is the text. Throws ValueError likewise.
  std::string decode(std::span<const int64_t> tokens) const;

 private:
  struct Vocabulary;
  std::shared_ptr<const Vocabulary> vocabulary_;
};

}  // namespace tern::text
