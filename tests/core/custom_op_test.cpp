#include <gtest/gtest.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/autograd/custom_op.h>
#include <tern/core/autograd/gradcheck.h>
#include <tern/core/error.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/shape.h>

#include "message_of.h"

namespace tern {
namespace {

Tensor filled(const Shape& shape, double first, double step) {
  Tensor x = empty(shape, DType::kF64);
  for (int64_t i = 0; i < x.numel(); ++i) x.data<double>()[i] = first + step * static_cast<double>(i);
  return x;
}

const CustomOp kSquare(
    "square",
    [](CustomContext& context, std::span<const Tensor> in) {
      context.save(in[0]);
      return in[0].clone().mul_(in[0]);
    },
    [](const CustomContext& context, const Tensor& grad_output) -> Gradients {
      return {grad_output.clone().mul_(context.saved(0)).mul_(2.0)};
    });

TEST(CustomOp, GradientsMatchCentralDifferencesThroughViews) {
  const Tensor x = filled({2, 3, 4}, -1.0, 0.17).requires_grad_();
  const auto result = autograd::gradcheck(
      [](const std::vector<Tensor>& in) {
        return kSquare({in[0].permute({2, 0, 1}).slice(0, 1, 4, 2).reshape({4, 3})}).contiguous();
      },
      {x});
  EXPECT_TRUE(result) << result.message;
}

TEST(CustomOp, AccumulatesAndFreesItsGraph) {
  const Tensor x = filled({3}, 1.0, 1.0).requires_grad_();
  {
    const Tensor y = kSquare({kSquare({x})});
    EXPECT_EQ(autograd::live_nodes(), 2);
    y.backward(filled({3}, 1.0, 0.0));
    EXPECT_EQ(x.grad().to_vector<double>(), (std::vector<double>{4, 32, 108}));
    EXPECT_THROW(y.backward(filled({3}, 1.0, 0.0)), StateError);
  }
  EXPECT_EQ(autograd::live_nodes(), 0);
  kSquare({x}).backward(filled({3}, 1.0, 0.0));
  EXPECT_EQ(x.grad().to_vector<double>(), (std::vector<double>{6, 36, 114}));
}

TEST(CustomOp, RefusesInPlaceChangeOfASavedTensor) {
  Tensor x = filled({3}, 1.0, 1.0).requires_grad_();
  const Tensor y = kSquare({x});
  EXPECT_THROW(x.mul_(2.0), StateError);
  {
    const NoGradGuard no_grad;
    x.mul_(2.0);
  }
  EXPECT_THROW(y.backward(filled({3}, 1.0, 0.0)), StateError);
}

TEST(CustomOp, ChecksWhatTheBackwardReturns) {
  const CustomOp wrong(
      "wrong", [](CustomContext&, std::span<const Tensor> in) { return in[0].clone(); },
      [](const CustomContext&, const Tensor&) -> Gradients { return {filled({5}, 0, 0)}; });
  const Tensor x = filled({3}, 1.0, 1.0).requires_grad_();
  EXPECT_THROW(wrong({x}).backward(filled({3}, 1.0, 0.0)), ShapeError);
}

TEST(CustomOp, SaysWhichTensorWasNeverSaved) {
  const CustomOp greedy(
      "greedy",
      [](CustomContext& context, std::span<const Tensor> in) {
        context.save(in[0]);
        return in[0].clone();
      },
      [](const CustomContext& context, const Tensor&) -> Gradients { return {context.saved(1)}; });
  const Tensor x = filled({3}, 1.0, 1.0).requires_grad_();
  EXPECT_EQ(test::message_of<ValueError>([&] { greedy({x}).backward(filled({3}, 1.0, 0.0)); }),
            "[custom_op] expected the number of a saved tensor, below 1, got 1");
}

}  // namespace
}  // namespace tern
