#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include <tern/core/error.h>
#include <tern/core/io/file.h>
#include <tern/core/io/hash.h>
#include <tern/data/text/token_windows.h>
#include <tern/train/language/generation.h>
#include <tern/train/language/language.h>

namespace tern::train {
namespace {

constexpr uint64_t kMaxTextBytes = uint64_t{2} << 30;

}  // namespace

Texts read_texts(const LanguageConfig::Data& config) {
  if (config.files.empty()) throw UsageError("[language] expected --data FILE, a text to learn from (see --help)");
  Texts texts;
  io::Hash64 hash;
  for (const std::string& path : config.files) {
    std::string text = io::read_file("language", path, kMaxTextBytes);
    hash.add_sized(text);
    if (!config.separator.empty())
      for (std::string& document : text::split_documents(text, config.separator))
        texts.documents.push_back(std::move(document));
    else if (!text.empty())
      texts.documents.push_back(std::move(text));
  }
  for (const std::string& document : texts.documents) texts.bytes += static_cast<int64_t>(document.size());
  texts.fingerprint = hash.value();
  TERN_CHECK(texts.bytes > 0, ValueError, "[language] expected text in ", config.files.front(),
             config.files.size() > 1 ? " and the other files" : "", ", got none");
  return texts;
}

TextTokenizer make_tokenizer(const LanguageConfig& config, const Texts& texts) {
  const LanguageConfig::Tokenizer& t = config.tokenizer;
  if (!t.file.empty()) return TextTokenizer::load(t.file);
  if (t.kind == "auto" && !config.weights.empty()) return TextTokenizer::beside(config.weights);
  if (t.kind != "bpe") return text::BytePairTokenizer();
  std::string learned;
  const double most = (1 - config.data.val_fraction) * static_cast<double>(texts.bytes);
  for (const std::string& document : texts.documents) {
    const double room = most - static_cast<double>(learned.size());
    if (room < 1) break;
    learned.append(document, 0, static_cast<size_t>(room));
  }
  return text::BytePairTokenizer::train(learned, t.vocab_size);
}

TokenText tokenize(const Texts& texts, const TextTokenizer& tokenizer, double val_fraction, int64_t most) {
  TokenText out;
  for (const std::string& document : texts.documents) {
    const std::vector<int64_t> tokens = tokenizer.encode(document);
    out.tokens.insert(out.tokens.end(), tokens.begin(), tokens.end());
  }
  out.held_out = std::min(static_cast<int64_t>(val_fraction * static_cast<double>(out.tokens.size())), most);
  TERN_CHECK(val_fraction == 0 || out.held_out >= 2, ValueError,
             "[language] expected a text of which data.val_fraction ", val_fraction, " is at least 2 tokens, got ",
             out.tokens.size(), " tokens");
  for (size_t i = out.tokens.size() - static_cast<size_t>(out.held_out) + 1; i < out.tokens.size(); ++i)
    if (out.tokens[i] != tokenizer.start_token())
      out.held_out_bytes += static_cast<int64_t>(tokenizer.decode(out.tokens[i - 1], out.tokens[i]).size());
  return out;
}

std::shared_ptr<nn::models::Llama> make_llama(const LanguageConfig& config, int64_t vocab_size) {
  const LanguageConfig::Model& m = config.model;
  const int64_t eight_thirds = (8 * m.hidden_size + 2) / 3;
  return nn::make<nn::models::Llama>(nn::models::LlamaOptions{
      .vocab_size = vocab_size,
      .hidden_size = m.hidden_size,
      .intermediate_size = m.intermediate_size > 0 ? m.intermediate_size : (eight_thirds + 15) / 16 * 16,
      .num_hidden_layers = m.layers,
      .num_attention_heads = m.heads,
      .num_key_value_heads = m.kv_heads,
      .max_position_embeddings = m.positions > 0 ? m.positions : config.data.context,
      .rms_norm_eps = m.norm_eps,
      .rope_theta = m.rope_theta,
      .tie_word_embeddings = m.tie_embeddings});
}

LanguageConfig::Model describe_llama(const nn::models::LlamaOptions& o) {
  return {.hidden_size = o.hidden_size,
          .intermediate_size = o.intermediate_size,
          .layers = o.num_hidden_layers,
          .heads = o.num_attention_heads,
          .kv_heads = o.num_key_value_heads,
          .positions = o.max_position_embeddings,
          .rope_theta = o.rope_theta,
          .norm_eps = o.rms_norm_eps,
          .tie_embeddings = o.tie_word_embeddings};
}

std::string sample_text(nn::models::Llama& model, const TextTokenizer& tokenizer, const LanguageConfig::Sample& config,
                        uint64_t seed) {
  const Generated result = generate(model, tokenizer.encode(config.prompt),
                                    {.steps = std::min(config.tokens, model.options().max_position_embeddings),
                                     .sample = {.temperature = config.temperature, .top_p = config.top_p},
                                     .seed = seed,
                                     .stop_token = tokenizer.start_token()});
  std::string text;
  for (size_t i = 1; i < result.tokens.size(); ++i) text += tokenizer.decode(result.tokens[i - 1], result.tokens[i]);
  return text;
}

double bits_per_byte(double loss, int64_t n, int64_t bytes) {
  if (bytes == 0) return std::numeric_limits<double>::quiet_NaN();
  return loss * static_cast<double>(n) / std::numbers::ln2 / static_cast<double>(bytes);
}

}  // namespace tern::train
