// Choosing the next token from a language model's output.
#pragma once

#include <cstdint>
#include <span>

#include <tern/core/random.h>

namespace tern::train {

/// How the next token is chosen. With temperature T, token i has probability softmax(logits / T)_i; top_k and then
/// top_p take the unlikely ones away, and what is left is drawn from in proportion.
struct SampleOptions {
  double temperature = 1.0;  ///< at least 0; 0 takes the token with the largest logit, the first among equals
  int64_t top_k = 0;         ///< keep the k likeliest tokens; 0 keeps all
  double top_p = 1.0;        ///< in (0, 1]; keep the likeliest tokens until their probabilities reach top_p
};

/// One token for `logits` [vocabulary]. Takes one number from `generator`, none at temperature 0. Throws ValueError for
/// options out of range, no logits, or logits among which one is NaN or +infinity (tokens at -infinity are never
/// drawn).
[[nodiscard]] int64_t sample_token(std::span<const float> logits, const SampleOptions& options, Generator& generator);

}  // namespace tern::train
