// Single operations.
#include <tern/core/attention.h>
#include <tern/core/autograd/autograd.h>
#include <tern/core/conv.h>
#include <tern/core/create.h>
#include <tern/core/matmul.h>

#include "workload.h"

namespace tern::bench {
namespace {

void gradients(const Tensor& output, std::initializer_list<Tensor> inputs, const Tensor& grad_output) {
  static_cast<void>(autograd::grad({&output, 1}, inputs, {&grad_output, 1}));
}

Workload conv3x3(int64_t channels, int64_t side) {
  constexpr int64_t kImages = 128;
  const auto prepare = [channels, side]() -> Prepared {
    const Shape image{kImages, channels, side, side};
    Tensor x = randn(image).contiguous(MemoryFormat::kChannelsLast).requires_grad_();
    Tensor w = randn({channels, channels, 3, 3}).requires_grad_();
    const Tensor g = randn(image).contiguous(MemoryFormat::kChannelsLast);
    return {.step = [x, w, g] { gradients(conv2d(x, w, {}, {.padding = 1}), {x, w}, g); }};
  };
  return {.name = concat("conv3x3_c", channels),
          .what = concat("one 3x3 convolution, ", channels, " channels, batch 128 of ", side, "x", side,
                         ", forward and both gradients"),
          .items = kImages,
          .flop = 3 * 2.0 * 9 * static_cast<double>(kImages * side * side * channels * channels),
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
  return {conv3x3(16, 32),
          conv3x3(32, 16),
          conv3x3(64, 8),
          {.name = "matmul_1024",
           .what = "the product of two 1024 x 1024 matrices",
           .items = 1,
           .flop = 2.0 * 1024 * 1024 * 1024,
           .repetitions = 3,
           .prepare = matmul_1024},
          {.name = "attention",
           .what = "scaled dot-product attention, batch 16, 6 heads, 256 tokens, head width 48, forward and gradients",
           .items = kSequences,
           .flop = 6 * 2.0 * kSequences * kHeads * kTokens * kTokens * kWidth,
           .prepare = attention}};
}

}  // namespace tern::bench
