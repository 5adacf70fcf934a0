// A language model of characters: embedding, LSTM, linear layer, with the names of PyTorch's word_language_model.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tern/tern.h>

namespace models {

using namespace tern;

struct CharLstmOptions {
  int64_t vocabulary = 0, width = 128, layers = 2;
  double dropout = 0;  ///< behind the embedding and every layer of the LSTM
};

struct CharLstm : nn::ModuleOf<CharLstmOptions> {
  using ModuleOf::ModuleOf;
  nn::Child<nn::Dropout> drop{this, "drop", {.p = options().dropout}};
  nn::Child<nn::Embedding> encoder{
      this, "encoder", {.num_embeddings = options().vocabulary, .embedding_dim = options().width}};
  nn::Child<nn::LSTM> rnn{this,
                          "rnn",
                          {.input_size = options().width,
                           .hidden_size = options().width,
                           .num_layers = options().layers,
                           .batch_first = true,
                           .dropout = options().dropout}};
  nn::Child<nn::Linear> decoder{
      this, "decoder", {.in_features = options().width, .out_features = options().vocabulary}};

  /// Logits [N, T, vocabulary] for what follows each of the tokens [N, T].
  Tensor forward(const Tensor& tokens) override { return forward(tokens, {}).output; }
  /// The same behind what left the LSTM in `state`.
  nn::LSTMOutput forward(const Tensor& tokens, const nn::LSTMState& state) {
    const auto [y, next] = rnn(drop(encoder(tokens)), state);
    return {decoder(drop(y)), next};
  }
};

/// Characters and their numbers.
struct Alphabet {
  std::string characters;  ///< each once

  std::vector<int64_t> encode(std::string_view text) const {
    std::vector<int64_t> tokens;
    for (const char c : text) tokens.push_back(static_cast<int64_t>(characters.find(c)));
    return tokens;
  }
};

/// The text, continued by `count` characters.
inline std::string continued(CharLstm& net, const Alphabet& alphabet, std::string text, int64_t count,
                             Generator& random, const train::SampleOptions& options = {}) {
  const NoGradGuard no_grad;
  const nn::EvalModeGuard eval(net);
  std::vector<int64_t> tokens = alphabet.encode(text);
  nn::LSTMState state;
  for (int64_t i = 0; i < count; ++i) {
    const nn::LSTMOutput out = net.forward(tensor(tokens).unsqueeze(0), state);
    state = out.state;
    tokens = {train::sample_token(out.output[0][-1].to_vector<float>(), options, random)};
    text += alphabet.characters[static_cast<size_t>(tokens[0])];
  }
  return text;
}

}  // namespace models
