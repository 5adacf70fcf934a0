#include <gtest/gtest.h>

#include <tern/nn/layers/containers.h>
#include <tern/nn/layers/linear.h>
#include <tern/nn/summary.h>
#include <tern/nn/weight_decay.h>

#include "nn/toys.h"

namespace tern::nn {
namespace {

std::vector<std::string> names(const Module& module) {
  std::vector<std::string> out;
  for (const auto& [name, tensor] : module.named_parameters()) out.push_back(name);
  return out;
}

TEST(Sequential, RunsInOrderUnderNumbersAndNames) {
  Sequential net;
  net.add<Scale>({.size = 2});
  net.append("shift", make<Shift>(1.0));
  net.add<Identity>();
  EXPECT_EQ(net(filled({2}, {1, 2})).to_vector<double>(), (std::vector<double>{3, 5}));
  EXPECT_EQ(names(net), (std::vector<std::string>{"0.weight"}));
  EXPECT_EQ(net.at<Scale>(0).options().size, 2);
  EXPECT_THROW(net.at<Scale>(1), StateError);
  EXPECT_THROW(net[3], ValueError);
  net.replace("shift", make<Identity>());
  EXPECT_EQ(net(filled({2}, {1, 2})).to_vector<double>(), (std::vector<double>{2, 4}));
  const auto copy = clone(net);
  EXPECT_EQ((*copy)(filled({2}, {1, 2})).to_vector<double>(), (std::vector<double>{2, 4}));
  EXPECT_EQ(copy->size(), 3);
}

TEST(ModuleList, NamesItsChildrenInErrors) {
  struct Net : Module {
    Net() {
      blocks->add(2);
      blocks->add(2);
    }
    Tensor forward(const Tensor& x) override {
      Tensor y = x;
      for (const auto& block : *blocks) y = block(y);
      return y;
    }
    Child<ModuleListOf<Block>> blocks{this, "blocks"};
  } net;
  EXPECT_EQ(names(net)[3], "blocks.1.first.weight");
  EXPECT_EQ(net(filled({2}, {1, 2})).to_vector<double>(), (std::vector<double>{36, 72}));
  try {
    net(filled({3}, {1, 2, 3}));
    FAIL();
  } catch (const ShapeError& error) {
    EXPECT_STREQ(error.what(), "[scale] expected 2 values, got [3] (in blocks.0.first)");
  }
  EXPECT_EQ(net.blocks[-1]->first->options().size, 2);
  net.replace("blocks.0", make<Shift>(1.0));
  EXPECT_EQ(net(filled({2}, {0, 1})).to_vector<double>(), (std::vector<double>{6, 12}));
  EXPECT_EQ((*clone(net))(filled({2}, {0, 1})).to_vector<double>(), (std::vector<double>{6, 12}));
}

TEST(ModuleDict, FindsByName) {
  ModuleDict dict;
  dict.insert("a", make<Shift>(1.0));
  dict.insert("b", make<Shift>(2.0));
  EXPECT_EQ(dict["b"](filled({1}, {1})).item(), 3);
  EXPECT_TRUE(dict.contains("a"));
  EXPECT_THROW(dict.insert("a", make<Shift>(1.0)), ValueError);
  try {
    (void)dict["c"];
    FAIL();
  } catch (const ValueError& error) {
    EXPECT_STREQ(error.what(), "[ModuleDict] expected one of a, b, got 'c'");
  }
  dict.erase("a");
  EXPECT_FALSE(dict.contains("a"));
  EXPECT_EQ(clone(dict)->children().size(), 1u);
}

TEST(FlattenLayer, MergesAxes) {
  EXPECT_EQ(Flatten()(empty({2, 3, 4})).shape(), Shape({2, 12}));
  EXPECT_EQ(Flatten({.start_dim = 0, .end_dim = 1})(empty({2, 3, 4})).shape(), Shape({6, 4}));
}

TEST(WeightDecay, SplitsByAxesAndPatterns) {
  Sequential net;
  net.add<Linear>({.in_features = 2, .out_features = 3});
  net.add<Linear>({.in_features = 3, .out_features = 1, .bias = false});
  net.add<Scale>({.size = 1});
  const DecaySplit split = split_weight_decay(net);
  EXPECT_EQ(split.decay.size(), 2u);
  EXPECT_EQ(split.no_decay.size(), 2u);
  EXPECT_EQ(split_weight_decay(net, {"1.*"}).decay.size(), 1u);
  net.at<Linear>(0).requires_grad_(false);
  EXPECT_EQ(split_weight_decay(net).decay.size() + split_weight_decay(net).no_decay.size(), 2u);
}

TEST(SummaryTable, CountsParametersMacsBitsAndZeros) {
  Sequential net;
  net.add<Linear>({.in_features = 4, .out_features = 3});
  net.add<Linear>({.in_features = 3, .out_features = 2, .bias = false});
  net.at<Linear>(1).eval();
  {
    const NoGradGuard no_grad;
    Tensor(net.at<Linear>(1).weight.latent()).fill_(0);
  }
  const Summary s = summary(net, {5, 4});
  ASSERT_EQ(s.rows.size(), 3u);
  EXPECT_EQ(s.rows[1].output, Shape({5, 3}));
  EXPECT_EQ(s.rows[1].macs, 5 * 12);
  EXPECT_EQ(s.macs, 5 * (12 + 6));
  EXPECT_EQ(s.parameters, 15 + 6);
  EXPECT_EQ(s.bits, 32);
  EXPECT_EQ(s.rows[2].zeros, 6);
  EXPECT_TRUE(net.is_training());
  EXPECT_FALSE(net.at<Linear>(1).is_training()) << "modes are put back one by one";
  EXPECT_FALSE(net.at<Linear>(0).has_hooks());
  EXPECT_NE(s.text().find("Linear(4, 3)"), std::string::npos);
  EXPECT_THROW((void)summary(net, Shape{5, 3}), ShapeError);
  EXPECT_FALSE(net.at<Linear>(0).has_hooks()) << "after a failure too";
}

}  // namespace
}  // namespace tern::nn
