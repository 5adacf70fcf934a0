// A small llama-architecture decoder, and a character LSTM.
#include <tern/core/ops/create.h>
#include <tern/nn/layers/embedding.h>
#include <tern/nn/layers/linear.h>
#include <tern/nn/layers/recurrent.h>
#include <tern/nn/models/llama.h>
#include <tern/optim/adam.h>
#include <tern/quant/bitnet/convert.h>

#include "training.h"

namespace tern::bench {
namespace {

constexpr int64_t kBatch = 16, kContext = 256;

nn::models::Llama::Options lm_options() {
  return {.vocab_size = 512,
          .hidden_size = 288,
          .intermediate_size = 768,
          .num_hidden_layers = 6,
          .num_attention_heads = 6,
          .max_position_embeddings = kContext,
          .rms_norm_eps = 1e-6,
          .tie_word_embeddings = true};
}

// Multiply-adds of one token; attention's two products over the whole context included.
int64_t lm_macs() {
  const auto options = lm_options();
  const int64_t d = options.hidden_size;
  const int64_t layer = 4 * d * d + 3 * d * options.intermediate_size + 2 * kContext * d;
  return options.num_hidden_layers * layer + d * options.vocab_size;
}

Prepared train(bool ternary) {
  auto model = nn::make<nn::models::Llama>(lm_options());
  if (ternary) quant::bitnet::convert(*model, {.subln = quant::bitnet::SubLn::kOutputProjections});
  auto optimizer = std::make_shared<optim::AdamW>(model->parameters(), optim::AdamWOptions{.lr = 1e-3});
  const Tensor tokens = randint(0, 512, {kBatch, kContext + 1});
  return training(model, optimizer, tokens.slice(1, 0, kContext).contiguous(),
                  tokens.slice(1, 1, kContext + 1).contiguous());
}

constexpr int64_t kCharacters = 65, kCharacterWidth = 128, kHidden = 512, kCharacterBatch = 50, kCharacterSteps = 50;

struct CharLstm : nn::Module {
  nn::Child<nn::Embedding> embed{this, "embed", {.num_embeddings = kCharacters, .embedding_dim = kCharacterWidth}};
  nn::Child<nn::LSTM> lstm{
      this, "lstm", {.input_size = kCharacterWidth, .hidden_size = kHidden, .num_layers = 2, .batch_first = true}};
  nn::Child<nn::Linear> head{this, "head", {.in_features = kHidden, .out_features = kCharacters}};
  Tensor forward(const Tensor& x) override { return head(lstm(embed(x)).output); }
};

int64_t char_lstm_macs() {
  return 4 * kHidden * (kCharacterWidth + 3 * kHidden) + kHidden * kCharacters;
}

Prepared train_lstm() {
  auto model = nn::make<CharLstm>();
  auto optimizer = std::make_shared<optim::AdamW>(model->parameters(), optim::AdamWOptions{.lr = 1e-3});
  const Tensor tokens = randint(0, kCharacters, {kCharacterBatch, kCharacterSteps + 1});
  return training(model, optimizer, tokens.slice(1, 0, kCharacterSteps).contiguous(),
                  tokens.slice(1, 1, kCharacterSteps + 1).contiguous());
}

}  // namespace

std::vector<Workload> language_workloads() {
  return {
      {.name = "lm_train",
       .what = "decoder of width 288, depth 6, 6 heads, SwiGLU of 768, context 256, batch 16, AdamW, one full step",
       .items = kBatch * kContext,
       .flop = 3 * 2.0 * kBatch * kContext * static_cast<double>(lm_macs()),
       .prepare = [] { return train(false); }},
      {.name = "bitnet_lm_train",
       .what = "the same decoder with ternary weights, int8 activations and SubLN in front of the output projections",
       .items = kBatch * kContext,
       .flop = 3 * 2.0 * kBatch * kContext * static_cast<double>(lm_macs()),
       .prepare = [] { return train(true); }},
      {.name = "lstm_train",
       .what = "character LSTM, two layers of 512, 65 characters, batch 50, 50 steps, AdamW, one full step",
       .items = kCharacterBatch * kCharacterSteps,
       .flop = 3 * 2.0 * kCharacterBatch * kCharacterSteps * static_cast<double>(char_lstm_macs()),
       .prepare = train_lstm}};
}

}  // namespace tern::bench
