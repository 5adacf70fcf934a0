// The tokenizer of llama2.c: byte-pair encoding over the pieces and scores of a SentencePiece model.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace tern::text {

/// Settings of Tokenizer::encode.
struct EncodeOptions {
  bool bos = true;   ///< put the beginning-of-text token in front
  bool eos = false;  ///< put the end-of-text token behind
};

/// Reads llama2.c's tokenizer file: int32 longest piece in bytes, then for each token float32 score, int32 length,
/// bytes. The file does not say how many tokens it holds: they go on to its end. Tokens 0, 1 and 2 are unknown,
/// beginning and end of text, 3 to 258 the 256 bytes, the rest pieces. Cheap to copy.
class Tokenizer {
 public:
  /// Throws IoError if the file cannot be read or is larger than 1 GiB; FormatError where it ends inside a token, the
  /// longest piece is not 1 to 65536 bytes, a length is negative or above the longest, a score is not a number, or
  /// there are fewer than 259 or more than 2^24 tokens.
  static Tokenizer load(const std::string& path);
  /// The same from bytes in memory; `name` is for messages.
  static Tokenizer parse(std::span<const std::byte> bytes, const std::string& name = "memory");

  int64_t vocab_size() const;
  static constexpr int64_t kUnknown = 0;
  static constexpr int64_t kBos = 1;
  static constexpr int64_t kEos = 2;
  static constexpr int64_t kFirstByte = 3;

  /// Token ids of a text. A space is put in front of a text that is not empty; characters without a token become byte
  /// tokens; then, again and again, the adjacent pair whose joined piece has the best score is merged (the leftmost of
  /// equals). Any bytes are accepted; the work grows with n log n.
  std::vector<int64_t> encode(std::string_view text, const EncodeOptions& options = {}) const;

  /// The text of a token after another: a piece directly after kBos loses a leading space; byte tokens are their byte.
  /// Throws ValueError for an id out of range.
  std::string decode(int64_t previous, int64_t token) const;
  /// The text of a sequence; kBos and kEos give nothing. Throws ValueError likewise.
  std::string decode(std::span<const int64_t> tokens) const;

  /// The piece as the file has it ("<0x0A>" for a byte token). Throws ValueError for an id out of range.
  const std::string& piece(int64_t token) const;

 private:
  struct Vocabulary;
  explicit Tokenizer(std::shared_ptr<const Vocabulary> vocabulary) : vocabulary_(std::move(vocabulary)) {}
  std::shared_ptr<const Vocabulary> vocabulary_;
};

}  // namespace tern::text
