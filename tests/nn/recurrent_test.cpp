#include <cmath>

#include <gtest/gtest.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/reduce.h>
#include <tern/core/ops/shape.h>
#include <tern/core/random.h>
#include <tern/nn/child.h>
#include <tern/nn/layers/recurrent.h>
#include <tern/nn/parametrization.h>
#include <tern/nn/summary.h>

#include "golden_file.h"
#include "message_of.h"
#include "nn/numeric.h"

namespace tern::nn {
namespace {

using test::message_of;

// One case of PyTorch's: its state dict loads unchanged; outputs, states and all gradients are compared.
template <class Layer, class Call>
void expect_like_pytorch(Layer& layer, const test::GoldenCase& c, const Call& call) {
  SCOPED_TRACE(c.name);
  layer.to(DType::kF64);
  const std::vector<std::string> names = c.attributes.at("inputs");
  std::map<std::string, Tensor> given;
  std::map<std::string, std::string> gradient;
  io::TensorMap state;
  for (size_t i = 0; i < names.size(); ++i) {
    given[names[i]] = c["in" + std::to_string(i)].clone().requires_grad_();
    gradient[names[i]] = "grad" + std::to_string(i);
    if (names[i].find("_l") != std::string::npos) state.insert(names[i], given[names[i]].detach());
  }
  layer.load_state_dict(state);
  const auto input = [&](const char* name) { return given.count(name) != 0 ? given[name] : Tensor(); };
  const std::vector<Tensor> results = call(input("x"), input("h"), input("c"));
  Tensor total = empty({}, DType::kF64).zero_();
  for (size_t k = 0; k < results.size(); ++k) {
    const std::string number = k == 0 ? "" : std::to_string(k);
    ASSERT_EQ(results[k].shape(), c["out" + number].shape());
    EXPECT_LT(largest_difference(results[k], c["out" + number]), 1e-12) << "output " << k;
    total = add(total, sum(mul(results[k], c["grad_out" + number])));
  }
  EXPECT_FALSE(c.has("out" + std::to_string(results.size())));
  total.backward();
  for (const auto& [name, parameter] : layer.named_parameters())
    EXPECT_LT(largest_difference(parameter.grad(), c[gradient.at(name)]), 1e-11) << name;
  for (const char* name : {"x", "h", "c"}) {
    if (given.count(name) == 0) continue;
    EXPECT_LT(largest_difference(given[name].grad(), c[gradient.at(name)]), 1e-11) << name;
  }
}

template <class Options>
Options options_of(const test::GoldenCase& c) {
  const auto& a = c.attributes;
  Options o;
  o.input_size = a.at("input_size");
  o.hidden_size = a.at("hidden_size");
  if (a.contains("num_layers")) o.num_layers = a.at("num_layers");
  if (a.contains("bias")) o.bias = a.at("bias");
  if (a.contains("batch_first")) o.batch_first = a.at("batch_first");
  if (a.contains("bidirectional")) o.bidirectional = a.at("bidirectional");
  return o;
}

TEST(RecurrentLayers, MatchPyTorch) {
  const auto cases = test::load_golden(std::string(TERN_GOLDEN_DIR) + "/ops/recurrent_modules.safetensors");
  ASSERT_GE(cases.size(), 22u);
  for (const test::GoldenCase& c : cases) {
    if (c.op() == "LSTM") {
      LSTM layer(options_of<LSTM::Options>(c));
      expect_like_pytorch(layer, c, [&](const Tensor& x, const Tensor& h, const Tensor& cell) -> std::vector<Tensor> {
        const auto [output, state] = layer.forward(x, {h, cell});
        return {output, state.h, state.c};
      });
    } else if (c.op() == "GRU") {
      GRU layer(options_of<GRU::Options>(c));
      expect_like_pytorch(layer, c, [&](const Tensor& x, const Tensor& h, const Tensor&) -> std::vector<Tensor> {
        const auto [output, state] = layer.forward(x, h);
        return {output, state};
      });
    } else {
      RNN::Options options = options_of<RNN::Options>(c);
      if (c.attributes.contains("nonlinearity")) options.nonlinearity = RnnNonlinearity::kRelu;
      RNN layer(options);
      expect_like_pytorch(layer, c, [&](const Tensor& x, const Tensor& h, const Tensor&) -> std::vector<Tensor> {
        const auto [output, state] = layer.forward(x, h);
        return {output, state};
      });
    }
  }
}

TEST(RecurrentLayers, NameAndDrawParametersAsPyTorch) {
  LSTM layer({.input_size = 3, .hidden_size = 4, .num_layers = 2, .bidirectional = true});
  std::vector<std::string> names;
  for (const auto& [name, parameter] : layer.named_parameters()) {
    names.push_back(name);
    for (const double v : parameter.to_vector<double>()) EXPECT_LE(std::abs(v), 0.5);
  }
  EXPECT_EQ(names, (std::vector<std::string>{"weight_ih_l0", "weight_hh_l0", "bias_ih_l0", "bias_hh_l0",
                                             "weight_ih_l0_reverse", "weight_hh_l0_reverse", "bias_ih_l0_reverse",
                                             "bias_hh_l0_reverse", "weight_ih_l1", "weight_hh_l1", "bias_ih_l1",
                                             "bias_hh_l1", "weight_ih_l1_reverse", "weight_hh_l1_reverse",
                                             "bias_ih_l1_reverse", "bias_hh_l1_reverse"}));
  EXPECT_EQ(layer.weight_ih(1, 1).latent().shape(), Shape({16, 8}));
  EXPECT_EQ(GRU({.input_size = 3, .hidden_size = 4, .bias = false}).parameters().size(), 2u);
}

TEST(RecurrentLayers, ASequenceIsItsHalvesOneAfterTheOther) {
  LSTM layer({.input_size = 3, .hidden_size = 4, .num_layers = 2});
  layer.to(DType::kF64);
  const Tensor x = random({6, 2, 3});
  const auto [whole, last] = layer.forward(x);
  const LSTMOutput first = layer.forward(x.slice(0, 0, 3)), second = layer.forward(x.slice(0, 3, 6), first.state);
  EXPECT_LT(largest_difference(whole.slice(0, 3, 6), second.output), 1e-14);
  EXPECT_LT(largest_difference(last.c, second.state.c), 1e-14);
}

TEST(RecurrentLayers, AStepAtATimeIsTheWhole) {
  const Tensor x = random({4, 2, 3});
  GRU layer({.input_size = 3, .hidden_size = 5});
  GRUCell cell({.input_size = 3, .hidden_size = 5});
  LSTM long_layer({.input_size = 3, .hidden_size = 5});
  LSTMCell long_cell({.input_size = 3, .hidden_size = 5});
  RNN plain({.input_size = 3, .hidden_size = 5, .nonlinearity = RnnNonlinearity::kRelu});
  RNNCell plain_cell({.input_size = 3, .hidden_size = 5, .nonlinearity = RnnNonlinearity::kRelu});
  const auto copy = [](Recurrent& from, RecurrentCell& to) {
    from.to(DType::kF64), to.to(DType::kF64);
    io::TensorMap state;
    for (const auto& [name, value] : from.named_parameters()) state.insert(name.substr(0, name.size() - 3), value);
    to.load_state_dict(state);
  };
  copy(layer, cell), copy(long_layer, long_cell), copy(plain, plain_cell);
  Tensor h, plain_h;
  LSTMState state;
  for (int64_t t = 0; t < 4; ++t) {
    h = cell.forward(x[t], h).h;
    plain_h = plain_cell.forward(x[t], plain_h).output;
    state = long_cell.forward(x[t], state).state;
  }
  EXPECT_LT(largest_difference(h, layer.forward(x).h[0]), 1e-14);
  EXPECT_LT(largest_difference(plain_h, plain.forward(x).h[0]), 1e-14);
  EXPECT_LT(largest_difference(state.h, long_layer.forward(x).state.h[0]), 1e-14);
  EXPECT_LT(largest_difference(state.c, long_layer.forward(x).state.c[0]), 1e-14);
  EXPECT_EQ(cell.forward(x[0][0]).h.shape(), Shape({5}));
  EXPECT_LT(largest_difference(cell.forward(x[0][0], h[0]).h, cell.forward(x[0], h).h[0]), 1e-14);
}

TEST(RecurrentLayers, DropBetweenLayersInTrainingOnly) {
  LSTM layer({.input_size = 3, .hidden_size = 8, .num_layers = 2, .dropout = 0.5});
  layer.to(DType::kF64);
  const Tensor x = random({3, 2, 3});
  manual_seed(3);
  const Tensor first = layer.forward(x).output, second = layer.forward(x).output;
  EXPECT_GT(largest_difference(first, second), 1e-3);
  manual_seed(3);
  EXPECT_EQ(largest_difference(first, layer.forward(x).output), 0);
  layer.eval();
  EXPECT_EQ(largest_difference(layer.forward(x).output, layer.forward(x).output), 0);
}

struct Tagger : Module {
  Child<LSTM> lstm{this, "lstm", {.input_size = 3, .hidden_size = 4, .batch_first = true, .bidirectional = true}};
  Child<GRU> gru{this, "gru", {.input_size = 8, .hidden_size = 2, .batch_first = true}};
  Tensor forward(const Tensor& x) override {
    const auto [y, state] = lstm(x);
    return gru(y).output;
  }
};

TEST(RecurrentLayers, AreChildrenThatSummariesKnow) {
  Tagger model;
  const Summary table = summary(model, {2, 5, 3});
  ASSERT_EQ(table.rows.size(), 3u);
  EXPECT_EQ(table.rows[1].output, Shape({2, 5, 8}));
  EXPECT_EQ(table.rows[1].macs, 2 * 5 * 2 * 16 * (3 + 4));
  EXPECT_EQ(table.rows[1].type, "LSTM(3, 4, batch_first=true, bidirectional=true)");
  EXPECT_EQ(table.rows[2].output, Shape({2, 5, 2}));
  EXPECT_EQ(table.rows[2].macs, 2 * 5 * 6 * (8 + 2));
  const auto copy = clone(model);
  const Tensor x = random({2, 5, 3}, DType::kF32);
  EXPECT_EQ(largest_difference(model(x), (*copy)(x)), 0);
}

// A weight counts for half of what is trained.
struct HalfOfIt : Parametrization {
  HalfOfIt() : Parametrization("half") {}
  Tensor effective(const Tensor& latent) override { return mul(latent, 0.5); }
};

TEST(RecurrentLayers, ReadTheirWeightsThroughParametrizations) {
  LSTM layer({.input_size = 3, .hidden_size = 4, .num_layers = 2});
  const auto halved = clone(layer);
  for (const char* path : {"weight_hh_l1", "weight_ih_l0"}) {
    layer.get_parameter(path).parametrize(std::make_shared<HalfOfIt>());
    const NoGradGuard no_grad;
    Tensor weight = halved->get_parameter(path).latent();
    weight.mul_(0.5);
  }
  const Tensor x = random({5, 2, 3}, DType::kF32);
  EXPECT_EQ(largest_difference(layer.forward(x).output, halved->forward(x).output), 0);
  sum(layer.forward(x).output).backward();
  sum(halved->forward(x).output).backward();
  EXPECT_LT(largest_difference(layer.get_parameter("weight_hh_l1").latent().grad(),
                               mul(halved->get_parameter("weight_hh_l1").latent().grad(), 0.5)),
            1e-6);
}

TEST(RecurrentLayers, RefuseWhatDoesNotFit) {
  LSTM layer({.input_size = 3, .hidden_size = 4});
  GRU first({.input_size = 3, .hidden_size = 4, .batch_first = true});
  EXPECT_EQ(message_of([&] {
              layer.forward(random({2, 2, 4}, DType::kF32));
            }),
            "[LSTM] expected input [T, N, 3] or [T, 3], got [2, 2, 4]");
  EXPECT_EQ(message_of([&] { first.forward(random({3}, DType::kF32)); }),
            "[GRU] expected input [N, T, 3] or [T, 3], got [3]");
  EXPECT_EQ(message_of([&] {
              layer.forward(random({5, 2, 3}, DType::kF32), {random({1, 2, 4}), {}});
            }),
            "[LSTM] expected both h and c or neither, got h alone");
  EXPECT_EQ(message_of([&] {
              layer.forward(random({5, 2, 3}, DType::kF32), {random({2, 4}), random({2, 4})});
            }),
            "[LSTM] expected h [1, 2, 4], got [2, 4]");
  EXPECT_EQ(message_of([&] { layer(random({5, 2, 3}, DType::kF32)); }), "[forward] LSTM has no forward of one tensor");
  EXPECT_EQ(message_of([&] { layer.weight_hh(0, 1); }),
            "[LSTM] expected a layer below 1 and a direction below 1, got 0 and 1");
  EXPECT_EQ(message_of([] { LSTM({.input_size = 3}); }),
            "[LSTM] expected input_size and hidden_size of at least 1, got 3 and 0");
  EXPECT_EQ(message_of([] { RNN({.input_size = 3, .hidden_size = 2, .num_layers = 0}); }),
            "[RNN] expected num_layers of at least 1, got 0");
  EXPECT_EQ(message_of([] { GRU({.input_size = 3, .hidden_size = 2, .dropout = 2}); }),
            "[GRU] expected dropout in [0, 1], got 2");
  EXPECT_EQ(message_of([] { GRUCell({.hidden_size = 2}); }),
            "[GRUCell] expected input_size and hidden_size of at least 1, got 0 and 2");
  LSTMCell cell({.input_size = 3, .hidden_size = 4});
  EXPECT_EQ(message_of([&] {
              cell.forward(random({2, 5}, DType::kF32));
            }),
            "[LSTMCell] expected input [N, 3] or [3], got [2, 5]");
  EXPECT_EQ(message_of([&] {
              cell.forward(random({2, 3}, DType::kF32), {random({3, 4}), random({3, 4})});
            }),
            "[LSTMCell] expected h [2, 4], got [3, 4]");
}

}  // namespace
}  // namespace tern::nn
