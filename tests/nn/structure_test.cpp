// What StructureGuard puts back, and what it leaves.
#include <gtest/gtest.h>

#include <tern/core/ops/create.h>
#include <tern/core/ops/elementwise.h>
#include <tern/nn/child.h>
#include <tern/nn/layers/linear.h>
#include <tern/nn/structure.h>

namespace tern::nn {
namespace {

struct Scale : Parametrization {
  Parameter gain{this, "gain", ones({})};
  Scale() : Parametrization("scale") {}
  Tensor effective(const Tensor& latent) override { return mul(latent, 2); }
};

struct Block : Module {
  Child<Linear> a{this, "a", {.in_features = 2, .out_features = 2}};
  Child<Linear> b{this, "b", {.in_features = 2, .out_features = 2}};
  Tensor forward(const Tensor& x) override { return b(a(x)); }
};
struct Net : Module {
  Child<Block> block{this, "block"};
  Child<Linear> head{this, "head", {.in_features = 2, .out_features = 2}};
  Tensor forward(const Tensor& x) override { return head(block(x)); }
};

TEST(StructureGuard, PutsModulesAndParametrizationsBack) {
  Net net;
  net.head->weight.parametrize(std::make_shared<Scale>());
  net.head->weight.set_parametrized(false);
  const auto block = net.get_module("block"), a = net.get_module("block.a");
  const Parametrization* scale = net.head->weight.parametrization();
  {
    StructureGuard guard(net);
    net.replace("block.a", make<Linear>({.in_features = 2, .out_features = 2}));
    net.replace("block", make<Block>());
    net.get_parameter("block.b.weight").parametrize(std::make_shared<Scale>());
    net.head->weight.set_parametrized(true);
    net.head->weight.remove_parametrization();
    net.head->bias.parametrize(std::make_shared<Scale>());
  }
  EXPECT_EQ(net.get_module("block"), block);
  EXPECT_EQ(net.get_module("block.a"), a);
  EXPECT_EQ(net.head->weight.parametrization(), scale);
  EXPECT_FALSE(net.head->weight.is_parametrized());
  EXPECT_EQ(net.head->bias.parametrization(), nullptr);
  EXPECT_EQ(net.get_parameter("block.b.weight").parametrization(), nullptr);
}

TEST(StructureGuard, KeepsWhatItIsToldTo) {
  Net net;
  const auto other = make<Linear>({.in_features = 2, .out_features = 2});
  {
    StructureGuard guard(net);
    net.replace("head", other);
    guard.keep();
  }
  EXPECT_EQ(net.get_module("head"), other);
}

TEST(StructureGuard, RestoresOnce) {
  Net net;
  const auto head = net.get_module("head");
  StructureGuard guard(net);
  net.replace("head", make<Linear>({.in_features = 2, .out_features = 2}));
  guard.restore();
  EXPECT_EQ(net.get_module("head"), head);
  const auto later = make<Linear>({.in_features = 2, .out_features = 2});
  net.replace("head", later);
  EXPECT_EQ(net.get_module("head"), later);
}

}  // namespace
}  // namespace tern::nn
