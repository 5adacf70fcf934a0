// A language model with the tokenizer that belongs to it.
#pragma once

#include <memory>
#include <string>

#include <tern/nn/models/llama.h>
#include <tern/train/language/text_tokenizer.h>
#include <tern/train/weights/checkpoint.h>

namespace tern::train {

/// The two.
struct LanguageModel {
  std::shared_ptr<nn::models::Llama> model;
  TextTokenizer tokenizer;
};

/// Reads a model: nn::models::Llama::load (a llama2.c checkpoint, or safetensors with its own metadata or a
/// config.json), or a checkpoint of Trainer, with its quantizers. Throws ValueError for weights of another model, or
/// for a configuration given with a llama2.c checkpoint; otherwise what the loaders throw.
[[nodiscard]] std::shared_ptr<nn::models::Llama> load_llama(const std::string& weights, const std::string& config = "");

/// The llama of a checkpoint of Trainer or weights_of, which may hold quantizers and the state of a run beside the
/// weights, or packed weights. Throws as load_llama.
[[nodiscard]] std::shared_ptr<nn::models::Llama> llama_of(const Checkpoint& checkpoint);

/// Throws ValueError unless both have the same number of tokens. `weights` and `tokenizer_name` are for the message.
void need_same_vocabulary(const nn::models::Llama& model, const std::string& weights, const TextTokenizer& tokenizer,
                          const std::string& tokenizer_name);

/// Throws ValueError where a tokenizer of Tern or llama2.c lies beside the weights and is another one: tokens of one
/// number then mean different texts, however many there are.
void need_same_tokenizer(const std::string& weights, const TextTokenizer& tokenizer, const std::string& tokenizer_name);

/// A model with the tokenizer of a file, or, where `tokenizer` is empty, of that beside the weights. Throws as
/// load_llama, TextTokenizer and need_same_vocabulary.
[[nodiscard]] LanguageModel load_language_model(const std::string& weights, const std::string& tokenizer,
                                                const std::string& config = "");

}  // namespace tern::train
