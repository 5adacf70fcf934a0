// Winograd convolutions: accuracy against f64 and against the direct kernels, borders, the choice by shape, the
// environment variable, and bits at any number of threads.
#include <cmath>
#include <cstdio>
#include <cstdlib>

#include <gtest/gtest.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/conv_method.h>
#include <tern/core/ops/conv.h>
#include <tern/core/ops/detail/winograd_plan.h>
#include <tern/core/ops/reduce.h>

#include "core/conv_method_scope.h"
#include "core/numeric.h"

namespace tern::test {
namespace {

constexpr ConvMethod kWinograds[] = {ConvMethod::kWinograd2, ConvMethod::kWinograd4};

struct Case {
  Shape x, weight;
  Size2 padding;
};

std::string describe(const Case& c, ConvMethod method, size_t result) {
  constexpr const char* kResults[] = {"gradient of the input", "gradient of the weight", "output"};
  return concat(kResults[result], ", input ", c.x, ", weight ", c.weight, ", padding ", c.padding, ", method ",
                static_cast<int>(method));
}

constexpr const char* kNames[] = {"gradient of the input", "gradient of the weight", "output"};

// Gradients of the input and the weight, and the output, of numbers that are the same in both precisions.
std::vector<Tensor> results(const Case& c, ConvMethod method, DType dtype) {
  const MethodScope scope(method);
  const auto input = [&](const Shape& shape, uint64_t seed) { return normal(shape, seed).to(DType::kF32).to(dtype); };
  const Tensor x = input(c.x, 1).requires_grad_(), weight = input(c.weight, 2).requires_grad_();
  const std::vector<Tensor> y{conv2d(x, weight, input({c.weight[0]}, 4), {.padding = c.padding})};
  const std::vector<Tensor> wanted{x, weight}, upstream{input(y[0].shape(), 3)};
  std::vector<Tensor> all = autograd::grad(y, wanted, upstream);
  all.push_back(y[0].detach());
  return all;
}

// What kernels/winograd.h promises. Measured (TERN_SHOW_ERRORS=1 prints them): direct 1.6e-7 to 5.9e-7, F(2, 3) 0.6 to
// 1.5 times that, F(4, 3) 1.4 to 4.2 times; most for a gradient of 64 x 64 weights, which the direct kernel sums in
// more parts.
TEST(Winograd, ErrorIsAFewTimesThatOfTheDirectKernels) {
  const Case cases[] = {{{8, 16, 32, 32}, {16, 16, 3, 3}, 1},
                        {{8, 32, 16, 16}, {32, 32, 3, 3}, 1},
                        {{8, 64, 8, 8}, {64, 64, 3, 3}, 1},
                        {{2, 128, 14, 14}, {128, 128, 3, 3}, 1},
                        {{2, 16, 20, 24}, {64, 16, 3, 3}, 0}};
  for (const Case& c : cases) {
    const auto exact = results(c, ConvMethod::kAuto, DType::kF64);
    const auto direct = results(c, ConvMethod::kDirect, DType::kF32);
    for (const ConvMethod method : kWinograds) {
      const double limit = method == ConvMethod::kWinograd2 ? 3 : 20;
      const auto got = results(c, method, DType::kF32);
      for (size_t i = 0; i < 3; ++i) {
        const double base = rms_error(direct[i], exact[i]), error = rms_error(got[i], exact[i]);
        EXPECT_LE(error, limit * base) << describe(c, method, i);
        EXPECT_GT(error, 0) << kNames[i];
        if (std::getenv("TERN_SHOW_ERRORS") != nullptr)
          std::printf("c%-3d F(%d, 3) %-22s direct %.2e, %.2f times that\n", static_cast<int>(c.x[1]),
                      method == ConvMethod::kWinograd2 ? 2 : 4, kNames[i], base, error / base);
      }
    }
  }
}

TEST(Winograd, BordersAndOddSizes) {
  const Case cases[] = {{{1, 16, 1, 1}, {16, 16, 3, 3}, 1},      {{3, 16, 5, 7}, {32, 16, 3, 3}, 0},
                        {{2, 32, 9, 3}, {16, 32, 3, 3}, {1, 0}}, {{2, 16, 6, 11}, {16, 16, 3, 3}, {0, 2}},
                        {{1, 48, 4, 4}, {80, 48, 3, 3}, 2},      {{2, 16, 2, 3}, {16, 16, 3, 3}, {4, 7}},
                        {{1, 16, 3, 3}, {16, 16, 3, 3}, 0},      {{5, 96, 13, 10}, {32, 96, 3, 3}, 1},
                        {{70, 16, 3, 2}, {16, 16, 3, 3}, {1, 1}}};
  for (const Case& c : cases) {
    const auto exact = results(c, ConvMethod::kAuto, DType::kF64);
    for (const ConvMethod method : kWinograds) {
      const auto got = results(c, method, DType::kF32);
      for (size_t i = 0; i < 3; ++i) EXPECT_LT(relative_error(got[i], exact[i]), 5e-6) << describe(c, method, i);
    }
  }
}

TEST(Winograd, SameBitsAtAnyNumberOfThreads) {
  const Case c{{9, 48, 13, 18}, {32, 48, 3, 3}, 1};
  const int before = num_threads();
  for (const ConvMethod method : kWinograds) {
    set_num_threads(1);
    const auto alone = results(c, method, DType::kF32);
    for (const int threads : {2, 3, 7}) {
      set_num_threads(threads);
      const auto shared = results(c, method, DType::kF32);
      for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(bit_equal(shared[i], alone[i])) << kNames[i] << ", " << threads;
    }
  }
  set_num_threads(before);
}

TEST(Winograd, AddsAResidualAndCutsNegativeValues) {
  const Tensor x = normal({3, 16, 9, 11}, 1), weight = normal({32, 16, 3, 3}, 2), bias = normal({32}, 3),
               residual = normal({3, 32, 9, 11}, 4);
  const auto f32 = [](const Tensor& t) { return t.to(DType::kF32); };
  for (const bool relu : {false, true}) {
    const Tensor exact = conv2d_act(x, weight, bias, residual, {.padding = 1}, relu);
    for (const ConvMethod method : kWinograds) {
      const MethodScope scope(method);
      const Tensor got = conv2d_act(f32(x), f32(weight), f32(bias), f32(residual), {.padding = 1}, relu);
      EXPECT_LT(relative_error(got, exact), 5e-6);
      EXPECT_EQ(tern::min(got).item() >= 0, relu);
    }
  }
}

TEST(Winograd, WeightsMayHaveAnyStrides) {
  const MethodScope scope(ConvMethod::kWinograd4);
  const Tensor x = normal({2, 16, 6, 6}, 1).to(DType::kF32), weight = normal({16, 32, 3, 3}, 2).to(DType::kF32);
  const Tensor turned = weight.transpose(0, 1);
  EXPECT_TRUE(bit_equal(conv2d(x, turned, {}, {.padding = 1}), conv2d(x, turned.contiguous(), {}, {.padding = 1})));
}

TEST(Winograd, DoublePrecisionIsAlwaysDirect) {
  const Case c{{2, 16, 9, 9}, {16, 16, 3, 3}, 1};
  const auto direct = results(c, ConvMethod::kDirect, DType::kF64);
  for (const ConvMethod method : {ConvMethod::kAuto, ConvMethod::kWinograd2, ConvMethod::kWinograd4}) {
    const auto got = results(c, method, DType::kF64);
    for (size_t i = 0; i < 3; ++i) EXPECT_TRUE(bit_equal(got[i], direct[i])) << kNames[i];
  }
}

DirectConv conv_of(int64_t batch, int64_t channels, int64_t side, int64_t out_channels) {
  DirectConv c;
  c.batch = batch;
  c.channels = c.in_pixel = channels;
  c.out_channels = c.out_pixel = out_channels;
  c.in_h = c.in_w = c.out_h = c.out_w = side;
  c.taps_h = c.taps_w = 3;
  c.first_h = c.first_w = -1;
  return c;
}

// The tile that the choice by shape must find: what timing found faster (docs/performance.md), tests/bench/conv_bench.
TEST(Winograd, IsChosenWhereItWins) {
  const MethodScope scope(ConvMethod::kAuto);
  const auto tile = [](const DirectConv& c) {
    EXPECT_EQ(winograd_plan(c, false).tile, winograd_plan(c, true).tile);
    return winograd_plan(c, false).tile;
  };
  EXPECT_EQ(tile(conv_of(128, 16, 32, 16)), 4);
  EXPECT_EQ(tile(conv_of(128, 32, 16, 32)), 4);
  EXPECT_EQ(tile(conv_of(128, 64, 8, 64)), 4);
  EXPECT_EQ(tile(conv_of(1, 64, 56, 64)), 4);
  EXPECT_EQ(tile(conv_of(8, 512, 7, 512)), 4);
  EXPECT_EQ(tile(conv_of(128, 512, 4, 512)), 4);
  EXPECT_EQ(tile(conv_of(128, 64, 2, 64)), 2) << "a tile of four would be three quarters waste";
  EXPECT_EQ(tile(conv_of(1, 512, 4, 512)), 0) << "the weights' transform is for one image";
  EXPECT_EQ(tile(conv_of(128, 16, 1, 16)), 0) << "one output of a tile's four";
  EXPECT_EQ(tile(conv_of(64, 16, 7, 16)), tile(conv_of(1000, 16, 7, 16))) << "larger batches are all treated alike";
}

TEST(Winograd, IsNotUsedWhereItCannotBe) {
  const MethodScope scope(ConvMethod::kWinograd4);
  EXPECT_EQ(winograd_plan(conv_of(8, 16, 8, 16), false).tile, 4);
  for (const auto& change : std::vector<std::function<void(DirectConv&)>>{
           [](DirectConv& c) { c.step_h = 2; }, [](DirectConv& c) { c.step_w = 2; },
           [](DirectConv& c) { c.dilation_h = 2; }, [](DirectConv& c) { c.dilation_w = 3; },
           [](DirectConv& c) { c.taps_h = 1; }, [](DirectConv& c) { c.taps_w = 5; },
           [](DirectConv& c) { c.groups = 2; }, [](DirectConv& c) { c.channels = 24; },
           [](DirectConv& c) { c.out_channels = 3; }, [](DirectConv& c) { c.batch = 0; }}) {
    DirectConv c = conv_of(8, 16, 8, 16);
    change(c);
    EXPECT_EQ(winograd_plan(c, false).tile, 0);
    EXPECT_EQ(winograd_plan(c, true).tile, 0);
  }
  set_conv_method(ConvMethod::kDirect);
  EXPECT_EQ(winograd_plan(conv_of(128, 64, 8, 64), false).tile, 0);
}

// In processes of their own: the variable is read once.
class WinogradDeathTest : public ::testing::Test {
 protected:
  void SetUp() override { GTEST_FLAG_SET(death_test_style, "threadsafe"); }

  static int with_variable(const char* value) {
    ::setenv("TERN_CONV", value, 1);
    try {
      return static_cast<int>(conv_method());
    } catch (const ValueError& error) {
      std::fprintf(stderr, "%s\n", error.what());
      return 100;
    }
  }
};

TEST_F(WinogradDeathTest, TheEnvironmentVariableSwitchesItOff) {
  EXPECT_EXIT(std::exit(with_variable("direct")), ::testing::ExitedWithCode(static_cast<int>(ConvMethod::kDirect)), "");
  EXPECT_EXIT(std::exit(with_variable("auto")), ::testing::ExitedWithCode(static_cast<int>(ConvMethod::kAuto)), "");
  EXPECT_EXIT(std::exit(with_variable("")), ::testing::ExitedWithCode(static_cast<int>(ConvMethod::kAuto)), "");
  EXPECT_EXIT(std::exit(with_variable("fast")), ::testing::ExitedWithCode(100),
              "\\[conv2d\\] expected TERN_CONV to be auto or direct, got fast");
}

}  // namespace
}  // namespace tern::test
