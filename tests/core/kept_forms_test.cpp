#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/core/kept_forms.h>
#include <tern/core/ops/compare.h>
#include <tern/core/ops/conv.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/feed_forward.h>
#include <tern/core/ops/linear.h>
#include <tern/core/ops/reduce.h>
#include <tern/core/ops/shape.h>
#include <tern/core/random.h>

#include "../message_of.h"

namespace tern {
namespace {

double difference(const Tensor& a, const Tensor& b) {
  EXPECT_EQ(a.shape(), b.shape());
  return max(abs(sub(a, b))).to(DType::kF64).item();
}

// Of results that are sums of some hundred products of standard normal numbers.
double tolerance(DType dtype) {
  return dtype == DType::kF64 ? 1e-11 : 2e-4;
}

TEST(KeptForms, LinearGivesTheSameAndKeepsOnePanel) {
  manual_seed(1);
  for (const DType dtype : {DType::kF32, DType::kF64})
    for (const int64_t rows : {1, 2, 5, 64, 97, 200})
      for (const auto& [in, out] : {std::pair<int64_t, int64_t>{64, 48}, {33, 70}, {4, 4}, {512, 3}, {320, 129}}) {
        const Tensor x = randn({rows, in}, dtype), w = randn({out, in}, dtype), b = randn({out}, dtype);
        const Tensor plain = linear_act(x, w, b, Activation::kGelu);
        keep_forms(w);
        EXPECT_LT(difference(plain, linear_act(x, w, b, Activation::kGelu)), tolerance(dtype));
        const int64_t bytes = kept_form_bytes(w);
        EXPECT_LT(difference(plain, linear_act(x, w, b, Activation::kGelu)), tolerance(dtype));
        EXPECT_EQ(kept_form_bytes(w), bytes);
      }
}

TEST(KeptForms, FeedForwardReadsThem) {
  manual_seed(2);
  const Tensor x = randn({130, 40}), up = randn({96, 40}), down = randn({24, 96});
  const Tensor plain = feed_forward(x, up, {}, Activation::kRelu, down, {});
  keep_forms(up);
  keep_forms(down);
  EXPECT_EQ(difference(plain, feed_forward(x, up, {}, Activation::kRelu, down, {})), 0);
}

TEST(KeptForms, ConvolutionsOfEveryKindGiveTheSame) {
  manual_seed(3);
  struct Case {
    int64_t in, out, kernel, groups, stride;
  };
  for (const Case& c : {Case{3, 16, 3, 1, 1},
                        {16, 32, 3, 1, 1},
                        {64, 64, 3, 1, 1},
                        {32, 32, 3, 8, 1},
                        {24, 24, 3, 24, 2},
                        {32, 64, 1, 1, 1},
                        {64, 32, 3, 2, 1}})
    for (const int64_t images : {1, 5}) {
      const Tensor x = randn({images, c.in, 14, 14}), w = randn({c.out, c.in / c.groups, c.kernel, c.kernel});
      const Conv2dOptions options{.stride = c.stride, .padding = c.kernel / 2, .groups = c.groups};
      const Tensor plain = conv2d(x, w, {}, options);
      keep_forms(w);
      EXPECT_LT(difference(plain, conv2d(x, w, {}, options)), 2e-3) << c.in << " " << c.out << " " << c.groups;
      const int64_t bytes = kept_form_bytes(w);
      EXPECT_GT(bytes, 0);
      EXPECT_LT(difference(plain, conv2d(x, w, {}, options)), 2e-3);
      EXPECT_EQ(kept_form_bytes(w), bytes);
    }
}

TEST(KeptForms, AWriteMakesThemAnew) {
  manual_seed(4);
  const Tensor x = randn({8, 32}), image = randn({1, 16, 8, 8});
  Tensor w = randn({16, 32}), k = randn({16, 16, 3, 3});
  keep_forms(w);
  keep_forms(k);
  static_cast<void>(linear(x, w));
  static_cast<void>(conv2d(image, k));
  w.copy_(randn({16, 32}));
  k.copy_(randn({16, 16, 3, 3}));
  EXPECT_LT(difference(linear(x, w), linear(x, w.clone())), 1e-4);
  EXPECT_LT(difference(conv2d(image, k), conv2d(image, k.clone())), 1e-3);
  w.data<float>()[5] += 100;
  w.storage()->bump_version();
  EXPECT_LT(difference(linear(x, w), linear(x, w.clone())), 1e-3);
}

TEST(KeptForms, EveryViewHasItsOwn) {
  manual_seed(5);
  const Tensor x = randn({8, 32}), all = randn({48, 32});
  keep_forms(all);
  for (const auto& [first, last] : {std::pair<int64_t, int64_t>{0, 16}, {16, 48}, {0, 48}}) {
    const Tensor view = all.slice(0, first, last);
    EXPECT_TRUE(keeps_forms(view));
    EXPECT_LT(difference(linear(x, view), linear(x, view.clone())), 1e-4);
  }
  const Tensor square = randn({32, 32});
  keep_forms(square);
  EXPECT_LT(difference(linear(x, square), linear(x, square.clone())), 1e-4);
  EXPECT_LT(difference(linear(x, transpose(square, 0, 1)), linear(x, transpose(square.clone(), 0, 1))), 1e-4);
}

TEST(KeptForms, NothingIsKeptWhereAGradientIsRecorded) {
  manual_seed(6);
  const Tensor x = randn({8, 32});
  Tensor w = randn({16, 32}).requires_grad_(), plain = w.detach().clone().requires_grad_();
  keep_forms(w);
  Tensor y = linear(x, w);
  EXPECT_EQ(kept_form_bytes(w), 0);
  y.sum().backward();
  linear(x, plain).sum().backward();
  EXPECT_EQ(difference(w.grad(), plain.grad()), 0);
}

TEST(KeptForms, AWeightThatWasNotNamedKeepsNothing) {
  const Tensor w = randn({16, 32});
  static_cast<void>(linear(randn({8, 32}), w));
  EXPECT_FALSE(keeps_forms(w));
  EXPECT_FALSE(keeps_forms({}));
  EXPECT_EQ(kept_form_bytes(w), 0);
  EXPECT_EQ(test::message_of([] { keep_forms({}); }), "[keep_forms] expected a tensor, got an undefined one");
}

}  // namespace
}  // namespace tern
