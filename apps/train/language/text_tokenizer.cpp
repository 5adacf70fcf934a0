#include <tern/core/error.h>
#include <tern/core/io/bytes.h>
#include <tern/core/io/file.h>
#include <tern/train/language/text_tokenizer.h>
#include <tern/train/settings/schema.h>

namespace tern::train {
namespace {

using text::BytePairTokenizer;

constexpr const char* kJsonName = "tokenizer.json";
constexpr const char* kBinaryName = "tokenizer.bin";
constexpr uint64_t kMaxTokenizerBytes = uint64_t{1} << 30;

}  // namespace

TextTokenizer TextTokenizer::load(const io::FilePath& path) {
  std::string file = io::read_file("tokenizer", path, kMaxTokenizerBytes);
  // llama2.c's begins with a length of at most 65536, so its fourth byte is 0, which no JSON text holds.
  const bool json = file.size() >= 4 && file[0] == '{' && file[3] != '\0';
  if (json) return BytePairTokenizer::from_json(io::Json::parse("tokenizer", path.text(), file), path.text());
  text::Tokenizer tokenizer = text::Tokenizer::parse(io::bytes_of(file), path.text());
  return TextTokenizer(Llama2c{std::move(tokenizer), std::move(file)});
}

TextTokenizer TextTokenizer::beside(const io::FilePath& weights) {
  for (const char* name : {kJsonName, kBinaryName})
    if (const io::FilePath file = weights.beside(name); file.exists()) return load(file);
  throw UsageError(concat("[tokenizer] expected --tokenizer FILE, as neither ", kJsonName, " nor ", kBinaryName,
                          " lies beside ", weights.text()));
}

void TextTokenizer::save(const io::DirectoryHandle& directory) const {
  if (const auto* own = std::get_if<BytePairTokenizer>(&tokenizer_))
    own->save(directory->file(kJsonName));
  else
    io::write_file_atomic("tokenizer", directory->file(kBinaryName), std::get<Llama2c>(tokenizer_).file);
}

void TextTokenizer::save(const std::string& directory) const {
  save(io::Directory::open("tokenizer", directory));
}

bool TextTokenizer::is_same(const TextTokenizer& other) const {
  if (tokenizer_.index() != other.tokenizer_.index()) return false;
  if (const auto* own = std::get_if<BytePairTokenizer>(&tokenizer_))
    return own->to_json() == std::get<BytePairTokenizer>(other.tokenizer_).to_json();
  return std::get<Llama2c>(tokenizer_).file == std::get<Llama2c>(other.tokenizer_).file;
}

const char* TextTokenizer::kind() const {
  if (std::holds_alternative<Llama2c>(tokenizer_)) return "llama2c";
  return vocab_size() == BytePairTokenizer::kFirstMerge ? "byte" : "bpe";
}

int64_t TextTokenizer::vocab_size() const {
  if (const auto* own = std::get_if<BytePairTokenizer>(&tokenizer_)) return own->vocab_size();
  return std::get<Llama2c>(tokenizer_).tokenizer.vocab_size();
}

int64_t TextTokenizer::start_token() const {
  return std::holds_alternative<Llama2c>(tokenizer_) ? text::Tokenizer::kBos : BytePairTokenizer::kEndOfText;
}

std::vector<int64_t> TextTokenizer::encode(std::string_view text) const {
  if (const auto* llama = std::get_if<Llama2c>(&tokenizer_)) return llama->tokenizer.encode(text);
  std::vector<int64_t> tokens = std::get<BytePairTokenizer>(tokenizer_).encode(text);
  tokens.insert(tokens.begin(), BytePairTokenizer::kEndOfText);
  return tokens;
}

std::string TextTokenizer::decode(int64_t previous, int64_t token) const {
  if (const auto* own = std::get_if<BytePairTokenizer>(&tokenizer_)) return own->piece(token);
  return std::get<Llama2c>(tokenizer_).tokenizer.decode(previous, token);
}

std::string without_controls(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte != 0x7F && (byte >= 0x20 || (byte >= '\t' && byte <= '\r'))) out += c;
  }
  return out;
}

}  // namespace tern::train
