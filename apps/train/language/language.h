// The parts of a language model's training run, made from its settings: texts, tokenizer, model, samples.
#pragma once

#include <cstdint>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include <tern/core/io/json.h>
#include <tern/nn/models/llama.h>
#include <tern/train/language/language_config.h>
#include <tern/train/language/text_tokenizer.h>

namespace tern::train {

/// Texts, read and cut to documents.
struct Texts {
  std::vector<std::string> documents;
  int64_t bytes = 0;         ///< of the documents
  uint64_t fingerprint = 0;  ///< of the files' contents
};
/// Reads data.files. Throws UsageError without a file, IoError for one that cannot be read, ValueError where there is
/// no text in them.
Texts read_texts(const LanguageConfig::Data& config);

/// The tokenizer that the settings ask for, trained on the texts' bytes before the last
/// data.val_fraction of them if it is "bpe"; the held-out share is of tokens, so that the two ends need not meet quite.
/// Throws as TextTokenizer and BytePairTokenizer::train.
TextTokenizer make_tokenizer(const LanguageConfig& config, const Texts& texts);

/// Texts as tokens.
struct TokenText {
  std::vector<int64_t> tokens;  ///< of all documents, each behind a start token
  int64_t held_out = 0;         ///< of these, how many at the end are kept apart
  int64_t held_out_bytes = 0;   ///< of text in those that are predicted: all but the first
};
/// val_fraction: the share that is held out, at most `most` tokens. Throws ValueError for one of fewer than 2 tokens
/// that is not 0.
TokenText tokenize(const Texts& texts, const TextTokenizer& tokenizer, double val_fraction,
                   int64_t most = std::numeric_limits<int64_t>::max());

/// A model of these sizes, from scratch. Throws ValueError where they do not fit together.
std::shared_ptr<nn::models::Llama> make_llama(const LanguageConfig& config, int64_t vocab_size);
/// Sizes of a model, under the settings' names.
LanguageConfig::Model describe_llama(const nn::models::LlamaOptions& options);

/// A text of the model, prompt included, with the numbers that belong to the seed.
std::string sample_text(nn::models::Llama& model, const TextTokenizer& tokenizer, const LanguageConfig::Sample& config,
                        uint64_t seed);

/// Bits a byte of text costs at a mean loss of so many nats over n tokens: what models with different tokenizers can be
/// compared by. NaN for no bytes.
double bits_per_byte(double loss, int64_t n, int64_t bytes);

}  // namespace tern::train
