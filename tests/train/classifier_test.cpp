// What the classifier's configuration does to a model.
#include <gtest/gtest.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/nn/child.h>
#include <tern/nn/linear.h>
#include <tern/quant/codeq/codeq.h>
#include <tern/train/classifier.h>

#include "message_of.h"

namespace tern::train {
namespace {

namespace codeq = quant::codeq;
using Names = std::vector<std::string>;

struct TwoLayers : nn::Module {
  nn::Child<nn::Linear> first{this, "first", {.in_features = 4, .out_features = 4}};
  nn::Child<nn::Linear> second{this, "second", {.in_features = 4, .out_features = 2}};
  Tensor forward(const Tensor& x) override { return second(first(x)); }
};

// A model whose first layer came with a quantizer, moved from where it started.
void attach_first(TwoLayers& model) {
  codeq::attach(model, {.exclude = {"second"}, .bits = codeq::Learnable{}});
  const NoGradGuard no_grad;
  Tensor logit = model.get_parameter("first.weight.codeq.logit_dz").latent();
  logit.fill_(1.25);
}

TEST(AttachCodeq, TakesTheLogitsOfFormerQuantizersOn) {
  TwoLayers model;
  attach_first(model);
  EXPECT_EQ(attach_codeq(model, {.mode = "fixed", .bits = 3, .exclude = {}}), "CoDeQ on 2 layers: first second");
  EXPECT_EQ(codeq::attached_layers(model), (Names{"first", "second"}));
  EXPECT_EQ(model.get_parameter("first.weight.codeq.logit_dz").latent().item(), 1.25);
  EXPECT_EQ(model.first->weight.parametrization_as<codeq::Quantizer>()->options().dead_zone.fixed_bits, 3);
}

TEST(AttachCodeq, LeavesTheModelAsItWasWhereItThrows) {
  TwoLayers model;
  attach_first(model);
  const nn::Parametrization* before = model.first->weight.parametrization();
  for (const bool enabled : {true, false}) {
    codeq::set_enabled(model, enabled);
    EXPECT_EQ(test::message_of<ValueError>([&] { (void)attach_codeq(model, {.mode = "fixed", .exclude = {"thrid"}}); }),
              "[codeq] expected exclude patterns that match a convolution or linear layer, got \"thrid\", which "
              "matches none");
    EXPECT_EQ(codeq::attached_layers(model), Names{"first"});
    EXPECT_EQ(model.first->weight.parametrization(), before);
    EXPECT_EQ(model.first->weight.is_parametrized(), enabled);
  }
}

}  // namespace
}  // namespace tern::train
