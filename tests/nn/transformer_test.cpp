#include <gtest/gtest.h>

#include <tern/core/random.h>
#include <tern/nn/layers/transformer.h>
#include <tern/nn/summary.h>

#include "golden_file.h"
#include "message_of.h"
#include "nn/numeric.h"

namespace tern::nn {
namespace {

using test::message_of;

template <class Encoder>
void expect_like_pytorch(Encoder& encoder, const test::GoldenCase& c) {
  encoder.to(DType::kF64);
  const std::vector<std::string> names = c.attributes.at("inputs");
  std::map<std::string, size_t> number;
  io::TensorMap state;
  for (size_t i = 0; i < names.size(); ++i) {
    number[names[i]] = i;
    if (names[i].find('.') != std::string::npos) state.insert(names[i], c["in" + std::to_string(i)]);
  }
  encoder.load_state_dict(state);
  const auto input = [&](const char* name) {
    return number.count(name) != 0 ? c["in" + std::to_string(number[name])].clone() : Tensor();
  };
  const Tensor x = input("src").requires_grad_();
  const Tensor y = encoder.forward(x, {.mask = input("mask"), .key_padding_mask = input("src_key_padding_mask")});
  EXPECT_LT(largest_difference(y, c["out"]), 1e-12);
  y.backward(c["grad_out"]);
  EXPECT_LT(largest_difference(x.grad(), c["grad" + std::to_string(number["src"])]), 1e-11);
  for (const auto& [name, parameter] : encoder.named_parameters())
    EXPECT_LT(largest_difference(parameter.grad(), c["grad" + std::to_string(number.at(name))]), 1e-11) << name;
}

TEST(TransformerEncoders, MatchPyTorch) {
  size_t compared = 0;
  for (const test::GoldenCase& c : test::load_golden(std::string(TERN_GOLDEN_DIR) + "/ops/layers.safetensors")) {
    if (c.op().find("Transformer") == std::string::npos) continue;
    SCOPED_TRACE(c.name);
    ++compared;
    const auto& a = c.attributes;
    const TransformerEncoderLayer::Options layer{
        .d_model = a.at("d_model"),
        .nhead = a.at("nhead"),
        .dim_feedforward = a.at("dim_feedforward"),
        .dropout = 0,
        .activation = a.contains("activation") ? Activation::kGelu : Activation::kRelu,
        .layer_norm_eps = a.value("layer_norm_eps", 1e-5),
        .batch_first = a.value("batch_first", false),
        .norm_first = a.value("norm_first", false)};
    if (c.op() == "TransformerEncoder") {
      TransformerEncoder encoder({.layer = layer, .num_layers = a.at("num_layers"), .norm = a.at("norm")});
      expect_like_pytorch(encoder, c);
    } else {
      TransformerEncoderLayer encoder(layer);
      expect_like_pytorch(encoder, c);
    }
  }
  EXPECT_EQ(compared, 7u);
}

struct EncoderTagger : Module {
  Child<TransformerEncoder> encoder{
      this,
      "encoder",
      {.layer = {.d_model = 8, .nhead = 2, .dim_feedforward = 16, .batch_first = true}, .num_layers = 2, .norm = true}};
  Tensor forward(const Tensor& x) override { return encoder(x, EncoderArgs{.is_causal = true}); }
};

TEST(TransformerEncoders, AreChildrenThatSummariesAndClonesKnow) {
  EncoderTagger model;
  const Summary table = summary(model, {2, 5, 8});
  EXPECT_EQ(table.rows[1].name, "encoder");
  EXPECT_EQ(table.macs, 2 * 2 * 5 * (8 * (3 * 8 + 2 * 5) + 8 * 8 + 2 * 8 * 16));
  EXPECT_EQ(model.parameter_count(), 2 * (4 * 8 * 8 + 4 * 8 + 2 * 8 * 16 + 16 + 8 + 4 * 8) + 2 * 8);
  const auto copy = clone(model);
  const Tensor x = random({2, 5, 8}, DType::kF32);
  model.eval(), copy->eval();
  EXPECT_EQ(largest_difference(model(x), (*copy)(x)), 0);
  // Later positions do not reach earlier ones.
  Tensor changed = x.clone();
  changed.slice(1, 4, 5).fill_(0);
  EXPECT_EQ(largest_difference(model(x).slice(1, 0, 4), model(changed).slice(1, 0, 4)), 0);
}

TEST(TransformerEncoders, DropInTrainingOnlyAndFitASequential) {
  Sequential net;
  net.add<TransformerEncoderLayer>({.d_model = 8, .nhead = 2, .dim_feedforward = 16, .dropout = 0.5});
  const Tensor x = random({5, 2, 8}, DType::kF32);
  manual_seed(2);
  EXPECT_GT(largest_difference(net(x), net(x)), 1e-3);
  net.eval();
  EXPECT_EQ(largest_difference(net(x), net(x)), 0);
}

TEST(TransformerEncoders, RefuseImpossibleSettings) {
  EXPECT_EQ(message_of([] { TransformerEncoderLayer({.d_model = 6, .nhead = 4}); }),
            "[TransformerEncoderLayer] expected nhead that divides d_model, got 4 and 6");
  EXPECT_EQ(message_of([] { TransformerEncoderLayer({.d_model = 6, .nhead = 2, .dim_feedforward = 0}); }),
            "[TransformerEncoderLayer] expected dim_feedforward of at least 1, got 0");
  EXPECT_EQ(message_of([] { TransformerEncoderLayer({.d_model = 6, .nhead = 2, .dropout = 1}); }),
            "[TransformerEncoderLayer] expected dropout in [0, 1), got 1");
  EXPECT_EQ(message_of([] { TransformerEncoder({.layer = {.d_model = 6, .nhead = 2}, .num_layers = 0}); }),
            "[TransformerEncoder] expected num_layers of at least 1, got 0");
}

}  // namespace
}  // namespace tern::nn
