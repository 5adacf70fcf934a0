// A packed BitNet against the float computation it comes from, and through a file.
#include <cmath>

#include <gtest/gtest.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/operators.h>
#include <tern/core/ops/reduce.h>
#include <tern/nn/eval_mode.h>
#include <tern/nn/models/llama.h>
#include <tern/nn/models/vit.h>
#include <tern/quant/bitnet/convert.h>
#include <tern/quant/bitnet/lrc.h>
#include <tern/quant/bitnet/pack.h>
#include <tern/quant/layers/packed_state.h>
#include <tern/quant/packed/ternary.h>

#include "message_of.h"

namespace tern::quant::bitnet {
namespace {

using test::message_of;

constexpr nn::models::LlamaOptions kSizes{.vocab_size = 40,
                                          .hidden_size = 48,
                                          .intermediate_size = 136,
                                          .num_hidden_layers = 2,
                                          .num_attention_heads = 4,
                                          .num_key_value_heads = 2,
                                          .max_position_embeddings = 16};

double relative_difference(const Tensor& a, const Tensor& b) {
  return max(abs(sub(a, b))).item() / max(abs(b)).item();
}

TEST(BitnetPack, IntegersGiveWhatFloatsGive) {
  const NoGradGuard no_grad;
  for (const SubLn subln : {SubLn::kNone, SubLn::kOutputProjections, SubLn::kAll}) {
    manual_seed(1);
    const auto decoder = nn::make<nn::models::Llama>(kSizes);
    convert(*decoder, {.subln = subln});
    for (const auto& [name, parameter] : decoder->named_parameters())
      if (name.ends_with("subln.weight")) Tensor(parameter).copy_(add(rand(parameter.shape()), 0.5));
    const Tensor tokens = randint(0, 40, {3, 11});
    const Tensor reference = (*decoder)(tokens);
    EXPECT_EQ(pack(*decoder).size(), 14u);
    EXPECT_LE(relative_difference((*decoder)(tokens), reference), 1e-5);

    manual_seed(2);
    const auto vit = nn::make<nn::models::Vit>(
        {.image_size = 8, .patch_size = 4, .num_classes = 5, .width = 24, .depth = 2, .num_heads = 2});
    vit->eval();
    const ConvertReport report = convert(*vit, {.subln = subln});
    EXPECT_EQ(report.converted.size(), 8u);  // qkv, proj, fc1 and fc2
    EXPECT_EQ(report.left, (std::vector<LeftOut>{{"head", "a head"}}));
    const Tensor images = rand({2, 3, 8, 8});
    const Tensor logits = (*vit)(images);
    EXPECT_EQ(pack(*vit).size(), 8u);
    EXPECT_LE(relative_difference((*vit)(images), logits), 1e-5);
  }
}

TEST(BitnetPack, ComesBackFromItsState) {
  const NoGradGuard no_grad;
  manual_seed(3);
  const auto model = nn::make<nn::models::Llama>(kSizes);
  convert(*model, {.subln = SubLn::kOutputProjections});
  pack(*model);
  const Tensor tokens = randint(0, 40, {2, 9});
  const std::vector<float> reference = (*model)(tokens).to_vector<float>();
  for (const packed::Format* format : packed::formats()) {
    const auto other = nn::make<nn::models::Llama>(kSizes);
    load_into(*other, state_of(*model, *format));
    EXPECT_EQ((*other)(tokens).to_vector<float>(), reference) << format->name;
  }
}

TEST(BitnetPack, BadInputIsOneSentence) {
  const auto model = nn::make<nn::models::Llama>(kSizes);
  EXPECT_EQ(message_of<ValueError>([&] { pack(*model); }),
            "[pack] expected a model with BitLinear layers, got a Llama without; convert() a float model first");
  convert(*model);
  auto& layer = static_cast<BitLinear&>(*model->get_module("model.layers.0.self_attn.q_proj"));
  layer.set_lambda(0.5);
  EXPECT_EQ(message_of<StateError>([&] { pack(*model); }),
            "[pack] expected lambda 1, got 0.5 (in model.layers.0.self_attn.q_proj)");
  layer.set_lambda(1);
  Tensor weight = layer.weight.latent();
  const Tensor good = weight.clone();
  NoGradGuard no_grad;
  weight.fill_(NAN);
  EXPECT_NE(message_of<NonFiniteError>([&] { pack(*model); }).find("(in model.layers.0.self_attn.q_proj)"),
            std::string::npos);
  weight.copy_(good);
  convert_to_lrc(*model, {.rank = 1, .exclude = {"q_proj", "k_proj", "v_proj", "o_proj", "gate_proj", "up_proj"}});
  EXPECT_EQ(message_of<StateError>([&] { pack(*model); }),
            "[pack] expected layers without low-rank corrections, got one in model.layers.0.mlp.down_proj");
  EXPECT_TRUE(is_bitnet(*model));
}

}  // namespace
}  // namespace tern::quant::bitnet
