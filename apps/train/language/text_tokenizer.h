// The tokenizer of a language model, whichever kind it is: llama2.c's file, or a byte-pair tokenizer of one's own.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include <tern/core/io/directory.h>
#include <tern/data/text/byte_pair.h>
#include <tern/data/text/tokenizer.h>

namespace tern::train {

/// Cheap to copy, but for the file it came from.
class TextTokenizer {
 public:
  TextTokenizer(text::BytePairTokenizer tokenizer) : tokenizer_(std::move(tokenizer)) {}  // NOLINT: it is one
  /// Reads either kind of file, told apart by its content. Throws as the two loaders.
  static TextTokenizer load(const io::FilePath& path);
  /// Of the file that a run left beside its weights: "tokenizer.json" or "tokenizer.bin" in their directory. Throws
  /// UsageError if there is neither.
  static TextTokenizer beside(const io::FilePath& weights);
  /// Writes it into a directory, as one of these. Throws IoError.
  void save(const io::DirectoryHandle& directory) const;
  void save(const std::string& directory) const;

  /// Whether both give every text the same tokens.
  bool is_same(const TextTokenizer& other) const;
  /// "byte", "bpe" or "llama2c".
  const char* kind() const;
  int64_t vocab_size() const;
  /// Stands before every document; and where a model gives it again, its text ends.
  int64_t start_token() const;
  /// Tokens of a document, the start token in front. llama2.c's puts a space before a text that is not empty.
  std::vector<int64_t> encode(std::string_view text) const;
  /// The text of a token after another; none for the start token of a byte-pair tokenizer. Throws ValueError for an id
  /// out of range.
  std::string decode(int64_t previous, int64_t token) const;

 private:
  struct Llama2c {
    text::Tokenizer tokenizer;
    std::string file;  // its content
  };
  explicit TextTokenizer(Llama2c tokenizer) : tokenizer_(std::move(tokenizer)) {}
  std::variant<text::BytePairTokenizer, Llama2c> tokenizer_;
};

/// A model's text without the control characters that a terminal might obey: white space stays.
std::string without_controls(std::string_view text);

}  // namespace tern::train
