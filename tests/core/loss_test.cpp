// The fused cross-entropy against its composition from simple ops, and what PyTorch does at the edges.
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/core/ops/dropout.h>
#include <tern/core/ops/join.h>
#include <tern/core/ops/loss.h>
#include <tern/core/ops/reduce.h>
#include <tern/core/ops/shape.h>
#include <tern/core/ops/softmax.h>
#include <tern/core/parallel.h>
#include <tern/core/random.h>

namespace tern {
namespace {

Tensor random_tensor(const Shape& shape, double low, double high, DType dtype = DType::kF64) {
  Tensor x = empty(shape, DType::kF64);
  Generator generator(3);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<double>()[i] = generator.uniform(low, high);
  return x.to(dtype);
}

Tensor random_labels(const Shape& shape, int64_t classes) {
  Tensor x = empty(shape, DType::kI64);
  Generator generator(4);
  for (int64_t i = 0; i < x.numel(); ++i)
    x.data<int64_t>()[i] = static_cast<int64_t>(generator.below(static_cast<uint64_t>(classes)));
  return x;
}

double largest_difference(const Tensor& a, const Tensor& b) {
  const std::vector<double> x = a.to_vector<double>(), y = b.to_vector<double>();
  EXPECT_EQ(x.size(), y.size());
  double worst = 0;
  for (size_t i = 0; i < x.size(); ++i) worst = std::max(worst, std::abs(x[i] - y[i]));
  return worst;
}

TEST(CrossEntropy, EqualsLogSoftmaxAndNllLoss) {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    Tensor a = random_tensor({64, 101}, -9, 9, dtype).requires_grad_(), b = a.detach().clone().requires_grad_();
    const Tensor labels = random_labels({64}, 101), weight = random_tensor({101}, 0.1, 2, dtype);
    const Tensor fused = cross_entropy(a, labels, {.weight = weight, .ignore_index = 7});
    const Tensor composed = nll_loss(log_softmax(b, 1), labels, {.weight = weight, .ignore_index = 7});
    fused.backward();
    composed.backward();
    const double tolerance = dtype == DType::kF32 ? 2e-6 : 1e-14;
    EXPECT_LT(largest_difference(fused, composed), tolerance);
    EXPECT_LT(largest_difference(a.grad(), b.grad()), tolerance / 10);
  }
}

TEST(CrossEntropy, StaysFiniteForLogitsOfAnySize) {
  Tensor x = empty({2, 3});
  const float values[] = {3e38f, -3e38f, 0, -1e30f, -1e30f, -1e30f};
  std::copy(values, values + 6, x.data<float>());
  x.requires_grad_();
  Tensor labels = empty({2}, DType::kI64).zero_();
  const Tensor loss = cross_entropy(x, labels, {.reduction = Reduction::kNone});
  EXPECT_EQ(loss.to_vector<float>()[0], 0.0f);
  EXPECT_FLOAT_EQ(loss.to_vector<float>()[1], std::log(3.0f));
  loss.sum().backward();
  for (const double g : x.grad().to_vector<double>()) EXPECT_TRUE(std::isfinite(g));
}

TEST(CrossEntropy, OfNothingButIgnoredRowsIsNaNAndTheirGradientsZero) {
  Tensor x = random_tensor({3, 4}, -1, 1).requires_grad_();
  const Tensor labels = empty({3}, DType::kI64).fill_(-100);
  EXPECT_TRUE(std::isnan(cross_entropy(x, labels).item()));
  const Tensor total = cross_entropy(x, labels, {.reduction = Reduction::kSum});
  EXPECT_EQ(total.item(), 0.0);
  total.backward();
  for (const double g : x.grad().to_vector<double>()) EXPECT_EQ(g, 0.0);
}

TEST(CrossEntropy, KeepsNaNLogitsVisible) {
  Tensor x = random_tensor({2, 40}, -1, 1);
  x.data<double>()[3] = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> losses =
      cross_entropy(x, empty({2}, DType::kI64).zero_(), {.reduction = Reduction::kNone}).to_vector<double>();
  EXPECT_TRUE(std::isnan(losses[0]));
  EXPECT_TRUE(std::isfinite(losses[1]));
}

TEST(CrossEntropy, TakesImagesWithoutReorderingChannelsLast) {
  const Tensor x = random_tensor({2, 5, 3, 4}, -3, 3), labels = random_labels({2, 3, 4}, 5);
  const Tensor plain = cross_entropy(x, labels, {.label_smoothing = 0.1});
  const Tensor last = cross_entropy(x.contiguous(MemoryFormat::kChannelsLast), labels, {.label_smoothing = 0.1});
  EXPECT_EQ(plain.item(), last.item());
}

TEST(Dropout, DropsTheShareItIsAskedToAndKeepsTheMean) {
  manual_seed(11);
  const Tensor x = empty({1 << 20}).fill_(1);
  for (const double p : {0.1, 0.5, 0.9}) {
    const Tensor y = dropout(x, p);
    const double zeros = 1 - static_cast<double>(count_nonzero(y).item_i64()) / static_cast<double>(x.numel());
    EXPECT_NEAR(zeros, p, 4 * std::sqrt(p * (1 - p) / static_cast<double>(x.numel())));
    EXPECT_NEAR(y.mean().item(), 1.0, 0.02);
  }
}

TEST(Dropout, DrawsNewNumbersEachTimeAndTheSameAgainFromTheSameState) {
  manual_seed(12);
  const Tensor x = empty({1000}).fill_(1);
  const Tensor first = dropout(x, 0.5), second = dropout(x, 0.5);
  EXPECT_GT(largest_difference(first, second), 0.0);
  manual_seed(12);
  EXPECT_EQ(largest_difference(first, dropout(x, 0.5)), 0.0);
}

TEST(Dropout, DropsTheSameElementsInTheBackward) {
  manual_seed(13);
  Tensor x = random_tensor({3, 333}, 1, 2).requires_grad_();
  const Tensor y = dropout(x, 0.3);
  y.sum().backward();
  const std::vector<double> in = x.detach().to_vector<double>(), out = y.to_vector<double>(),
                            grad = x.grad().to_vector<double>();
  for (size_t i = 0; i < in.size(); ++i) EXPECT_DOUBLE_EQ(grad[i] * in[i], out[i]);
}

TEST(Join, KeepsChannelsLast) {
  const Tensor x = random_tensor({2, 3, 4, 5}, -1, 1).contiguous(MemoryFormat::kChannelsLast);
  for (const Tensor& y : {cat({x, x}, 1), cat({x, x}, 0), pad2d(x, 1), flip(x, {2}), roll(x, {1}, {3})})
    EXPECT_EQ(y.memory_format(), MemoryFormat::kChannelsLast);
  EXPECT_EQ(cat({x, x.contiguous()}, 1).memory_format(), MemoryFormat::kContiguous);
  Tensor leaf = x.detach().clone().requires_grad_();
  const std::vector<Tensor> pieces = split(leaf, 1, 1);
  cat(pieces, 1).sum().backward();
  EXPECT_EQ(leaf.grad().memory_format(), MemoryFormat::kChannelsLast);
}

TEST(Split, PiecesAreViewsAndUnusedOnesGiveZeroGradients) {
  Tensor x = random_tensor({4, 3}, -1, 1).requires_grad_();
  const std::vector<Tensor> pieces = split(x, 2);
  EXPECT_TRUE(pieces[1].shares_storage_with(x));
  pieces[1].sum().backward();
  EXPECT_EQ(x.grad().to_vector<double>(), (std::vector<double>{0, 0, 0, 0, 0, 0, 1, 1, 1, 1, 1, 1}));
}

}  // namespace
}  // namespace tern
