#include <tern/core/ops/attention.h>
#include <tern/core/ops/matmul.h>
#include <tern/core/ops/operators.h>
#include <tern/core/ops/softmax.h>
#include <tern/core/storage.h>

#include "core/numeric.h"

namespace tern {
namespace {

using test::expect_same;
using test::Function;
using test::normal;

constexpr double kHidden = -std::numeric_limits<double>::infinity();

// What a causal rule adds to the scores.
Tensor causal_mask(int64_t queries, int64_t keys, int64_t offset, DType dtype) {
  Tensor m = empty({queries, keys}, DType::kF64).fill_(0);
  for (int64_t i = 0; i < queries; ++i)
    for (int64_t j = 0; j < keys; ++j)
      if (j > i + offset) m.data<double>()[i * keys + j] = kHidden;
  return m.to(dtype);
}

// [B, Hkv, T, D] with every key head repeated for the query heads that share it.
Tensor repeated(const Tensor& x, int64_t times) {
  const Shape& s = x.shape();
  return x.unsqueeze(2).expand({s[0], s[1], times, s[2], s[3]}).reshape({s[0], s[1] * times, s[2], s[3]});
}

// The composition of simple ops that the fused one stands for.
Function composition(double scale, bool causal, int64_t offset) {
  return [=](const std::vector<Tensor>& in) {
    const int64_t times = in[0].size(1) / in[1].size(1);
    const Tensor k = repeated(in[1], times), v = repeated(in[2], times);
    Tensor scores = matmul(in[0], k.transpose(2, 3)) * scale;
    if (in.size() > 3) scores = scores + in[3];
    if (causal) scores = scores + causal_mask(in[0].size(2), k.size(2), offset, in[0].dtype());
    return std::vector<Tensor>{matmul(softmax(scores, -1), v)};
  };
}

Function fused(double scale, bool causal, int64_t offset) {
  return [=](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{scaled_dot_product_attention(
        in[0], in[1], in[2],
        {.mask = in.size() > 3 ? in[3] : Tensor(), .is_causal = causal, .causal_offset = offset, .scale = scale})};
  };
}

// Sizes that take every path: several blocks of keys, heads cut into runs of queries, shared key heads, widths that are
// no multiple of a vector, a single query.
TEST(Attention, MatchesItsCompositionForwardAndBackward) {
  struct Case {
    int64_t b, h, hkv, tq, tk, d, dv;
    bool causal = false;
    int64_t offset = 0;
  };
  for (const auto& c : {Case{2, 3, 3, 65, 65, 16, 16}, Case{1, 2, 1, 300, 600, 20, 12},
                        Case{1, 4, 2, 300, 300, 24, 24, true}, Case{1, 1, 1, 130, 700, 9, 33, true, 570},
                        Case{1, 2, 2, 1, 530, 40, 40}, Case{40, 1, 1, 50, 270, 8, 8, true, 3}}) {
    SCOPED_TRACE(concat(c.b, " ", c.h, " ", c.hkv, " ", c.tq, " ", c.tk, " ", c.d, " ", c.dv));
    const std::vector<Tensor> inputs{normal({c.b, c.h, c.tq, c.d}, 1), normal({c.b, c.hkv, c.tk, c.d}, 2),
                                     normal({c.b, c.hkv, c.tk, c.dv}, 3)};
    expect_same(fused(0.3, c.causal, c.offset), composition(0.3, c.causal, c.offset), inputs);
  }
}

TEST(Attention, MatchesItsCompositionWithATrainedMask) {
  expect_same(
      fused(0.3, true, 0), composition(0.3, true, 0),
      {normal({2, 2, 100, 8}, 1), normal({2, 2, 300, 8}, 2), normal({2, 2, 300, 8}, 3), normal({2, 1, 300}, 4)});
}

TEST(Attention, PackedFormIsItsParts) {
  const int64_t b = 3, t = 70, h = 2, d = 12;
  const auto parts = [=](const std::vector<Tensor>& in) {
    const Tensor split = in[0].reshape({b, t, 3, h, d}).permute({2, 0, 3, 1, 4});
    const Tensor y = scaled_dot_product_attention(split[0], split[1], split[2]);
    return std::vector<Tensor>{y.transpose(1, 2).reshape({b, t, h * d})};
  };
  const auto packed = [=](const std::vector<Tensor>& in) { return std::vector<Tensor>{packed_attention(in[0], h)}; };
  expect_same(packed, parts, {normal({b, t, 3 * h * d}, 1)});
}

TEST(Attention, TokensBeforeHeadsStaySoInMemory) {
  const Tensor x = normal({2, 9, 3, 4}, 1).transpose(1, 2);
  const Tensor y = scaled_dot_product_attention(x, x, x);
  EXPECT_EQ(y.shape(), (Shape{2, 3, 9, 4}));
  EXPECT_TRUE(y.transpose(1, 2).is_contiguous());
}

// 8 heads of 1024 x 1024 scores would be 32 MiB.
TEST(Attention, KeepsNoMatrixOfScores) {
  std::vector<Tensor> in;
  for (uint64_t i = 0; i < 3; ++i) in.push_back(normal({1, 8, 1024, 16}, i, DType::kF32).requires_grad_());
  const int before = num_threads();
  set_num_threads(2);
  reset_peak_memory();
  const int64_t live = memory_stats().live_bytes;
  scaled_dot_product_attention(in[0], in[1], in[2]).backward(normal({1, 8, 1024, 16}, 4, DType::kF32));
  EXPECT_LT(memory_stats().peak_bytes - live, int64_t{12} << 20);
  set_num_threads(before);
}

}  // namespace
}  // namespace tern
