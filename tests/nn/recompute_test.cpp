#include <gtest/gtest.h>

#include <tern/core/ops/dropout.h>
#include <tern/core/random.h>
#include <tern/nn/layers/dropout.h>
#include <tern/nn/layers/linear.h>
#include <tern/nn/recompute.h>

#include "nn/toys.h"

namespace tern::nn {
namespace {

// Two linear layers with dropout between them, the block that is run again, and a counter of its runs.
struct Body : Module {
  Tensor forward(const Tensor& x) override {
    ++runs;
    counter().add_(1);
    return second(drop(first(x)));
  }
  int runs = 0;
  Child<Linear> first{this, "first", {.in_features = 6, .out_features = 8}};
  Child<Dropout> drop{this, "drop", {.p = 0.5}};
  Child<Linear> second{this, "second", {.in_features = 8, .out_features = 3}};
  Buffer counter{this, "counter", empty({}, DType::kI64).fill_(0)};
};

struct TwoBlocks : Module {
  Tensor forward(const Tensor& x) override { return again ? recompute(body, x) : body(x); }
  bool again = false;
  Child<Body> body{this, "body"};
};

std::vector<std::vector<double>> gradients(TwoBlocks& net, const Tensor& x, bool again) {
  net.again = again;
  net.zero_grad();
  manual_seed(5);
  net(x).sum().backward();
  // Numbers drawn after the backward continue where the forward left off.
  std::vector<std::vector<double>> out = {{default_generator().uniform()}};
  for (const Tensor& p : net.parameters()) out.push_back(p.grad().to_vector<double>());
  return out;
}

TEST(Checkpoint, GivesTheSameGradientsWithReplayedRandomness) {
  TwoBlocks net;
  net.to(DType::kF64);
  const Tensor x = full_of({4, 6}, 0.3);
  EXPECT_EQ(gradients(net, x, false), gradients(net, x, true)) << "though x itself wants no gradient";
  EXPECT_EQ(net.body->runs, 3);
  EXPECT_EQ(net.body->counter().item<int64_t>(), 2) << "buffers count the block's batch once";
}

TEST(Checkpoint, PassesTheInputsGradientOn) {
  TwoBlocks net;
  net.to(DType::kF64);
  net.requires_grad_(false);
  Tensor x = full_of({2, 6}, 0.3);
  x.requires_grad_();
  manual_seed(5);
  net(x).sum().backward();
  const auto plain = x.grad().to_vector<double>();
  x.zero_grad();
  net.again = true;
  manual_seed(5);
  net(x).sum().backward();
  EXPECT_EQ(x.grad().to_vector<double>(), plain);
}

TEST(Checkpoint, NoticesParametersThatChangedMeanwhile) {
  TwoBlocks net;
  net.again = true;
  const Tensor loss = net(empty({2, 6}).fill_(1)).sum();
  {
    const NoGradGuard no_grad;
    Tensor(net.body->first->weight.latent()).fill_(1);
  }
  EXPECT_THROW(loss.backward(), StateError);
}

TEST(Checkpoint, WithoutGradModeIsJustACall) {
  TwoBlocks net;
  net.again = true;
  const NoGradGuard no_grad;
  EXPECT_FALSE(net(empty({2, 6}).fill_(1)).requires_grad());
  EXPECT_EQ(net.body->runs, 1);
}

}  // namespace
}  // namespace tern::nn
