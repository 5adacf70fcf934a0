// Convolution beyond the op table: accuracy of each path in single precision, memory formats, and what the backward of
// a network of these ops does to them.
#include <cmath>
#include <limits>

#include <gtest/gtest.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/ops/batch_norm.h>
#include <tern/core/ops/conv.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/pool.h>

#include "core/conv_method_scope.h"
#include "core/numeric.h"

namespace tern::test {
namespace {

struct Path {
  const char* name;
  Shape x, weight;
  Conv2dOptions options;
};

void PrintTo(const Path& path, std::ostream* out) {
  *out << path.name;
}

std::string path_name(const ::testing::TestParamInfo<Path>& info) {
  std::string name = info.param.name;
  std::replace(name.begin(), name.end(), ' ', '_');
  return name;
}

class ConvAccuracy : public ::testing::TestWithParam<Path> {};

// The direct kernels; conv_winograd_test.cpp measures the others against them.
// Every product is exact in f64, so the f64 path (which the op table compares with the defining sum) is the truth here.
// A sum of n products in f32 is off by about 2.4e-8 sqrt(n) of its size: 0.6e-6 for 576 products, and 1.5e-6 where the
// weight gradient adds four thousand positions before it begins another partial sum.
TEST_P(ConvAccuracy, SinglePrecision) {
  const Path& path = GetParam();
  const MethodScope scope(ConvMethod::kDirect);
  const Tensor x = normal(path.x, 1).to(DType::kF32), weight = normal(path.weight, 2).to(DType::kF32);
  // Upstream gradients are made in f64 and rounded; the truth gets the rounded ones.
  const auto results = [&](DType dtype) {
    const Tensor a = x.detach().to(dtype).requires_grad_(), b = weight.detach().to(dtype).requires_grad_();
    const std::vector<Tensor> y{conv2d(a, b, {}, path.options)};
    const std::vector<Tensor> wanted{a, b}, upstream{normal(y[0].shape(), 3).to(DType::kF32).to(dtype)};
    std::vector<Tensor> all = autograd::grad(y, wanted, upstream);
    all.push_back(y[0].detach());
    return all;
  };
  const auto single = results(DType::kF32), exact = results(DType::kF64);
  EXPECT_LT(rms_error(single[2], exact[2]), 1e-6) << "output";
  EXPECT_LT(rms_error(single[0], exact[0]), 1e-6) << "gradient of the input";
  EXPECT_LT(rms_error(single[1], exact[1]), 2e-6) << "gradient of the weight";
}

INSTANTIATE_TEST_SUITE_P(
    Paths, ConvAccuracy,
    ::testing::Values(
        Path{"stem", {16, 3, 32, 32}, {16, 3, 3, 3}, {.padding = 1}},
        Path{"16 channels", {16, 16, 32, 32}, {16, 16, 3, 3}, {.padding = 1}},
        Path{"32 channels", {16, 32, 16, 16}, {32, 32, 3, 3}, {.padding = 1}},
        Path{"64 channels", {16, 64, 8, 8}, {64, 64, 3, 3}, {.padding = 1}},
        Path{"stride 2", {16, 16, 32, 32}, {32, 16, 3, 3}, {.stride = 2, .padding = 1}},
        Path{"large weights", {4, 160, 7, 7}, {160, 160, 3, 3}, {.padding = 1}},
        Path{"1x1", {8, 64, 14, 14}, {96, 64, 1, 1}, {}}, Path{"patches", {8, 3, 32, 32}, {96, 3, 4, 4}, {.stride = 4}},
        Path{"depthwise", {8, 24, 20, 20}, {24, 1, 3, 3}, {.padding = 1, .groups = 24}},
        Path{"depthwise stride 2", {8, 40, 20, 21}, {40, 1, 5, 5}, {.stride = 2, .padding = 2, .groups = 40}},
        Path{"groups of 4", {4, 64, 14, 14}, {64, 4, 3, 3}, {.padding = 1, .groups = 16}},
        Path{"groups of 8", {4, 32, 14, 14}, {32, 8, 3, 3}, {.padding = 1, .groups = 4}},
        Path{"groups of 16", {4, 64, 14, 14}, {64, 16, 3, 3}, {.padding = 1, .groups = 4}},
        Path{"two outputs per group", {4, 24, 14, 14}, {48, 1, 3, 3}, {.padding = 1, .groups = 24}}),
    path_name);

TEST(Conv2d, OutputIsChannelsLastWhateverTheInput) {
  const Tensor x = normal({2, 3, 6, 6}, 1), weight = normal({4, 3, 3, 3}, 2);
  EXPECT_EQ(conv2d(x, weight).memory_format(), MemoryFormat::kChannelsLast);
  EXPECT_EQ(conv2d(contiguous(x, MemoryFormat::kChannelsLast), weight).memory_format(), MemoryFormat::kChannelsLast);
}

TEST(Conv2d, WeightsMayHaveAnyStrides) {
  const Tensor x = normal({2, 3, 6, 6}, 1), weight = normal({3, 4, 3, 3}, 2);
  const Tensor turned = weight.transpose(0, 1);
  EXPECT_TRUE(bit_equal(conv2d(x, turned, {}, {.padding = 1}), conv2d(x, turned.contiguous(), {}, {.padding = 1})));
}

TEST(Conv2d, ABatchOfNothingHasZeroGradients) {
  const Tensor x = empty({0, 3, 8, 8}), weight = normal({4, 3, 3, 3}, 2).to(DType::kF32).requires_grad_();
  const Tensor bias = normal({4}, 3).to(DType::kF32).requires_grad_();
  const Tensor y = conv2d(x, weight, bias);
  EXPECT_EQ(y.shape(), Shape({0, 4, 6, 6}));
  y.backward(empty({0, 4, 6, 6}));
  EXPECT_EQ(weight.grad().to_vector<double>(), std::vector<double>(108, 0.0));
  EXPECT_EQ(bias.grad().to_vector<double>(), std::vector<double>(4, 0.0));
}

// Results of an image must not depend on its neighbours in the batch, whatever the kernels.
TEST(Conv2d, ImagesDoNotSeeEachOther) {
  const Tensor x = normal({5, 16, 7, 9}, 1).to(DType::kF32), weight = normal({16, 16, 3, 3}, 2).to(DType::kF32);
  for (const ConvMethod method : {ConvMethod::kDirect, ConvMethod::kWinograd2, ConvMethod::kWinograd4}) {
    const MethodScope scope(method);
    const Tensor all = conv2d(x, weight, {}, {.padding = 1});
    for (int64_t n = 0; n < 5; ++n)
      EXPECT_TRUE(bit_equal(all.slice(0, n, n + 1), conv2d(x.slice(0, n, n + 1), weight, {}, {.padding = 1})));
  }
}

TEST(Formats, PoolingAndBatchNormKeepTheirInputs) {
  for (const MemoryFormat format : {MemoryFormat::kContiguous, MemoryFormat::kChannelsLast}) {
    const Tensor x = contiguous(normal({2, 3, 6, 6}, 1), format);
    EXPECT_EQ(max_pool2d(x, {}).memory_format(), format);
    EXPECT_EQ(avg_pool2d(x, {}).memory_format(), format);
    EXPECT_EQ(adaptive_avg_pool2d(x, 2).memory_format(), format);
    EXPECT_EQ(shortcut_a(x, 6, 2).memory_format(), format);
    EXPECT_EQ(batch_norm(x, {}, {}, {}, {}, {.training = true}).memory_format(), format);
    EXPECT_EQ(bn_act(x, {}, {}, {}, {}, x, {.training = true}).memory_format(), format);
    // A residual in the other format is brought into x's.
    const Tensor other =
        contiguous(x, format == MemoryFormat::kContiguous ? MemoryFormat::kChannelsLast : MemoryFormat::kContiguous);
    EXPECT_EQ(bn_act(x, {}, {}, {}, {}, other, {.training = true}).memory_format(), format);
  }
}

// A residual block with a shortcut: gradients stay channels-last all the way down.
TEST(Formats, GradientsOfABlockStayChannelsLast) {
  const Tensor x = contiguous(normal({2, 4, 8, 8}, 1), MemoryFormat::kChannelsLast).requires_grad_();
  const Tensor w1 = normal({8, 4, 3, 3}, 2), w2 = normal({8, 8, 3, 3}, 3);
  std::vector<Tensor> kept;
  const auto keep = [&](Tensor y) {
    y.retain_grad();
    kept.push_back(y);
    return y;
  };
  const Tensor a = keep(conv2d(x, w1, {}, {.stride = 2, .padding = 1}));
  const Tensor b = keep(bn_act(a, {}, {}, {}, {}, {}, {.training = true}));
  const Tensor c = keep(conv2d(b, w2, {}, {.padding = 1}));
  const Tensor s = keep(shortcut_a(x, 8, 2));
  const Tensor d = keep(bn_act(c, {}, {}, {}, {}, s, {.training = true}));
  const Tensor pooled = global_avg_pool(d);
  pooled.backward(normal(pooled.shape(), 4));
  for (const Tensor& y : kept) {
    EXPECT_EQ(y.memory_format(), MemoryFormat::kChannelsLast);
    EXPECT_EQ(y.grad().memory_format(), MemoryFormat::kChannelsLast);
  }
  EXPECT_EQ(x.grad().memory_format(), MemoryFormat::kChannelsLast);
}

TEST(Conv2d, AHugeStrideTakesNoMemoryAndUncountableSizesAreRefused) {
  const int64_t largest = (int64_t{1} << 31) - 1;
  Tensor x = randn({1, 2, 3, 3}).requires_grad_(), w = randn({4, 2, 3, 3}).requires_grad_();
  const Tensor y = conv2d(x, w, {}, {.stride = largest, .padding = 1});
  EXPECT_EQ(y.shape(), (Shape{1, 4, 1, 1}));
  y.sum().backward();
  EXPECT_EQ(x.grad().shape(), x.shape());
  EXPECT_THROW(static_cast<void>(conv2d(x, w, {}, {.padding = largest + 1})), ValueError);
  EXPECT_THROW(static_cast<void>(conv2d(x, w, {}, {.padding = 1, .dilation = std::numeric_limits<int64_t>::max()})),
               ValueError);
}

}  // namespace
}  // namespace tern::test
