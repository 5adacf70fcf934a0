// A language model with the tokenizer that belongs to it.
#pragma once

#include <memory>
#include <string>

#include <tern/data/tokenizer.h>
#include <tern/nn/models/llama.h>

namespace tern::train {

/// The two.
struct LanguageModel {
  std::shared_ptr<nn::models::Llama> model;
  data::Tokenizer tokenizer;
};

/// Reads a model (nn::models::Llama::load: a llama2.c checkpoint, or safetensors with its own metadata or a
/// config.json; or a checkpoint of Trainer, with its quantizers) and a llama2.c tokenizer file. Throws ValueError where
/// the two do not have the same number of tokens, for weights of another model, or for a configuration given with a
/// llama2.c checkpoint; otherwise what the loaders throw.
[[nodiscard]] LanguageModel load_language_model(const std::string& weights, const std::string& tokenizer,
                                                const std::string& config = "");

}  // namespace tern::train
