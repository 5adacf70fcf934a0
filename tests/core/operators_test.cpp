#include <cmath>

#include <gtest/gtest.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/operators.h>

namespace tern {
namespace {

TEST(Operators, AreTheNamedFunctions) {
  const Tensor a = tensor({1.0, 2.0, 4.0}), b = tensor({2.0, 2.0, 0.5});
  const auto same = [](const Tensor& x, const Tensor& y) { EXPECT_TRUE(equal(x, y)); };
  same(a + b, add(a, b));
  same(a + 2, tensor({3.0, 4.0, 6.0}));
  same(2 + a, a + 2);
  same(a - b, tensor({-1.0, 0.0, 3.5}));
  same(a - 1, tensor({0.0, 1.0, 3.0}));
  same(1 - a, tensor({0.0, -1.0, -3.0}));
  same(a * b, tensor({2.0, 4.0, 2.0}));
  same(a * 3, 3 * a);
  same(a / b, tensor({0.5, 1.0, 8.0}));
  same(a / 2, tensor({0.5, 1.0, 2.0}));
  same(4 / a, tensor({4.0, 2.0, 1.0}));
  same(-a, tensor({-1.0, -2.0, -4.0}));
  const auto truth = [](const Tensor& x, std::vector<int64_t> want) {
    EXPECT_EQ(x.dtype(), DType::kU8);
    EXPECT_EQ(x.to_vector<int64_t>(), want);
  };
  truth(a == b, {0, 1, 0});
  truth(a != b, {1, 0, 1});
  truth(a < b, {1, 0, 0});
  truth(a <= b, {1, 1, 0});
  truth(a > b, {0, 0, 1});
  truth(a >= b, {0, 1, 1});
  truth(a == 2.0, {0, 1, 0});
  truth(2.0 != a, {1, 0, 1});
  truth(a < 2, {1, 0, 0});
  truth(2 < a, {0, 0, 1});
  truth(a <= 2, {1, 1, 0});
  truth(2 <= a, {0, 1, 1});
  truth(a > 2, {0, 0, 1});
  truth(2 > a, {1, 0, 0});
  truth(a >= 2, {0, 1, 1});
  truth(2 >= a, {1, 1, 0});
  truth(2.0 == a, {0, 1, 0});
  truth(a != 2, {1, 0, 1});
}

// PyTorch's: a power of zero does not move while its exponent is at least zero, and falls without bound below.
TEST(Pow, OfZeroHasNoSlopeForExponentsOfAtLeastZero) {
  for (const double base : {0.0, -0.0}) {
    Tensor b = tensor({2.0, 0.5, 0.0, -2.0});
    b.requires_grad_();
    const Tensor y = pow(base, b);
    EXPECT_EQ(y.to_vector<double>(), (std::vector<double>{0, 0, 1, INFINITY}));
    y.backward(ones({4}));
    EXPECT_EQ(b.grad().to_vector<double>(), (std::vector<double>{0, 0, 0, -INFINITY}));
  }
  Tensor b = tensor({2.0, static_cast<double>(NAN)});
  b.requires_grad_();
  pow(0.0, b).backward(ones({2}));
  EXPECT_EQ(b.grad()[0].item(), 0);
  EXPECT_TRUE(std::isnan(b.grad()[1].item())) << "NaN stays visible";
}

TEST(Operators, FollowTheGradient) {
  Tensor x = tensor({1.0, 2.0});
  x.requires_grad_();
  ((3 - x) * x / 2 + -x).backward(tensor({1.0, 1.0}));  // (3 - 2 x) / 2 - 1
  EXPECT_EQ(x.grad().to_vector<double>(), (std::vector<double>{-0.5, -1.5}));
}

TEST(AssigningOperators, NameTheResultAndLeaveTheOldTensorAlone) {
  Tensor x = tensor({1.0, 2.0});
  x.requires_grad_();
  Tensor y = x * 2.0;
  const Tensor before = y;
  y += x;  // 3 x
  y *= y;  // 9 x^2, of a tensor that is saved for the gradient
  y -= 1.0;
  y /= 2.0;
  EXPECT_EQ(y.to_vector<double>(), (std::vector<double>{4, 17.5}));
  EXPECT_EQ(before.to_vector<double>(), (std::vector<double>{2, 4}));
  y.backward(tensor({1.0, 1.0}));
  EXPECT_EQ(x.grad().to_vector<double>(), (std::vector<double>{9, 18}));
}

TEST(AssigningOperators, RefuseWhatInPlaceOperationsRefuse) {
  Tensor leaf = tensor({1.0, 2.0});
  leaf.requires_grad_();
  EXPECT_THROW(leaf += 1.0, StateError);
  const NoGradGuard no_grad;
  EXPECT_THROW(leaf -= leaf, StateError) << "an update of a parameter must reach the parameter itself";
  Tensor y = tensor({1.0, 2.0});
  EXPECT_THROW(y += ones({3, 2}, DType::kF64), ShapeError);
  Tensor narrow = ones({2});
  EXPECT_THROW(narrow += ones({2}, DType::kF64), DTypeError);
  EXPECT_EQ(narrow.dtype(), DType::kF32);
}

}  // namespace
}  // namespace tern
