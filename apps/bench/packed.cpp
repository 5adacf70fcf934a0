// Inference with packed weights, and the memory that bounds it.
#include <vector>

#include <tern/core/ops/create.h>
#include <tern/core/ops/linear.h>
#include <tern/quant/layers/packed_linear.h>

#include "machine.h"
#include "workload.h"

namespace tern::bench {
namespace {

using packed::PackedWeight;

constexpr int64_t kFeatures = 4096;
constexpr double kProducts = static_cast<double>(kFeatures * kFeatures);
constexpr int64_t kSweep = int64_t{128} << 20;  // matrices of at least this many bytes in turn: more than caches hold

// Numbers 0, 1, ... count - 1, over and over.
std::function<int64_t()> rotation(int64_t count) {
  return [count, next = int64_t{0}]() mutable { return next++ % count; };
}

// Packed matrices of `sweep` bytes together, or one, each as good as any other: one is drawn, the others are copies.
std::vector<PackedWeight> packed_weights(int64_t sweep) {
  const PackedWeight first =
      packed::pack(randint(-1, 2, {kFeatures, kFeatures}).to(DType::kI8), 0.02F, packed::pack2_block128);
  std::vector<PackedWeight> weights{first};
  while (static_cast<int64_t>(weights.size()) * first.bytes.bytes() < sweep) {
    weights.push_back(first);
    weights.back().bytes = first.bytes.clone();
  }
  return weights;
}

std::function<void()> packed_step(const Tensor& x, const std::vector<PackedWeight>& weights) {
  return [x, weights, next = rotation(static_cast<int64_t>(weights.size()))]() mutable {
    static_cast<void>(packed::packed_linear(x, weights[static_cast<size_t>(next())]));
  };
}

// Reads the bytes of one matrix after the other, and does nothing with them.
std::function<void()> read_step(const std::vector<PackedWeight>& weights) {
  return [weights, next = rotation(static_cast<int64_t>(weights.size()))]() mutable {
    const Tensor& bytes = weights[static_cast<size_t>(next())].bytes;
    volatile uint64_t kept = read_all(bytes.raw(), bytes.bytes());
    static_cast<void>(kept);
  };
}

std::function<void()> float_step(const Tensor& x) {
  std::vector<Tensor> weights{randn({kFeatures, kFeatures})};
  while (static_cast<int64_t>(weights.size()) * weights[0].bytes() < kSweep) weights.push_back(weights[0].clone());
  return [x, weights, next = rotation(static_cast<int64_t>(weights.size()))]() mutable {
    static_cast<void>(linear(x, weights[static_cast<size_t>(next())]));
  };
}

Prepared gemv() {
  const Tensor x = randn({1, kFeatures});
  const std::vector<PackedWeight> weights = packed_weights(kSweep);
  return {.step = packed_step(x, weights),
          .beside = {
              {"fp32_ms", float_step(x)}, {"warm_ms", packed_step(x, {weights[0]})}, {"read_ms", read_step(weights)}}};
}

Prepared gemm() {
  const Tensor x = randn({64, kFeatures});
  return {.step = packed_step(x, packed_weights(kSweep)), .beside = {{"fp32_ms", float_step(x)}}};
}

Prepared memory_read() {
  const Tensor memory = full({kSweep}, 1, DType::kU8);
  return {.step = [memory] {
    volatile uint64_t kept = read_all(memory.raw(), memory.bytes());
    static_cast<void>(kept);
  }};
}

}  // namespace

std::vector<Workload> packed_workloads() {
  return {{.name = "ternary_gemv_4096",
           .what = "one token through 4096 x 4096 packed ternary weights, 128 MB of them in turn; beside it in f32, "
                   "with one matrix, and reading alone",
           .items = 1,
           .flop = 2 * kProducts,
           .bytes = kProducts / 4,
           .repetitions = 32,
           .prepare = gemv},
          {.name = "ternary_gemm_4096x64",
           .what = "64 tokens through the same; beside it in f32",
           .items = 64,
           .flop = 64 * 2 * kProducts,
           .repetitions = 3,
           .prepare = gemm},
          {.name = "memory_read",
           .what = "a sweep that only reads, over 128 MB",
           .bytes = static_cast<double>(kSweep),
           .repetitions = 3,
           .prepare = memory_read}};
}

}  // namespace tern::bench
