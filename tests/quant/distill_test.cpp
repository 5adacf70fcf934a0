// Distillation losses against their formulas in plain loops, their gradients, and a student that learns.
#include <cmath>
#include <vector>

#include <gtest/gtest.h>

#include <tern/core/autograd/gradcheck.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/operators.h>
#include <tern/core/ops/reduce.h>
#include <tern/nn/layers/linear.h>
#include <tern/nn/models/llama.h>
#include <tern/optim/adam.h>
#include <tern/quant/bitnet/convert.h>
#include <tern/quant/distill.h>

#include "message_of.h"

namespace tern::quant {
namespace {

using test::message_of;
using Rows = std::vector<std::vector<double>>;

std::vector<double> softmax_of(std::vector<double> v, double temperature) {
  double total = 0;
  for (double& x : v) total += x = std::exp(x / temperature);
  for (double& x : v) x /= total;
  return v;
}

double divergence(const std::vector<double>& teacher, const std::vector<double>& student) {
  double total = 0;
  for (size_t i = 0; i < teacher.size(); ++i) total += teacher[i] * (std::log(teacher[i]) - std::log(student[i]));
  return total;
}

TEST(Distill, LogitsByTheFormula) {
  manual_seed(1);
  const Tensor student = randn({2, 3, 5}, DType::kF64), teacher = randn({2, 3, 5}, DType::kF64);
  for (const double temperature : {1.0, 5.0}) {
    double wanted = 0;
    for (int64_t row = 0; row < 6; ++row) {
      const auto values = [&](const Tensor& t) {
        return softmax_of(std::vector<double>(t.data<double>() + 5 * row, t.data<double>() + 5 * row + 5), temperature);
      };
      wanted += divergence(values(teacher), values(student)) / 6;
    }
    EXPECT_NEAR(logits_distillation(student, teacher, temperature).item(), wanted, 1e-12);
  }
  EXPECT_NEAR(logits_distillation(teacher, teacher).item(), 0, 1e-15);
}

TEST(Distill, RelationsByTheFormula) {
  manual_seed(2);
  const int64_t batch = 2, tokens = 4, splits = 3;
  const Tensor student = randn({batch, tokens, 6}, DType::kF64), teacher = randn({batch, tokens, 12}, DType::kF64);
  const double temperature = 0.5;
  const auto relations = [&](const Tensor& t, int64_t b, int64_t s) {
    const int64_t width = t.size(2), part = width / splits;
    Rows unit, rows;
    for (int64_t i = 0; i < tokens; ++i) {
      const double* from = t.data<double>() + (b * tokens + i) * width + s * part;
      std::vector<double> v(from, from + part);
      double length = 0;
      for (const double x : v) length += x * x;
      for (double& x : v) x /= std::sqrt(length);
      unit.push_back(v);
    }
    for (const auto& a : unit) {
      std::vector<double> row;
      for (const auto& c : unit) {
        double dot = 0;
        for (size_t k = 0; k < a.size(); ++k) dot += a[k] * c[k];
        row.push_back(dot);
      }
      rows.push_back(softmax_of(row, temperature));
    }
    return rows;
  };
  double wanted = 0;
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t s = 0; s < splits; ++s) {
      const Rows mine = relations(student, b, s), theirs = relations(teacher, b, s);
      for (size_t i = 0; i < mine.size(); ++i) wanted += divergence(theirs[i], mine[i]);
    }
  wanted /= static_cast<double>(batch * splits * tokens);
  EXPECT_NEAR(relation_distillation(student, teacher, splits, temperature).item(), wanted, 1e-12);
}

TEST(Distill, GradientsReachTheStudentAlone) {
  manual_seed(3);
  const Tensor teacher = randn({2, 3, 8}, DType::kF64).requires_grad_();
  const std::vector<Tensor> student = {randn({2, 3, 8}, DType::kF64).requires_grad_()};
  const auto logits =
      autograd::gradcheck([&](const std::vector<Tensor>& x) { return logits_distillation(x[0], teacher); }, student);
  EXPECT_TRUE(logits.ok) << logits.message;
  const auto relations = autograd::gradcheck(
      [&](const std::vector<Tensor>& x) { return relation_distillation(x[0], teacher, 2); }, student);
  EXPECT_TRUE(relations.ok) << relations.message;
  EXPECT_FALSE(teacher.grad().defined());
}

TEST(Distill, AStudentLearnsFromItsTeacher) {
  manual_seed(4);
  const nn::models::LlamaOptions sizes{.vocab_size = 16,
                                       .hidden_size = 16,
                                       .intermediate_size = 32,
                                       .num_hidden_layers = 2,
                                       .num_attention_heads = 2,
                                       .max_position_embeddings = 8};
  const auto teacher = nn::make<nn::models::Llama>(sizes);
  {
    const NoGradGuard no_grad;
    for (Tensor p : teacher->parameters()) p.mul_(8);  // logits that differ
  }
  const auto student = nn::clone(*teacher);
  bitnet::convert(*student, {.subln = bitnet::SubLn::kOutputProjections});
  Distillation distillation(*student, teacher,
                            {.relation_weight = 1,
                             .splits = 4,
                             .relation_layers = {"model.layers.1.self_attn.q_proj", "model.layers.1.self_attn.k_proj",
                                                 "model.layers.1.self_attn.v_proj"}});
  optim::AdamW optimizer(student->parameters(), {.lr = 1e-2, .weight_decay = 0});
  double first = 0, last = 0;
  for (int step = 0; step < 300; ++step) {
    const Tensor tokens = randint(0, 16, {4, 8});
    const Tensor loss = distillation.loss((*student)(tokens), tokens);
    optimizer.zero_grad();
    loss.backward();
    optimizer.step();
    if (step < 5) first += loss.item();
    if (step >= 295) last += loss.item();
  }
  EXPECT_LT(last, 0.7 * first);
  EXPECT_TRUE(teacher->is_training());
  for (const Tensor& p : teacher->parameters()) EXPECT_FALSE(p.grad().defined());
}

TEST(Distill, BadInputIsOneSentence) {
  const Tensor a = ones({2, 3}), b = ones({2, 4});
  EXPECT_EQ(message_of<ShapeError>([&] { (void)logits_distillation(a, b); }),
            "[logits_distillation] expected logits of one shape, got [2, 3] and [2, 4]");
  EXPECT_EQ(message_of<ValueError>([&] { (void)logits_distillation(a, a, 0); }),
            "[logits_distillation] expected a temperature above 0, got 0");
  EXPECT_EQ(
      message_of<ShapeError>([&] {
        (void)relation_distillation(ones({1, 2, 6}), ones({1, 2, 6}), 4);
      }),
      "[relation_distillation] expected features [B, T, width] of one B and T and widths that 4 divides, got [1, 2, 6] "
      "and [1, 2, 6]");
  nn::Linear student({.in_features = 3, .out_features = 3});
  EXPECT_EQ(message_of<ValueError>([&] { Distillation d(student, nullptr); }),
            "[Distillation] expected a teacher, got none");
  EXPECT_EQ(message_of<ValueError>([&] {
              Distillation d(student, nn::make<nn::Linear>({.in_features = 3, .out_features = 3}),
                             {.relation_weight = 1});
            }),
            "[Distillation] expected relation_layers and splits for a relation_weight of 1, got 0 and 0");
}

TEST(Distill, TokensOfZerosHaveFiniteGradients) {
  manual_seed(9);
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    Tensor student = randn({1, 3, 8}, dtype);
    student.slice(1, 1, 2).fill_(0);
    student.requires_grad_();
    relation_distillation(student, randn({1, 3, 8}, dtype), 2).backward();
    for (const double g : student.grad().to_vector<double>()) EXPECT_TRUE(std::isfinite(g));
  }
}

}  // namespace
}  // namespace tern::quant
