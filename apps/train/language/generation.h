// Text from a language model, token by token.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include <tern/nn/models/llama.h>
#include <tern/train/language/sampling.h>

namespace tern::train {

/// Settings of generate().
struct GenerateOptions {
  /// Positions that the model is run for, the prompt's included: the result has at most steps + 1 tokens.
  int64_t steps = 256;
  SampleOptions sample = {};
  uint64_t seed = 0;  ///< of the numbers that tokens are drawn with
  /// The token that ends the text when it comes after another one; -1 for none.
  int64_t stop_token = 1;
  /// Called with every token after the first one, the prompt's too, as soon as it is known.
  std::function<void(int64_t token)> on_token = {};
};

/// What generate() gives, with its times.
struct Generated {
  std::vector<int64_t> tokens;  ///< prompt and continuation; a stop token is not part of it
  int64_t prompt_tokens = 0;    ///< of these, how many the prompt gave
  double prompt_seconds = 0;    ///< spent on the prompt as a whole, and with it on the first token after it
  int64_t steps = 0;            ///< tokens chosen after that one, a stop token included
  double step_seconds = 0;      ///< spent on those, one by one
  int64_t generated() const { return static_cast<int64_t>(tokens.size()) - prompt_tokens; }
  /// Of the steps; 0 if there were none.
  double tokens_per_second() const { return step_seconds > 0 ? static_cast<double>(steps) / step_seconds : 0; }
};

/// Continues `prompt` (token ids, at least one), as llama2.c does: token i + 1 is the prompt's where it has one, else
/// chosen from the model's output at position i, for `steps` positions or until the stop token. A prompt of more than
/// steps + 1 tokens is cut. The prompt is run through the model at once, each further token with a key-value cache. The
/// model is put into eval mode for the time of the call. Throws ValueError for an empty prompt, a token outside of the
/// vocabulary, steps below 1 or beyond the model's positions, and as sample_token.
Generated generate(nn::models::Llama& model, std::span<const int64_t> prompt, const GenerateOptions& options = {});

}  // namespace tern::train
