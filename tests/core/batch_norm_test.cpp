// Batch norm beyond the op table: the fused op against its composition from simple ops, running statistics, accuracy.
#include <cmath>

#include <gtest/gtest.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/ops/activation.h>
#include <tern/core/ops/batch_norm.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/reduce.h>

#include "core/numeric.h"

namespace tern::test {
namespace {

Tensor values(const std::vector<double>& v) {
  Tensor x = empty({static_cast<int64_t>(v.size())}, DType::kF64);
  for (size_t i = 0; i < v.size(); ++i) x.data<double>()[i] = v[i];
  return x;
}

// The composition that bn_act stands for, from simple ops: mean, sub, mul, sqrt, div, add, relu.
Tensor composed(const Tensor& x, const Tensor& weight, const Tensor& bias, const Tensor& residual, bool with_relu) {
  const Shape channels{1, x.shape()[1], 1, 1};
  const Tensor centred = sub(x, mean(x, {0, 2, 3}, true));
  const Tensor var = mean(mul(centred, centred), {0, 2, 3}, true);
  Tensor y = div(centred, sqrt(add(var, 1e-5)));
  y = add(mul(y, weight.reshape(channels)), bias.reshape(channels));
  if (residual.defined()) y = add(y, residual);
  return with_relu ? relu(y) : y;
}

TEST(BnAct, IsItsComposition) {
  for (const bool channels_last : {false, true}) {
    for (const bool residual : {false, true}) {
      for (const bool with_relu : {false, true}) {
        SCOPED_TRACE(testing::Message() << "channels_last " << channels_last << ", residual " << residual << ", relu "
                                        << with_relu);
        const auto format = channels_last ? MemoryFormat::kChannelsLast : MemoryFormat::kContiguous;
        std::vector<Tensor> inputs{contiguous(normal({6, 20, 9, 7}, 1), format), normal({20}, 2), normal({20}, 3)};
        if (residual) inputs.push_back(contiguous(normal({6, 20, 9, 7}, 4), format));
        const auto other = [&](const std::vector<Tensor>& in) { return residual ? in[3] : Tensor(); };
        expect_same(
            [&](const std::vector<Tensor>& in) {
              return std::vector<Tensor>{
                  bn_act(in[0], {}, {}, in[1], in[2], other(in), {.training = true, .relu = with_relu})};
            },
            [&](const std::vector<Tensor>& in) {
              return std::vector<Tensor>{composed(in[0], in[1], in[2], other(in), with_relu)};
            },
            inputs);
      }
    }
  }
}

TEST(BatchNorm, RunningStatisticsFollowTheirFormula) {
  const Tensor x = normal({4, 3, 5, 5}, 1);
  Tensor mean = values({0.5, 0, -1}), var = values({1, 2, 0.25});
  const uint64_t before = mean.version();
  (void)batch_norm(x, mean, var, {}, {}, {.training = true, .momentum = 0.2});
  EXPECT_GT(mean.version(), before);
  const auto elements = x.to_vector<double>();
  const double old_mean[] = {0.5, 0, -1}, old_var[] = {1, 2, 0.25};
  for (size_t c = 0; c < 3; ++c) {
    double sum = 0, squares = 0;
    for (size_t i = 0; i < elements.size(); ++i)
      if (i / 25 % 3 == c) sum += elements[i];
    for (size_t i = 0; i < elements.size(); ++i)
      if (i / 25 % 3 == c) squares += (elements[i] - sum / 100) * (elements[i] - sum / 100);
    EXPECT_NEAR(mean.to_vector<double>()[c], 0.8 * old_mean[c] + 0.2 * sum / 100, 1e-14);
    EXPECT_NEAR(var.to_vector<double>()[c], 0.8 * old_var[c] + 0.2 * squares / 99, 1e-14);
  }
}

TEST(BatchNorm, EvaluationLeavesRunningStatisticsAlone) {
  const Tensor x = normal({4, 3, 5, 5}, 1), mean = values({0.5, 0, -1}), var = values({1, 2, 0.25});
  const uint64_t versions = mean.version() + var.version();
  (void)batch_norm(x, mean, var);
  EXPECT_EQ(mean.version() + var.version(), versions);
  EXPECT_EQ(mean.to_vector<double>(), (std::vector<double>{0.5, 0, -1}));
}

TEST(BatchNorm, RunningStatisticsDoNotJoinTheGraph) {
  const Tensor x = normal({4, 3}, 1).requires_grad_();
  Tensor mean = values({0, 0, 0}), var = values({1, 1, 1});
  const Tensor y = batch_norm(x, mean, var, {}, {}, {.training = true});
  EXPECT_FALSE(mean.requires_grad());
  // A later update must not disturb the backward of an earlier step.
  (void)batch_norm(x.detach(), mean, var, {}, {}, {.training = true});
  EXPECT_NO_THROW(y.backward(normal({4, 3}, 2)));
}

TEST(BatchNorm, StatisticsBelongToTheBatchOfTheStepEvenWhereTheMeanIsFarFromZero) {
  // Values near 1000 with deviations near 0.01: one pass with sums of squares in f32 would lose all digits.
  const Tensor noise = normal({64, 16, 8, 8}, 1);
  const Tensor x = add(mul(noise, 0.01), 1000.0).to(DType::kF32);
  for (const auto format : {MemoryFormat::kContiguous, MemoryFormat::kChannelsLast}) {
    const Tensor single = batch_norm(contiguous(x, format), {}, {}, {}, {}, {.training = true, .eps = 1e-12});
    const Tensor exact = batch_norm(x.to(DType::kF64), {}, {}, {}, {}, {.training = true, .eps = 1e-12});
    // x itself is known to 6e-5 / 0.01 of a deviation; the mean is rounded to that once.
    EXPECT_LT(relative_error(single, exact), 2e-3);
    const auto y = single.to_vector<double>();
    double squares = 0;
    for (const double v : y) squares += v * v;
    EXPECT_NEAR(squares / static_cast<double>(y.size()), 1, 1e-4);
  }
}

TEST(BnAct, SavesWhatItNeedsAndNoMore) {
  const Shape shape{16, 32, 32, 32};
  const Tensor x = empty(shape, DType::kF32, MemoryFormat::kChannelsLast).fill_(1).requires_grad_();
  const int64_t before = memory_stats().live_bytes;
  const Tensor y = bn_act(x, {}, {}, {}, {}, {}, {.training = true});
  // The output alone, and parameters of a few channels: the input is shared, the mask is worked out again.
  EXPECT_LT(memory_stats().live_bytes - before, x.bytes() + x.bytes() / 8 + 4096);
}

TEST(BnAct, NaNStaysNaN) {
  Tensor x = normal({4, 2, 3, 3}, 1);
  const Tensor mean = values({0, 0}), var = values({1, 1});
  x.data<double>()[0] = std::nan("");
  EXPECT_TRUE(std::isnan(bn_act(x, mean, var).to_vector<double>()[0]));
}

}  // namespace
}  // namespace tern::test
