// A layer that stands in several places of a model: every method treats it as one.
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tern/core/ops/activation.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/operators.h>
#include <tern/core/ops/reduce.h>
#include <tern/core/random.h>
#include <tern/nn/child.h>
#include <tern/nn/layers/linear.h>
#include <tern/optim/sgd.h>
#include <tern/quant/bitnet/convert.h>
#include <tern/quant/bitnet/lrc.h>
#include <tern/quant/bitnet/pack.h>
#include <tern/quant/codeq/codeq.h>
#include <tern/quant/layers/packed_linear.h>
#include <tern/quant/layers/packed_state.h>
#include <tern/quant/packed/ternary.h>

#include "message_of.h"

namespace tern::quant {
namespace {

using test::message_of;

struct Net : nn::Module {
  nn::Child<nn::Linear> a{this, "a", {.in_features = 8, .out_features = 8}};
  nn::Child<nn::Linear> b{this, "b", {.in_features = 8, .out_features = 8}};
  Tensor forward(const Tensor& x) override { return b(relu(a(x))); }
};

struct Shared : Net {
  Shared() { replace("b", get_module("a")); }
};

template <class T>
void expect_one(const Net& net) {
  EXPECT_EQ(net.get_module("a"), net.get_module("b"));
  EXPECT_NE(dynamic_cast<const T*>(net.get_module("a").get()), nullptr) << net.get_module("a")->type_name();
}

TEST(SharedLayer, IsConvertedOnceInBothPlaces) {
  Shared net;
  const auto report = bitnet::convert(net);
  EXPECT_EQ(to_string(report), "converted 1 layers (0 with SubLN), left 0");
  expect_one<bitnet::BitLinear>(net);
  EXPECT_EQ(bitnet::convert(net).before.size(), 1u);
  EXPECT_EQ(net.parameters().size(), 2u);
  optim::Sgd optimizer(net.parameters(), {.lr = 0.1});
  sum(net(randn({2, 8}))).backward();
  optimizer.step();
}

TEST(SharedLayer, IsNamedByAnyOfItsPaths) {
  Shared excluded;
  EXPECT_THROW(bitnet::convert(excluded, {.exclude = {"b"}}), ValueError) << "nothing is left to convert";
  Shared with_norm;
  const auto report =
      bitnet::convert(with_norm, {.subln = bitnet::SubLn::kOutputProjections, .output_projections = {"b"}});
  EXPECT_TRUE(report.converted.at(0).subln);
  Shared spared;
  EXPECT_THROW(codeq::attach(spared, {.exclude = {"b"}}), ValueError);
  EXPECT_EQ(codeq::attach(spared).attached, std::vector<std::string>{"a"});
  EXPECT_EQ(codeq::layer_states(spared).size(), 1u);
}

TEST(SharedLayer, IsCorrectedAndPackedAndRestored) {
  Net net;
  bitnet::convert(net, {.exclude = {"b"}});
  net.replace("b", net.get_module("a"));
  const Tensor x = randn({3, 8});
  const Tensor expected = net(x);
  Shared fresh;
  bitnet::restore_conversion(fresh, bitnet::describe_conversion(net));
  expect_one<bitnet::BitLinear>(fresh);
  fresh.load_state_dict(net.state_dict());
  EXPECT_TRUE(equal(fresh(x), expected));

  bitnet::convert_to_lrc(fresh, {.rank_percentage = 0.25});
  expect_one<bitnet::BitLinearLrc>(fresh);
  EXPECT_EQ(fresh.parameters().size(), 4u);
  Shared corrected;
  bitnet::restore_conversion(corrected, bitnet::describe_conversion(fresh));
  expect_one<bitnet::BitLinearLrc>(corrected);

  net.eval();
  EXPECT_EQ(bitnet::pack(net).size(), 1u);
  expect_one<PackedLinear>(net);
  Shared loaded;
  load_into(loaded, state_of(net, packed::pack2_linear));
  expect_one<PackedLinear>(loaded);
  EXPECT_TRUE(equal(loaded(x), net(x)));
}

TEST(SharedLayer, FailedLoadPutsTheOldOneBackEverywhere) {
  Net converted;
  bitnet::convert(converted, {.exclude = {"b"}});
  converted.replace("b", converted.get_module("a"));
  bitnet::pack(converted);
  packed::Content content = state_of(converted, packed::pack2_linear);
  content.tensors.insert("c.weight", zeros({1}));
  Shared net;
  const auto before = net.get_module("a");
  EXPECT_THROW(load_into(net, content), ValueError);
  EXPECT_EQ(net.get_module("a"), before);
  EXPECT_EQ(net.get_module("b"), before);
}

TEST(TiedBias, LeavesTheLayerAsItIs) {
  Net net;
  net.a->bias.tie(net.b->bias);
  EXPECT_NE(message_of<ValueError>([&] { bitnet::convert(net); }).find("its bias is tied to another"),
            std::string::npos);
  net.a->bias.untie();
  bitnet::convert(net);
  net.a.get_if<bitnet::BitLinear>()->weight.tie(net.b.get_if<bitnet::BitLinear>()->weight);
  EXPECT_THROW(bitnet::convert_to_lrc(net, {.rank_percentage = 0.25}), ValueError);
}

}  // namespace
}  // namespace tern::quant
