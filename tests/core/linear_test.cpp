#include <tern/core/linear.h>
#include <tern/core/matmul.h>

#include "core/numeric.h"

namespace tern {
namespace {

using test::error_of;
using test::expect_thread_invariant;
using test::normal;
using test::relative_error;

Tensor apply_linear(const std::vector<Tensor>& in) {
  return linear(in[0], in[1], in.size() > 2 ? in[2] : Tensor());
}

// x w^T + b with b added element by element.
Tensor reference(const Tensor& x, const Tensor& w, const Tensor& b) {
  Tensor y = matmul(x, w.t());
  if (b.defined()) y.add_(b);
  return y;
}

TEST(Linear, MatchesMatmulPlusBias) {
  struct Case {
    Shape x;
    int64_t out;
  };
  for (const auto& [shape, out] :
       {Case{{5, 7}, 3}, Case{{7}, 4}, Case{{2, 3, 7}, 5}, Case{{1, 1}, 1}, Case{{0, 4}, 3}, Case{{3, 0}, 2},
        Case{{70, 40, 33}, 150}, Case{{1, 900}, 1300}, Case{{3, 4100}, 70}}) {
    const Tensor x = normal(shape, 1), w = normal({out, shape.back()}, 2), b = normal({out}, 3);
    for (const Tensor& bias : {b, Tensor()}) {
      const Tensor want = reference(x, w, bias);
      EXPECT_LE(relative_error(linear(x, w, bias), want), 1e-13);
      const Tensor narrow = bias.defined() ? bias.to(DType::kF32) : bias;
      EXPECT_LE(relative_error(linear(x.to(DType::kF32), w.to(DType::kF32), narrow), want), 1e-5);
    }
  }
}

TEST(Linear, GradientsMatchCentralDifferences) {
  const auto check = [](std::vector<Tensor> in) {
    for (Tensor& x : in) x.requires_grad_();
    const auto result = autograd::gradcheck(apply_linear, in);
    EXPECT_TRUE(result) << result.message;
  };
  const Tensor w = normal({3, 4}, 2), b = normal({3}, 3);
  check({normal({5, 4}, 1), w.clone(), b.clone()});
  check({normal({2, 3, 4}, 1), w.clone()});
  check({normal({4}, 1), w.clone(), b.clone()});
  // Views: x with its rows in another order and with holes, a transposed weight, every second bias.
  check({normal({2, 4, 3}, 1).transpose(1, 2).detach(), normal({4, 3}, 2).t().detach(),
         normal({6}, 3).slice(0, 0, 6, 2).detach()});
  check({normal({2, 3, 9}, 1).slice(2, 1, 9, 2).detach(), w.clone(), b.clone()});
}

TEST(Linear, OnlyRequestedGradientsAreMade) {
  const Tensor x = normal({2, 4}, 1), w = normal({3, 4}, 2).requires_grad_(), b = normal({3}, 3);
  linear(x, w, b).backward(normal({2, 3}, 4));
  EXPECT_TRUE(w.grad().defined());
  EXPECT_FALSE(x.grad().defined());
  EXPECT_FALSE(b.grad().defined());
}

TEST(Linear, ThreadsDoNotChangeABit) {
  const auto function = [](const std::vector<Tensor>& in) { return std::vector<Tensor>{apply_linear(in)}; };
  for (DType dtype : {DType::kF32, DType::kF64}) {
    expect_thread_invariant(function,
                            {normal({64, 65, 96}, 1, dtype), normal({130, 96}, 2, dtype), normal({130}, 3, dtype)});
    expect_thread_invariant(function,
                            {normal({1, 1500}, 1, dtype), normal({1100, 1500}, 2, dtype), normal({1100}, 3, dtype)});
  }
}

TEST(Linear, RefusesWhatDoesNotFit) {
  const Tensor x = normal({5, 4}, 1), w = normal({3, 4}, 2), b = normal({3}, 3);
  EXPECT_EQ(error_of([&] { (void)linear(x, w.t(), b); }),
            "[linear] expected x [..., 3] for a weight [4, 3], got [5, 4]");
  EXPECT_EQ(error_of([&] { (void)linear(x, b, b); }), "[linear] expected a weight [out, in], got [3]");
  EXPECT_EQ(error_of([&] { (void)linear(x, w, x); }), "[linear] expected a bias [3] for a weight [3, 4], got [5, 4]");
  EXPECT_EQ(error_of([&] { (void)linear(x, w.to(DType::kF32), b); }), "[linear] expected a weight of f64, got f32");
  EXPECT_EQ(error_of([&] { (void)linear(x, w, b.to(DType::kF32)); }), "[linear] expected a bias of f64, got f32");
  EXPECT_EQ(error_of([&] { (void)linear(x.to(DType::kI32), w, b); }), "[linear] expected f32 or f64, got i32");
}

}  // namespace
}  // namespace tern
