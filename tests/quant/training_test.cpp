// Training with the dead-zone quantizer, step by step, against PyTorch: tests/golden/codeq/t01 and the traces.
#include <cmath>
#include <optional>
#include <tuple>

#include <tern/core/ops/create.h>
#include <tern/core/ops/loss.h>
#include <tern/core/ops/matmul.h>
#include <tern/core/ops/operators.h>
#include <tern/core/ops/reduce.h>
#include <tern/core/ops/shape.h>
#include <tern/nn/fused.h>
#include <tern/nn/models/resnet_cifar.h>
#include <tern/optim/adam.h>
#include <tern/optim/sgd.h>
#include <tern/quant/codeq/codeq.h>

#include "nn/traces.h"

namespace tern::quant::codeq {
namespace {

std::vector<double> numbers(const io::Json& array) {
  std::vector<double> values;
  for (const io::Json& v : array.items()) values.push_back(v.as_number());
  return values;
}

Tensor tensor_of(const io::Json& values, const io::Json& shape) {
  return tensor(numbers(values), test::shape_of(shape));
}

// Values are given with nine digits; the run that made them, and this one, are in double precision.
constexpr double kGiven = 1e-7;

TEST(CodeqTraining, EightAdamwStepsWithThreeGroups) {
  const io::Json t =
      io::Json::parse_file("golden", std::string(TERN_GOLDEN_DIR) + "/codeq/t01_adamw_three_groups.json");
  Tensor w = tensor_of(t.at("W0"), t.at("W_shape"));
  w.requires_grad_();
  const Tensor x = tensor_of(t.at("X"), t.at("X_shape")), target = tensor_of(t.at("T"), t.at("T_shape"));
  Tensor logit_dz = full({1}, t.at("logit_dz0").as_number(), DType::kF64),
         logit_bit = full({1}, t.at("logit_bit0").as_number(), DType::kF64);
  logit_dz.requires_grad_();
  logit_bit.requires_grad_();
  const std::vector<double> lr = numbers(t.at("lr")), decay = numbers(t.at("weight_decay"));
  optim::AdamW adamw({}, {{.params = {w}, .lr = lr[0], .weight_decay = decay[0]},
                          {.params = {logit_dz}, .lr = lr[1], .weight_decay = decay[1]},
                          {.params = {logit_bit}, .lr = lr[2], .weight_decay = decay[2]}});
  const DeadZoneOptions options{.learnable_bits = true};
  for (size_t step = 0; step < 8; ++step) {
    const Tensor difference = matmul(x, dead_zone_quantize(w, logit_dz, logit_bit, options).transpose(0, 1)) - target;
    const Tensor loss = 0.5 * mean(difference * difference);
    EXPECT_NEAR(loss.item(), t.at("loss_before_step")[step].as_number(), kGiven) << "loss before step " << step;
    adamw.zero_grad();
    loss.backward();
    adamw.step();
    EXPECT_NEAR(logit_dz.item(), t.at("logit_dz")[step].as_number(), kGiven) << "step " << step;
    EXPECT_NEAR(logit_bit.item(), t.at("logit_bit")[step].as_number(), kGiven) << "step " << step;
    EXPECT_EQ(dead_zone_of(w, logit_dz.item(), logit_bit.item(), options).bits, t.at("bits_after_step")[step].as_int())
        << "step " << step;
  }
  const std::vector<double> last = w.to_vector<double>(), wanted = numbers(t.at("W_final"));
  ASSERT_EQ(last.size(), wanted.size());
  for (size_t i = 0; i < last.size(); ++i) EXPECT_NEAR(last[i], wanted[i], kGiven) << "weight " << i;
}

class CodeqTrace : public ::testing::TestWithParam<std::tuple<const char*, const char*, bool>> {};

TEST_P(CodeqTrace, MatchesPyTorch) {
  const auto& [file, precision, fused] = GetParam();
  const bool exact = std::string(precision) == "f64";
  const io::Json trace = test::read_trace(file);
  const io::Json& expected = trace.at(precision);
  std::optional<nn::NoFusionGuard> plain;
  if (!fused) plain.emplace();

  nn::models::ResNetCifar model({.depth = 20});
  const DType dtype = exact ? DType::kF64 : DType::kF32;
  model.to(dtype);
  ASSERT_NO_FATAL_FAILURE(test::fill_by_formula(model, trace.at("tensors")));
  attach(model, {.bits = Learnable{.max_bits = 8},
                 .init_logit_dz = trace.at("logit_dz").as_number(),
                 .init_logit_bit = trace.at("logit_bit").as_number()});

  std::vector<optim::SgdGroup> groups;
  for (const io::Json& group : trace.at("groups").items()) {
    const std::string& params = group.at("params").as_string();
    groups.push_back({.params = params == "logit_dz"    ? dead_zone_logits(model)
                                : params == "logit_bit" ? bit_width_logits(model)
                                                        : base_parameters(model),
                      .lr = group.at("lr").as_number(),
                      .weight_decay = group.at("weight_decay").as_number()});
  }
  optim::Sgd sgd({.momentum = trace.at("momentum").as_number()}, groups);

  const double loss_tolerance = exact ? 1e-8 : 1e-3, logit_tolerance = exact ? 1e-9 : 1e-5;
  for (size_t step = 0; step < 10; ++step) {
    const Tensor loss = cross_entropy(model(test::images_of(trace, static_cast<int64_t>(step), dtype)),
                                      test::labels_of(trace, static_cast<int64_t>(step)));
    const double wanted = expected.at("losses")[step].as_number();
    EXPECT_NEAR(loss.item(), wanted, loss_tolerance * wanted) << "step " << step;
    sgd.zero_grad();
    loss.backward();
    sgd.step();
    double dz = 0, bit = 0;
    const std::vector<LayerState> states = layer_states(model);
    for (const LayerState& layer : states)
      dz += layer.figure("logit_dz").value(), bit += layer.figure("logit_bit").value();
    const double count = static_cast<double>(states.size());
    EXPECT_NEAR(dz / count, expected.at("mean_logit_dz")[step].as_number(), logit_tolerance) << "step " << step;
    EXPECT_NEAR(bit / count, expected.at("mean_logit_bit")[step].as_number(), logit_tolerance) << "step " << step;
  }
  if (!exact) return;

  const LayerTable after = layer_table(model);
  ASSERT_EQ(after.layers.size(), expected.at("layers_after").size());
  for (const LayerState& layer : after.layers) {
    const io::Json& reference = expected.at("layers_after").at(layer.name);
    EXPECT_NEAR(layer.figure("logit_dz").value(), reference.at("logit_dz").as_number(), 1e-9) << layer.name;
    EXPECT_NEAR(layer.figure("logit_bit").value(), reference.at("logit_bit").as_number(), 1e-9) << layer.name;
    EXPECT_EQ(layer.bits, reference.at("bits").as_int()) << layer.name;
    EXPECT_EQ(layer.zeros, reference.at("zeros").as_int()) << layer.name;
    test::expect_sums(model.get_parameter(layer.name + ".weight").latent(), reference.at("latent"), layer.name);
  }
  EXPECT_NEAR(after.sparsity(), expected.at("sparsity_after").as_number(), 1e-12);
}

INSTANTIATE_TEST_SUITE_P(Resnet20, CodeqTrace,
                         ::testing::Values(std::tuple("codeq_resnet20", "f64", true),
                                           std::tuple("codeq_resnet20", "f64", false),
                                           std::tuple("codeq_resnet20", "f32", true),
                                           std::tuple("codeq_resnet20_bits_change", "f64", true),
                                           std::tuple("codeq_resnet20_recipe", "f64", true)));

}  // namespace
}  // namespace tern::quant::codeq
