// Single operations.
#include <tern/core/autograd/autograd.h>
#include <tern/core/kept_forms.h>
#include <tern/core/ops/attention.h>
#include <tern/core/ops/conv.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/linear.h>
#include <tern/core/ops/matmul.h>

#include "workload.h"

namespace tern::bench {
namespace {

void gradients(const Tensor& output, std::initializer_list<Tensor> inputs, const Tensor& grad_output) {
  static_cast<void>(autograd::grad({&output, 1}, inputs, {&grad_output, 1}));
}

Workload conv(const std::string& name, int64_t images, int64_t channels, int64_t side, int64_t kernel_size,
              int64_t out_channels, int64_t groups = 1, int64_t stride = 1) {
  const Conv2dOptions options{.stride = stride, .padding = kernel_size / 2, .groups = groups};
  const Shape in{images, channels, side, side}, out{images, out_channels, side / stride, side / stride};
  const Shape weight{out_channels, channels / groups, kernel_size, kernel_size};
  const auto prepare = [in, out, weight, options]() -> Prepared {
    Tensor x = randn(in).contiguous(MemoryFormat::kChannelsLast).requires_grad_();
    Tensor w = randn(weight).requires_grad_();
    const Tensor g = randn(out).contiguous(MemoryFormat::kChannelsLast);
    return {.step = [x, w, g, options] { gradients(conv2d(x, w, {}, options), {x, w}, g); }};
  };
  const std::string kind = groups == 1          ? concat(channels, " to ", out_channels, " channels")
                           : groups == channels ? concat(channels, " channels, depthwise")
                                                : concat(channels, " channels in groups of ", channels / groups);
  return {.name = name,
          .what = concat("one ", kernel_size, "x", kernel_size, " convolution, ", kind,
                         stride > 1 ? concat(", stride ", stride) : "", ", batch ", images, " of ", side, "x", side,
                         ", forward and both gradients"),
          .items = images,
          .flop = 3 * 2.0 * static_cast<double>(numel_of(out) * weight[1] * kernel_size * kernel_size),
          .prepare = prepare};
}

// A layer whose weights stay as they are.
Workload constant_linear(int64_t tokens) {
  constexpr int64_t kFeatures = 4096;
  const auto prepare = [tokens]() -> Prepared {
    const Tensor x = randn({tokens, kFeatures}), w = randn({kFeatures, kFeatures});
    keep_forms(w);
    return {.step = [x, w] { static_cast<void>(linear(x, w)); }};
  };
  return {
      .name = concat("linear_4096x", tokens),
      .what = concat(tokens, tokens > 1 ? " tokens" : " token", " through a layer of 4096 x 4096 in f32, keep_forms"),
      .items = tokens,
      .flop = 2.0 * static_cast<double>(tokens * kFeatures * kFeatures),
      .bytes = sizeof(float) * static_cast<double>(kFeatures * kFeatures),
      .repetitions = 3,
      .prepare = prepare};
}

Prepared matmul_1024() {
  const Tensor a = randn({1024, 1024}), b = randn({1024, 1024});
  return {.step = [a, b] { static_cast<void>(matmul(a, b)); }};
}

constexpr int64_t kSequences = 16, kHeads = 6, kTokens = 256, kWidth = 48;

Prepared attention() {
  const Shape shape{kSequences, kHeads, kTokens, kWidth};
  Tensor q = randn(shape).requires_grad_(), k = randn(shape).requires_grad_(), v = randn(shape).requires_grad_();
  const Tensor g = randn(shape);
  return {.step = [q, k, v, g] { gradients(scaled_dot_product_attention(q, k, v), {q, k, v}, g); }};
}

}  // namespace

std::vector<Workload> operator_workloads() {
  return {conv("conv3x3_c16", 128, 16, 32, 3, 16),
          conv("conv3x3_c32", 128, 32, 16, 3, 32),
          conv("conv3x3_c64", 128, 64, 8, 3, 64),
          conv("conv1x1", 64, 64, 32, 1, 256),
          conv("grouped3x3_g4", 32, 128, 32, 3, 128, 32),
          conv("depthwise3x3", 64, 144, 32, 3, 144, 144),
          conv("depthwise3x3_s2", 64, 144, 32, 3, 144, 144, 2),
          {.name = "matmul_1024",
           .what = "the product of two 1024 x 1024 matrices",
           .items = 1,
           .flop = 2.0 * 1024 * 1024 * 1024,
           .repetitions = 3,
           .prepare = matmul_1024},
          constant_linear(1),
          constant_linear(64),
          {.name = "attention",
           .what = "scaled dot-product attention, batch 16, 6 heads, 256 tokens, head width 48, forward and gradients",
           .items = kSequences,
           .flop = 6 * 2.0 * kSequences * kHeads * kTokens * kTokens * kWidth,
           .prepare = attention}};
}

}  // namespace tern::bench
