#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/train/loop/evaluate.h>

namespace tern::train {
namespace {

Tensor matrix(int64_t rows, int64_t columns, const std::vector<float>& values) {
  Tensor x = empty({rows, columns});
  std::copy(values.begin(), values.end(), x.data<float>());
  return x;
}

Tensor labels(const std::vector<int64_t>& values) {
  Tensor x = empty({static_cast<int64_t>(values.size())}, DType::kI64);
  std::copy(values.begin(), values.end(), x.data<int64_t>());
  return x;
}

const Tensor kLogits = matrix(3, 6,
                              {0, 1, 2, 3, 4, 5,  //
                               9, 1, 2, 3, 4, 5,  //
                               1, 1, 1, 1, 1, 1});

TEST(Accuracy, CountsTopOneTopFiveAndCrossEntropy) {
  Accuracy accuracy;
  accuracy.add(kLogits, labels({5, 1, 2}));
  const EvalResult r = accuracy.result();
  EXPECT_EQ(r.n, 3);
  EXPECT_DOUBLE_EQ(r.top1, 1.0 / 3);  // the third row ties, and ties count for class 0
  EXPECT_DOUBLE_EQ(r.top5, 2.0 / 3);  // the label of the second row is the smallest logit
  double sum0 = 0, sum1 = std::exp(9.0);
  for (int i = 0; i <= 5; ++i) sum0 += std::exp(i);
  for (int i = 1; i <= 5; ++i) sum1 += std::exp(i);
  EXPECT_NEAR(r.loss, ((std::log(sum0) - 5) + (std::log(sum1) - 1) + std::log(6.0)) / 3, 1e-12);
}

TEST(Accuracy, GroupingDoesNotMatter) {
  Accuracy whole, parts;
  const Tensor all = labels({5, 0, 3});
  whole.add(kLogits, all);
  parts.add(kLogits.slice(0, 0, 1), all.slice(0, 0, 1));
  parts.add(kLogits.slice(0, 1, 3), all.slice(0, 1, 3));
  EXPECT_EQ(whole.result().loss, parts.result().loss);
  EXPECT_EQ(whole.result().top1, parts.result().top1);
  EXPECT_EQ(whole.result().top5, parts.result().top5);
}

TEST(Accuracy, SharesOfClassesCountByTheLargest) {
  Accuracy hard, soft;
  hard.add(kLogits.slice(0, 0, 1), labels({4}));
  soft.add(kLogits.slice(0, 0, 1), matrix(1, 6, {0, 0, 0, 0, 1, 0}));
  EXPECT_EQ(hard.result().top1, soft.result().top1);
  EXPECT_EQ(hard.result().top5, soft.result().top5);
  EXPECT_DOUBLE_EQ(hard.result().loss, soft.result().loss);
}

TEST(Accuracy, NotANumberIsWrong) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  Accuracy accuracy;
  accuracy.add(matrix(2, 3, {nan, 1, 0, nan, nan, nan}), labels({1, 0}));
  EXPECT_EQ(accuracy.result().top1, 0);
}

TEST(Accuracy, NothingMeasuredIsZero) {
  EXPECT_EQ(Accuracy().result().n, 0);
  EXPECT_EQ(Accuracy().result().top1, 0);
}

TEST(Accuracy, RefusesWhatDoesNotFit) {
  Accuracy accuracy;
  EXPECT_THROW(accuracy.add(kLogits, labels({0, 1})), ShapeError);
  EXPECT_THROW(accuracy.add(kLogits, labels({0, 1, 6})), ValueError);
  EXPECT_THROW(accuracy.add(kLogits, labels({0, 1, -1})), ValueError);
  EXPECT_THROW(accuracy.add(kLogits.select(0, 0), labels({0})), ShapeError);
}

}  // namespace
}  // namespace tern::train
