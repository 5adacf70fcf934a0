// How well a language model predicts text: mean negative log-likelihood a token, and its exponential.
#pragma once

#include <cmath>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include <tern/core/tensor.h>
#include <tern/nn/module.h>

namespace tern::train {

/// Settings of the functions below.
struct PerplexityOptions {
  /// Tokens that the model sees at once, at least 2 for documents and 1 for a running text.
  int64_t context = 512;
  /// Tokens from one window of a running text to the next, 1..context; 0 stands for context. A smaller stride gives
  /// every token at least context - stride tokens to go by, at context / stride times the cost.
  int64_t stride = 0;
  /// Tokens that go through the model in one call, at least 1, as a hint: short documents and windows are put together
  /// up to it.
  int64_t batch_tokens = 2048;
};

/// A sum over predicted tokens.
struct TokenNll {
  double sum = 0;      ///< of -ln p(token | tokens before it), in nats
  int64_t tokens = 0;  ///< predicted ones
  /// Mean over the tokens; NaN if there are none.
  double mean() const { return sum / static_cast<double>(tokens); }
  double perplexity() const { return std::exp(mean()); }
  TokenNll& operator+=(const TokenNll& other) {
    sum += other.sum;
    tokens += other.tokens;
    return *this;
  }
};

/// Documents apart: each is cut to `context` tokens, and every token after a document's first is predicted from those
/// before it in the same document. Documents of one token or none count for nothing.
///
/// model: from token ids i64 [batch, length] to logits [batch, length, vocabulary], causal (a position's output depends
/// on no later position), such as nn::models::Llama. It is put into eval mode for the time of the call. Throws
/// ValueError for an option out of range, ShapeError for other outputs, and what the model throws for tokens or lengths
/// it does not take.
[[nodiscard]] TokenNll document_nll(nn::Module& model, std::span<const std::vector<int64_t>> documents,
                                    const PerplexityOptions& options = {});

/// One running text: every token after the first is predicted exactly once. Windows of `context` tokens begin every
/// `stride` tokens; in each, the predictions that no window before it made count. With stride = context, a window's
/// first prediction goes by a single token. Throws as document_nll.
[[nodiscard]] TokenNll text_nll(nn::Module& model, std::span<const int64_t> tokens,
                                const PerplexityOptions& options = {});

/// Perplexity of one running text, exp of the mean of text_nll. Throws ValueError for fewer than two tokens; as
/// text_nll.
[[nodiscard]] double perplexity(nn::Module& model, std::span<const int64_t> tokens,
                                const PerplexityOptions& options = {});
/// The same for tokens i64 [n] (ShapeError, DTypeError otherwise).
[[nodiscard]] double perplexity(nn::Module& model, const Tensor& tokens, const PerplexityOptions& options = {});

/// The parts of `text` between separators, without white space (ASCII) at either end; empty ones are left out. At most
/// `limit` of them, where that is above 0. Throws ValueError for an empty separator.
[[nodiscard]] std::vector<std::string> split_documents(std::string_view text, std::string_view separator,
                                                       int64_t limit = 0);

}  // namespace tern::train
