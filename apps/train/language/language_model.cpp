#include <optional>

#include <tern/core/error.h>
#include <tern/core/io/safetensors.h>
#include <tern/nn/models/model.h>
#include <tern/train/language/language_model.h>
#include <tern/train/weights/checkpoint.h>

namespace tern::train {
namespace {

using nn::models::Llama;

}  // namespace

std::shared_ptr<Llama> llama_of(const Checkpoint& checkpoint) {
  const std::string& name = checkpoint.metadata_at(nn::models::kModelKey);
  TERN_CHECK(name == "llama", ValueError, "[load_language_model] expected weights of a llama in '", checkpoint.path,
             "', got those of ", name);
  return std::dynamic_pointer_cast<Llama>(model_of(checkpoint));
}

std::shared_ptr<Llama> load_llama(const std::string& weights, const std::string& config) {
  const bool llama2c = Llama::is_llama2c(weights);
  TERN_CHECK(!llama2c || config.empty(), ValueError, "[load_language_model] expected no configuration with '", weights,
             "', as llama2.c checkpoints have their own, got '", config, "'");
  const bool checkpoint = !llama2c && io::SafetensorsReader(weights).metadata().contains(meta::kVersion);
  return checkpoint ? llama_of(load_checkpoint(weights)) : Llama::load(weights, config);
}

void need_same_vocabulary(const Llama& model, const std::string& weights, const TextTokenizer& tokenizer,
                          const std::string& tokenizer_name) {
  const int64_t model_size = model.options().vocab_size, size = tokenizer.vocab_size();
  TERN_CHECK(model_size == size, ValueError, "[load_language_model] expected a tokenizer of ", model_size,
             " tokens, as '", weights, "' has, got '", tokenizer_name, "' with ", size);
}

void need_same_tokenizer(const std::string& weights, const TextTokenizer& tokenizer,
                         const std::string& tokenizer_name) {
  std::optional<TextTokenizer> own;
  try {
    own = TextTokenizer::beside(weights);
  } catch (const Error&) {  // there is none, or one of another program
    return;
  }
  TERN_CHECK(own->is_same(tokenizer), ValueError, "[load_language_model] expected the tokenizer that lies beside '",
             weights, "', got another one: '", tokenizer_name, "'");
}

LanguageModel load_language_model(const std::string& weights, const std::string& tokenizer, const std::string& config) {
  std::shared_ptr<Llama> model = load_llama(weights, config);
  LanguageModel language{std::move(model),
                         tokenizer.empty() ? TextTokenizer::beside(weights) : TextTokenizer::load(tokenizer)};
  need_same_vocabulary(*language.model, weights, language.tokenizer, tokenizer.empty() ? "that beside it" : tokenizer);
  return language;
}

}  // namespace tern::train
