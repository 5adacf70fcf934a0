// Optimizers, clipping and weight averaging against PyTorch over a hundred steps.
#include <limits>
#include <memory>
#include <optional>

#include <tern/optim/adam.h>
#include <tern/optim/clip.h>
#include <tern/optim/ema.h>
#include <tern/optim/sgd.h>

#include "optim/support.h"

namespace tern {
namespace {

using io::Json;
using test::Problem;

std::optional<double> number(const Json& options, std::string_view key) {
  const Json* v = options.find(key);
  return v == nullptr ? std::nullopt : std::optional(v->as_number());
}
std::optional<bool> flag(const Json& options, std::string_view key) {
  const Json* v = options.find(key);
  return v == nullptr ? std::nullopt : std::optional(v->as_bool());
}
std::optional<std::array<double, 2>> betas(const Json& options) {
  const Json* v = options.find("betas");
  return v == nullptr ? std::nullopt : std::optional(std::array{(*v)[0].as_number(), (*v)[1].as_number()});
}

std::unique_ptr<optim::Optimizer> make(const Json& c, Problem& problem) {
  struct Piece {
    std::vector<Tensor> params;
    Json options;
  };
  std::vector<Piece> pieces;
  if (const Json* groups = c.find("groups")) {
    for (const Json& group : groups->items()) {
      Piece piece{.params = {}, .options = group};
      for (const Json& name : group.at("params").items()) piece.params.push_back(problem[name.as_string()]);
      pieces.push_back(piece);
    }
  } else {
    pieces.push_back({.params = problem.all(), .options = Json::object()});
  }
  const Json& o = c.at("options");
  const std::string& kind = c.at("optimizer").as_string();
  if (kind == "SGD") {
    std::vector<optim::SgdGroup> groups;
    for (const auto& [params, own] : pieces)
      groups.push_back({.params = params,
                        .lr = number(own, "lr"),
                        .momentum = number(own, "momentum"),
                        .dampening = number(own, "dampening"),
                        .weight_decay = number(own, "weight_decay"),
                        .nesterov = flag(own, "nesterov")});
    return std::make_unique<optim::Sgd>(optim::SgdOptions{.lr = number(o, "lr"),
                                                          .momentum = number(o, "momentum").value_or(0),
                                                          .dampening = number(o, "dampening").value_or(0),
                                                          .weight_decay = number(o, "weight_decay").value_or(0),
                                                          .nesterov = flag(o, "nesterov").value_or(false)},
                                        groups);
  }
  std::vector<optim::AdamGroup> groups;
  for (const auto& [params, own] : pieces)
    groups.push_back({.params = params,
                      .lr = number(own, "lr"),
                      .betas = betas(own),
                      .eps = number(own, "eps"),
                      .weight_decay = number(own, "weight_decay"),
                      .amsgrad = flag(own, "amsgrad")});
  const auto fill = [&](auto options) {
    if (const auto v = number(o, "lr")) options.lr = *v;
    if (const auto v = betas(o)) options.betas = *v;
    if (const auto v = number(o, "eps")) options.eps = *v;
    if (const auto v = number(o, "weight_decay")) options.weight_decay = *v;
    if (const auto v = flag(o, "amsgrad")) options.amsgrad = *v;
    return options;
  };
  if (kind == "Adam") return std::make_unique<optim::Adam>(fill(optim::AdamOptions{}), groups);
  if (kind == "AdamW") return std::make_unique<optim::AdamW>(fill(optim::AdamWOptions{}), groups);
  throw std::runtime_error("unknown optimizer " + kind);
}

void run_file(const std::string& name, DType dtype, double tolerance) {
  const Json file = test::golden(name);
  for (const Json& c : file.at("cases").items()) {
    SCOPED_TRACE(name + " " + c.at("name").as_string() + " " + to_string(dtype));
    Problem problem(file, dtype);
    const auto optimizer = make(c, problem);
    std::vector<double> first_rates;
    for (int64_t g = 0; g < optimizer->group_count(); ++g) first_rates.push_back(optimizer->lr(g));
    std::set<std::string> without;
    if (const Json* names = c.find("no_gradient"))
      for (const Json& n : names->items()) without.insert(n.as_string());
    const bool changing = c.at("name").as_string().ends_with("changing_rate");
    for (int t = 0; t < 100; ++t) {
      if (changing)
        for (int64_t g = 0; g < optimizer->group_count(); ++g)
          optimizer->set_lr(g, first_rates[static_cast<size_t>(g)] * std::pow(0.97, t));
      optimizer->zero_grad();
      problem.set_gradients(t, without);
      optimizer->step();
      test::expect_after(problem, c.at("after"), t + 1, tolerance);
    }
  }
}

class OptimizerGolden : public ::testing::TestWithParam<const char*> {};

TEST_P(OptimizerGolden, InDoublePrecision) {
  run_file(GetParam(), DType::kF64, test::kExact);
}
TEST_P(OptimizerGolden, InSinglePrecision) {
  run_file(GetParam(), DType::kF32, test::kSingle);
}

INSTANTIATE_TEST_SUITE_P(Files, OptimizerGolden, ::testing::Values("sgd", "adam", "adamw", "groups"),
                         [](const auto& each) { return std::string(each.param); });

TEST(ClipGolden, NormAndValueOverAHundredSteps) {
  const Json file = test::golden("clip");
  for (const Json& c : file.at("cases").items()) {
    SCOPED_TRACE(c.at("name").as_string());
    Problem problem(file);
    const auto optimizer = make(c, problem);
    for (int t = 0; t < 100; ++t) {
      optimizer->zero_grad();
      problem.set_gradients(t);
      if (c.at("clip").as_string() == "norm") {
        const std::string& type = c.at("norm_type").as_string();
        const double norm_type = type == "inf" ? std::numeric_limits<double>::infinity() : std::stod(type);
        EXPECT_EQ(optim::grad_norm(problem.all(), norm_type),
                  optim::grad_norm(problem.all(), norm_type));  // asking changes nothing
        const double norm =
            optim::clip_grad_norm_(problem.all(), c.at("max_norm").as_number(), {.norm_type = norm_type});
        if (const Json* wanted = c.at("norm_before_clipping").find(std::to_string(t + 1))) {
          EXPECT_NEAR(norm, wanted->as_number(), test::kExact * norm);
        }
      } else {
        optim::clip_grad_value_(problem.all(), c.at("clip_value").as_number());
      }
      optimizer->step();
      test::expect_after(problem, c.at("after"), t + 1, test::kExact);
    }
  }
}

TEST(EmaGolden, AveragesOverAHundredSteps) {
  const Json file = test::golden("ema");
  for (const Json& c : file.at("cases").items()) {
    SCOPED_TRACE(c.at("name").as_string());
    Problem problem(file);
    const auto optimizer = make(c, problem);
    optim::WeightEma ema(
        problem.all(),
        {.decay = c.at("decay").as_number(),
         .start = c.at("start").as_string() == "initial" ? optim::EmaStart::kInitial : optim::EmaStart::kFirstUpdate});
    for (int t = 0; t < 100; ++t) {
      optimizer->zero_grad();
      problem.set_gradients(t);
      optimizer->step();
      ema.update();
      test::expect_after(problem, c.at("after"), t + 1, test::kExact);
      const optim::WeightEma::Swapped averages(ema);
      test::expect_after(problem, c.at("average"), t + 1, test::kExact);
    }
  }
}

}  // namespace
}  // namespace tern
