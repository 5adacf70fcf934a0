#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <tern/core/ops/reduce.h>
#include <tern/core/ops/shape.h>
#include <tern/core/random.h>
#include <tern/nn/init.h>
#include <tern/nn/layers/attention.h>

#include "golden_file.h"
#include "message_of.h"
#include "nn/numeric.h"

namespace tern::nn {
namespace {

void expect_close(const Tensor& a, const Tensor& b, double tolerance, const std::string& what) {
  ASSERT_EQ(a.shape(), b.shape()) << what;
  const std::vector<double> x = a.to_vector<double>(), y = b.to_vector<double>();
  for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(x[i], y[i], tolerance) << what << " " << i;
}

TEST(MultiheadAttentionLayer, MatchesPyTorch) {
  const auto cases = test::load_golden(std::string(TERN_GOLDEN_DIR) + "/ops/multihead_attention.safetensors");
  ASSERT_GE(cases.size(), 11u);
  for (const test::GoldenCase& c : cases) {
    SCOPED_TRACE(c.name);
    const auto& a = c.attributes;
    for (const bool need_weights : {true, false}) {
      MultiheadAttention layer({.embed_dim = a.at("embed_dim"),
                                .num_heads = a.at("num_heads"),
                                .bias = a.at("bias"),
                                .kdim = a.at("kdim"),
                                .vdim = a.at("vdim"),
                                .batch_first = a.at("batch_first")});
      layer.to(DType::kF64);
      const bool self = a.at("self_attention");
      std::map<std::string, Tensor> given;
      std::map<std::string, size_t> number;
      const std::vector<std::string> inputs = a.at("inputs");
      for (size_t i = 0; i < inputs.size(); ++i) {
        given[inputs[i]] = c["in" + std::to_string(i)].clone();
        number[inputs[i]] = i;
      }
      io::TensorMap state;
      for (const auto& [name, parameter] : layer.named_parameters()) state.insert(name, given.at(name));
      layer.load_state_dict(state);
      Tensor query = given.at("query");
      Tensor key = self ? query : given.at("key"), value = self ? query : given.at("value");
      for (Tensor* x : {&query, &key, &value}) x->requires_grad_();
      const AttentionOutput result =
          layer.forward(query, key, value,
                        {.key_padding_mask = given.count("key_padding_mask") ? given["key_padding_mask"] : Tensor(),
                         .attn_mask = given.count("attn_mask") ? given["attn_mask"] : Tensor(),
                         .need_weights = need_weights,
                         .average_attn_weights = a.at("average_attn_weights")});
      expect_close(result.output, c["out"], 1e-12, "output");
      EXPECT_EQ(result.weights.defined(), need_weights);
      if (need_weights) expect_close(result.weights, c["weights"], 1e-12, "weights");
      result.output.backward(c["grad_out"]);
      const auto expect_grad = [&](const std::string& name, const Tensor& x) {
        const std::string grad = "grad" + std::to_string(number.at(name));
        if (c.has(grad)) expect_close(x.grad(), c[grad], 1e-11, "gradient of " + name);
      };
      expect_grad("query", query);
      if (!self) {
        expect_grad("key", key);
        expect_grad("value", value);
      }
      for (const auto& [name, parameter] : layer.named_parameters()) expect_grad(name, parameter);
    }
  }
}

class Attention : public ::testing::Test {
 protected:
  Attention() { layer_.to(DType::kF64); }
  MultiheadAttention layer_{{.embed_dim = 6, .num_heads = 2, .batch_first = true}};
};

TEST_F(Attention, PathsAgreeUnderEveryMask) {
  const Tensor x = random({2, 4, 6});
  Tensor hidden = empty({2, 4}, DType::kU8).zero_();
  hidden.slice(0, 1, 2).slice(1, 2, 4).fill_(1);
  for (const bool causal : {false, true}) {
    const AttentionOutput with = layer_.forward(x, x, x, {.key_padding_mask = hidden, .is_causal = causal});
    const AttentionOutput without =
        layer_.forward(x, x, x, {.key_padding_mask = hidden, .is_causal = causal, .need_weights = false});
    expect_close(with.output, without.output, 1e-12, "output");
    EXPECT_FALSE(without.weights.defined());
  }
}

// What padding holds, NaN and infinities too, reaches neither the outputs nor the weights of either path.
TEST_F(Attention, WhatIsHiddenReachesNothing) {
  const Tensor x = random({2, 4, 6}), clean = random({2, 3, 6});
  Tensor hidden = empty({2, 3}, DType::kU8).zero_();
  hidden.slice(0, 1, 2).slice(1, 2, 3).fill_(1);
  for (const double value : {std::numeric_limits<double>::quiet_NaN(), std::numeric_limits<double>::infinity()}) {
    Tensor dirty = clean.clone();
    dirty.slice(0, 1, 2).slice(1, 2, 3).fill_(value);
    for (const bool causal : {false, true}) {
      const AttentionOutput expected =
          layer_.forward(x, clean, clean, {.key_padding_mask = hidden, .is_causal = causal});
      const AttentionOutput with = layer_.forward(x, dirty, dirty, {.key_padding_mask = hidden, .is_causal = causal});
      const AttentionOutput without =
          layer_.forward(x, dirty, dirty, {.key_padding_mask = hidden, .is_causal = causal, .need_weights = false});
      expect_close(with.output, expected.output, 1e-12, "output");
      expect_close(without.output, expected.output, 1e-12, "output without weights");
      expect_close(with.weights, expected.weights, 1e-12, "weights");
    }
  }
  // A NaN that may be seen is one in every row that sees it, with the weights or without.
  Tensor seen = clean.clone();
  seen.slice(0, 1, 2).slice(1, 0, 1).fill_(std::numeric_limits<double>::quiet_NaN());
  for (const bool need_weights : {true, false}) {
    const AttentionOutput y = layer_.forward(x, seen, seen, {.key_padding_mask = hidden, .need_weights = need_weights});
    const std::vector<double> values = y.output.to_vector<double>();
    for (size_t i = 0; i < values.size(); ++i) EXPECT_EQ(std::isnan(values[i]), i >= values.size() / 2) << i;
  }
}

TEST_F(Attention, BlindQueriesGetZerosFromTheirHeads) {
  const Tensor x = random({1, 3, 6});
  Tensor all = empty({1, 3}, DType::kU8).fill_(1);
  for (const bool need_weights : {true, false}) {
    const AttentionOutput y = layer_.forward(x, x, x, {.key_padding_mask = all, .need_weights = need_weights});
    expect_close(y.output, layer_.out_proj->bias.latent().expand({1, 3, 6}), 1e-15, "only the output bias");
    if (need_weights) {
      EXPECT_EQ(y.weights.sum().item(), 0);
    }
  }
}

TEST_F(Attention, TakesSequencesWithoutABatch) {
  const Tensor x = random({4, 6});
  const AttentionOutput one = layer_.forward(x, x, x);
  const AttentionOutput batch = layer_.forward(x.unsqueeze(0), x.unsqueeze(0), x.unsqueeze(0));
  expect_close(one.output, batch.output.squeeze(0), 1e-15, "output");
  EXPECT_EQ(one.weights.shape(), Shape({4, 4}));
}

TEST_F(Attention, DropsWeightsInTrainingOnly) {
  MultiheadAttention layer({.embed_dim = 6, .num_heads = 2, .dropout = 0.5, .batch_first = true});
  layer.to(DType::kF64);
  const Tensor x = random({1, 5, 6});
  manual_seed(1);
  const double first = layer.forward(x, x, x, {.need_weights = false}).output[0][0][0].item();
  const double second = layer.forward(x, x, x, {.need_weights = false}).output[0][0][0].item();
  EXPECT_NE(first, second);
  layer.eval();
  EXPECT_EQ(layer.forward(x, x, x, {.need_weights = false}).output[0][0][0].item(),
            layer.forward(x, x, x, {.need_weights = false}).output[0][0][0].item());
}

TEST_F(Attention, RefusesWhatDoesNotFit) {
  using test::message_of;
  const Tensor x = random({2, 4, 6}), narrow = random({2, 4, 5});
  EXPECT_EQ(message_of([&] { layer_.forward(x, narrow, x); }),
            "[multihead_attention] expected a key [length, N, 6], N first with batch_first, or [length, 6], like the "
            "query's, got [2, 4, 5]");
  EXPECT_EQ(message_of([&] {
              layer_.forward(x, x, x, {.attn_mask = random({3, 4})});
            }),
            "[multihead_attention] expected attn_mask [4, 4] or [4, 4, 4], got [3, 4]");
  EXPECT_EQ(message_of([&] {
              layer_.forward(x, x, x, {.key_padding_mask = empty({2, 4}, DType::kI64).zero_()});
            }),
            "[multihead_attention] expected a mask of u8 or f64, got i64 [2, 4]");
  EXPECT_EQ(message_of([] { MultiheadAttention({.embed_dim = 6, .num_heads = 4}); }),
            "[MultiheadAttention] expected num_heads that divides embed_dim, got 4 and 6");
  EXPECT_EQ(message_of([&] { layer_(x); }), "[forward] MultiheadAttention has no forward of one tensor");
}

}  // namespace
}  // namespace tern::nn
