#include <gtest/gtest.h>

#include <tern/core/ops/copy.h>
#include <tern/core/ops/shape.h>

#include "nn/toys.h"

namespace tern::nn {
namespace {

class Parametrized : public ::testing::Test {
 protected:
  Parametrized() { block_.first->weight.parametrize(halve_); }
  double read() const { return block_.first->weight()[0].item(); }

  Block block_{2};
  std::shared_ptr<Halve> halve_ = std::make_shared<Halve>();
};

TEST_F(Parametrized, LayersReadTheEffectiveValue) {
  EXPECT_EQ(read(), 1);
  EXPECT_EQ(block_(full_of({2}, 1))[0].item(), 3);
  EXPECT_EQ(block_.first->weight.latent()[0].item(), 2);
  EXPECT_EQ(block_.first->weight.parametrization_as<Halve>(), halve_.get());
  EXPECT_TRUE(block_.first->weight.is_parametrized());
}

TEST_F(Parametrized, NamesAreStableAndItsParametersFollow) {
  std::vector<std::string> names;
  for (const auto& [name, tensor] : block_.state_dict()) names.push_back(name);
  EXPECT_EQ(names, (std::vector<std::string>{"first.weight", "first.weight.halve.gain", "first.calls", "second.weight",
                                             "second.bias"}));
  EXPECT_EQ(&block_.get_parameter("first.weight.halve.gain"), &halve_->gain);
  EXPECT_EQ(block_.named_modules().size(), 3u) << "a parametrization is not a layer";
  io::TensorMap state = block_.state_dict();
  state.set("first.weight.halve.gain", full_of({}, 6));
  block_.load_state_dict(state);
  EXPECT_EQ(halve_->gain.latent().item(), 6);
  EXPECT_EQ(read(), 6);
}

TEST_F(Parametrized, GradientsReachLatentAndOwnParameters) {
  block_(full_of({2}, 1)).sum().backward();
  EXPECT_EQ(block_.first->weight.latent().grad().to_vector<double>(), (std::vector<double>{1.5, 1.5}));
  EXPECT_EQ(halve_->gain.latent().grad().item(), 6);
}

TEST_F(Parametrized, IsComputedOnceUntilSomethingChanges) {
  const NoGradGuard no_grad;
  Tensor latent = block_.first->weight.latent(), gain = halve_->gain.latent();
  EXPECT_EQ(read(), 1);
  EXPECT_EQ(read(), 1);
  EXPECT_EQ(halve_->computed, 1);
  latent.mul_(4);
  EXPECT_EQ(read(), 4);
  gain.fill_(2);
  EXPECT_EQ(read(), 8);
  EXPECT_EQ(halve_->computed, 3);
  block_.eval();
  EXPECT_EQ(read(), 4);
  halve_->changed();
  EXPECT_EQ(read(), 4);
  EXPECT_EQ(halve_->computed, 5);
  block_.to(DType::kF32);
  block_.to(DType::kF64);
  EXPECT_EQ(read(), 4);
  EXPECT_EQ(halve_->computed, 6) << "converted tensors are new ones";
  halve_->gain.set(full({}, 4, DType::kF64));
  const double four = read();
  halve_->gain.set(full({}, 8, DType::kF64));  // written to as often as the one before
  EXPECT_EQ(read(), 2 * four);
}

TEST_F(Parametrized, WhileGradientsAreRecordedEveryReadIsAFreshGraph) {
  read();
  read();
  EXPECT_EQ(halve_->computed, 2);
  {
    const NoGradGuard no_grad;
    read();
  }
  EXPECT_TRUE(block_.first->weight().requires_grad()) << "the value kept without a graph must not be handed out";
  block_.requires_grad_(false);
  const int64_t before = halve_->computed;
  EXPECT_FALSE(block_.first->weight().requires_grad());
  EXPECT_EQ(halve_->computed, before) << "nothing to record, nothing changed";
}

TEST_F(Parametrized, NoisyOnesAreNeverKept) {
  struct Noisy : Halve {
    bool is_cacheable() const override { return false; }
  };
  auto noisy = std::make_shared<Noisy>();
  block_.second->weight.parametrize(noisy);
  const NoGradGuard no_grad;
  block_.second->weight();
  block_.second->weight();
  EXPECT_EQ(noisy->computed, 2);
}

TEST_F(Parametrized, CanBeSwitchedOffBakedAndRemoved) {
  Parameter& weight = block_.first->weight;
  weight.set_parametrized(false);
  EXPECT_FALSE(weight.is_parametrized());
  EXPECT_EQ(read(), 2);
  EXPECT_TRUE(weight().is_same(weight.latent()));
  weight.set_parametrized(true);
  EXPECT_EQ(weight.remove_parametrization(/*bake=*/true), halve_);
  EXPECT_EQ(read(), 1);
  EXPECT_EQ(weight.latent()[0].item(), 1);
  EXPECT_TRUE(weight.latent().requires_grad());
  EXPECT_EQ(weight.remove_parametrization(), nullptr);
  EXPECT_THROW(weight.set_parametrized(true), StateError);
}

TEST_F(Parametrized, RefusesWhatWouldBeLost) {
  EXPECT_THROW(block_.first->weight.parametrize(std::make_shared<Halve>()), StateError);
  EXPECT_THROW(block_.first->weight.set(full_of({2}, 1)), StateError);
  EXPECT_THROW(block_.first->bias.parametrize(std::make_shared<Halve>()), StateError) << "absent";
  EXPECT_THROW(block_.second->weight.parametrize(std::shared_ptr<Halve>()), ValueError);
  struct Bad : Parametrization {
    Bad() : Parametrization("a.b") {}
    Tensor effective(const Tensor& latent) override { return latent; }
  };
  EXPECT_THROW(Bad(), ValueError);
}

TEST_F(Parametrized, ErrorsInsideNameTheParameter) {
  struct Failing : Parametrization {
    Failing() : Parametrization("failing") {}
    Tensor effective(const Tensor&) override { throw ValueError("[failing] expected better"); }
  };
  block_.second->weight.parametrize(std::make_shared<Failing>());
  try {
    block_(full_of({2}, 1));
    FAIL();
  } catch (const ValueError& error) {
    EXPECT_STREQ(error.what(), "[failing] expected better (in second.weight)");
  }
}

TEST(ParameterTest, SetKeepsTheWishForAGradient) {
  Block block(2);
  block.first->weight.set(full_of({3}, 1));
  EXPECT_TRUE(block.first->weight.latent().requires_grad());
  EXPECT_EQ(block.first->weight.latent().shape(), Shape({3}));
  block.first->weight.set(Tensor());
  EXPECT_FALSE(block.first->weight.defined());
  EXPECT_EQ(block.named_parameters().size(), 2u);
  EXPECT_FALSE(block.first->weight().defined());
}

}  // namespace
}  // namespace tern::nn
