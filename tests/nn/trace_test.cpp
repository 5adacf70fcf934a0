// Ten training steps of whole models against PyTorch's.
#include <functional>
#include <memory>

#include <tern/core/ops/loss.h>
#include <tern/core/ops/shape.h>
#include <tern/nn/fused.h>
#include <tern/nn/models/llama.h>
#include <tern/nn/models/resnet.h>
#include <tern/nn/models/resnet_cifar.h>
#include <tern/nn/models/vit.h>
#include <tern/optim/adam.h>
#include <tern/optim/sgd.h>

#include "nn/traces.h"

namespace tern::nn::models {
namespace {

using MakeOptimizer = std::function<std::shared_ptr<optim::Optimizer>(const std::vector<Tensor>&)>;
using Loss = std::function<Tensor(Module&, int64_t step, DType)>;

// Losses in f64 agree to this relative difference, in f32 to that one: tests/golden/README.md.
constexpr double kF64 = 1e-8, kF32 = 1e-3;

void run_trace(const io::Json& trace, Module& model, const char* precision, const MakeOptimizer& make_optimizer,
               const Loss& loss_of) {
  const bool exact = std::string(precision) == "f64";
  const DType dtype = exact ? DType::kF64 : DType::kF32;
  const io::Json& expected = trace.at(precision);
  model.to(dtype);
  ASSERT_NO_FATAL_FAILURE(test::fill_by_formula(model, trace.at("tensors")));
  const auto optimizer = make_optimizer(model.parameters());
  for (int64_t step = 0; step < 10; ++step) {
    const Tensor loss = loss_of(model, step, dtype);
    optimizer->zero_grad();
    loss.backward();
    if (step == 0 && exact) {
      for (const auto& [name, parameter] : model.named_parameters())
        test::expect_sums(parameter.grad(), expected.at("first_gradients").at(name), "gradient of " + name);
    }
    optimizer->step();
    const double wanted = expected.at("losses")[static_cast<size_t>(step)].as_number();
    EXPECT_NEAR(loss.item(), wanted, (exact ? kF64 : kF32) * std::abs(wanted)) << precision << ", step " << step;
  }
  if (!exact) return;
  for (const auto& [name, tensor] : model.state_dict())
    if (tensor.is_floating()) test::expect_sums(tensor, expected.at("final").at(name), name);
}

void expect_values(const Tensor& x, const io::Json& rows, double tolerance, const char* what) {
  const std::vector<double> values = x.to_vector<double>();
  size_t i = 0;
  for (const io::Json& row : rows.items())
    for (const io::Json& v : row.items()) {
      ASSERT_LT(i, values.size());
      EXPECT_NEAR(values[i], v.as_number(), tolerance * std::max(1.0, std::abs(v.as_number()))) << what << " " << i;
      ++i;
    }
  EXPECT_EQ(i, values.size());
}

MakeOptimizer sgd_of(const io::Json& o) {
  const optim::SgdOptions options = {.lr = o.at("lr").as_number(),
                                     .momentum = o.at("momentum").as_number(),
                                     .weight_decay = o.at("weight_decay").as_number()};
  return [options](const std::vector<Tensor>& p) { return std::make_shared<optim::Sgd>(p, options); };
}

MakeOptimizer adamw_of(const io::Json& o) {
  const optim::AdamWOptions options = {.lr = o.at("lr").as_number(), .weight_decay = o.at("weight_decay").as_number()};
  return [options](const std::vector<Tensor>& p) { return std::make_shared<optim::AdamW>(p, options); };
}

Loss image_loss(const io::Json& trace) {
  return [&trace](Module& model, int64_t step, DType dtype) {
    return cross_entropy(model(test::images_of(trace, step, dtype)), test::labels_of(trace, step));
  };
}

Tensor tokens_of(const io::Json& trace, int64_t step) {
  const io::Json& tokens = trace.at("tokens");
  return test::hashed_integers(test::at_step(tokens, step), test::shape_of(tokens.at("shape")),
                               static_cast<uint64_t>(tokens.at("vocab").as_int()));
}

Loss token_loss(const io::Json& trace) {
  return [&trace](Module& model, int64_t step, DType) {
    const Tensor t = tokens_of(trace, step);
    return cross_entropy(model(t.slice(1, 0, 16)).flatten(0, 1), t.slice(1, 1, 17).flatten());
  };
}

TEST(Hashing, MatchesTheWrittenRule) {
  EXPECT_EQ(test::fnv1a64("a"), 0xaf63dc4c8601ec8cull);
  EXPECT_EQ(test::splitmix64(0), 0xe220a8397b1dcdafull);
  EXPECT_EQ(test::hashed_integers("labels/0", {8}, 10).to_vector<int64_t>(),
            (std::vector<int64_t>{3, 2, 2, 7, 8, 6, 4, 4}));
}

class CifarTrace : public ::testing::TestWithParam<std::tuple<const char*, const char*, bool>> {};

TEST_P(CifarTrace, MatchesPyTorch) {
  const auto& [file, precision, fused] = GetParam();
  const io::Json trace = test::read_trace(file);
  std::optional<NoFusionGuard> plain;
  if (!fused) plain.emplace();
  ResNetCifar model({.depth = 20});
  ASSERT_NO_FATAL_FAILURE(run_trace(trace, model, precision, sgd_of(trace.at("options")), image_loss(trace)));
  if (std::string(precision) != "f64") return;
  model.eval();
  const NoGradGuard no_grad;
  expect_values(model(test::images_of(trace, 0, DType::kF64)), trace.at("f64").at("eval_logits_of_images_0"), 1e-7,
                "logit");
}

INSTANTIATE_TEST_SUITE_P(Resnet20, CifarTrace,
                         ::testing::Values(std::tuple("resnet20", "f64", true), std::tuple("resnet20", "f64", false),
                                           std::tuple("resnet20", "f32", true), std::tuple("resnet20", "f32", false),
                                           std::tuple("resnet20_high_rate", "f64", true)));

TEST(Trace, VitMatchesPyTorch) {
  const io::Json trace = test::read_trace("vit");
  const io::Json& c = trace.at("config");
  for (const char* precision : {"f64", "f32"}) {
    Vit model({.image_size = c.at("image").as_int(),
               .patch_size = c.at("patch").as_int(),
               .num_classes = c.at("classes").as_int(),
               .width = c.at("width").as_int(),
               .depth = c.at("depth").as_int(),
               .num_heads = c.at("heads").as_int(),
               .mlp_ratio = c.at("mlp_ratio").as_number()});
    ASSERT_NO_FATAL_FAILURE(run_trace(trace, model, precision, adamw_of(trace.at("options")), image_loss(trace)));
    if (std::string(precision) != "f64") continue;
    model.eval();
    const NoGradGuard no_grad;
    expect_values(model(test::images_of(trace, 0, DType::kF64)), trace.at("f64").at("eval_logits_of_images_0"), 1e-7,
                  "logit");
  }
}

TEST(Trace, LlamaMatchesPyTorch) {
  for (const char* file : {"llama", "llama_tied"}) {
    const io::Json trace = test::read_trace(file);
    for (const char* precision : {"f64", "f32"}) {
      Llama model(Llama::options_from_hugging_face(trace.at("config")));
      ASSERT_NO_FATAL_FAILURE(run_trace(trace, model, precision, adamw_of(trace.at("options")), token_loss(trace)));
      if (std::string(precision) != "f64") continue;
      KeyValueCache cache = model.make_cache(4);
      expect_values(model.step(tokens_of(trace, 0).slice(1, 0, 16), cache),
                    trace.at("f64").at("last_position_logits_of_tokens_0"), 1e-7, "logit");
    }
  }
}

TEST(Trace, ImageNetResNetsMatchPyTorch) {
  for (const int64_t depth : {18, 50}) {
    const io::Json trace = test::read_trace(concat("resnet", depth));
    const io::Json& expected = trace.at("f64");
    ResNet model({.depth = depth, .num_classes = 10});
    model.to(DType::kF64);
    ASSERT_NO_FATAL_FAILURE(test::fill_by_formula(model, trace.at("tensors")));
    const Tensor x = test::images_of(trace, 0, DType::kF64);
    model.eval();
    {
      const NoGradGuard no_grad;
      expect_values(model(x), expected.at("eval_logits"), 1e-8, "evaluation logit");
    }
    model.train();
    const Tensor logits = model(x);
    expect_values(logits, expected.at("train_logits"), 1e-8, "training logit");
    Tensor labels = empty({2}, DType::kI64);
    for (size_t i = 0; i < 2; ++i) labels.data<int64_t>()[i] = trace.at("labels")[i].as_int();
    const Tensor loss = cross_entropy(logits, labels);
    EXPECT_NEAR(loss.item(), expected.at("train_loss").as_number(), 1e-8);
    loss.backward();
    for (const auto& [name, parameter] : model.named_parameters())
      test::expect_sums(parameter.grad(), expected.at("gradients").at(name), "gradient of " + name);
    for (const auto& [name, buffer] : model.named_buffers())
      if (buffer.is_floating()) test::expect_sums(buffer, expected.at("buffers_after").at(name), name);
  }
}

}  // namespace
}  // namespace tern::nn::models
