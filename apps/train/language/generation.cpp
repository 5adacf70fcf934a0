#include <algorithm>
#include <chrono>

#include <tern/core/error.h>
#include <tern/core/ops/create.h>
#include <tern/nn/eval_mode.h>
#include <tern/train/language/generation.h>

namespace tern::train {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void check(const nn::models::Llama& model, std::span<const int64_t> prompt, const GenerateOptions& options) {
  const auto& settings = model.options();
  TERN_CHECK(options.steps >= 1 && options.steps <= settings.max_position_embeddings, ValueError,
             "[generate] expected steps from 1 to the model's ", settings.max_position_embeddings, " positions, got ",
             options.steps);
  TERN_CHECK(!prompt.empty(), ValueError, "[generate] expected a prompt of at least one token, got none");
  for (const int64_t token : prompt)
    TERN_CHECK(token >= 0 && token < settings.vocab_size, ValueError, "[generate] expected tokens below ",
               settings.vocab_size, ", the size of the vocabulary, got ", token);
}

}  // namespace

Generated generate(nn::models::Llama& model, std::span<const int64_t> prompt, const GenerateOptions& options) {
  check(model, prompt, options);
  const nn::EvalModeGuard eval_mode(model);
  const auto limit = static_cast<size_t>(options.steps) + 1;  // tokens in all

  Generated result;
  result.tokens.assign(prompt.begin(), prompt.begin() + static_cast<std::ptrdiff_t>(std::min(prompt.size(), limit)));
  result.prompt_tokens = static_cast<int64_t>(result.tokens.size());
  if (options.on_token)
    for (size_t i = 1; i < result.tokens.size(); ++i) options.on_token(result.tokens[i]);
  if (result.tokens.size() == limit) return result;

  Generator generator = Generator(options.seed).fork("generate");
  nn::models::KeyValueCache cache = model.make_cache(1, options.steps);
  Tensor input = tensor(result.tokens, {1, result.prompt_tokens});
  for (bool is_prompt = true;; is_prompt = false) {
    const auto start = Clock::now();
    const std::vector<float> logits = model.step(input, cache).to_vector<float>();
    const int64_t token = sample_token(logits, options.sample, generator);
    (is_prompt ? result.prompt_seconds : result.step_seconds) += seconds_since(start);
    result.steps += is_prompt ? 0 : 1;
    if (token == options.stop_token) break;
    result.tokens.push_back(token);
    if (options.on_token) options.on_token(token);
    if (result.tokens.size() == limit) break;
    input = tensor(std::vector<int64_t>{token}, {1, 1});
  }
  return result;
}

}  // namespace tern::train
