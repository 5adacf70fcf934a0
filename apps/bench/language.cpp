// A small llama-architecture decoder.
#include <tern/core/create.h>
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
       .prepare = [] { return train(true); }}};
}

}  // namespace tern::bench
