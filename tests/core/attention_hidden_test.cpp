// What a query may not attend to reaches neither its row nor its gradients, whatever it holds: results are those that
// zeros in its place give.
#include <cmath>
#include <functional>
#include <limits>
#include <string>
#include <vector>

#include <gtest/gtest.h>

#include <tern/core/autograd/autograd.h>
#include <tern/core/ops/attention.h>
#include <tern/core/ops/compare.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/join.h>
#include <tern/core/ops/reduce.h>
#include <tern/core/ops/shape.h>

namespace tern {
namespace {

constexpr double kInf = std::numeric_limits<double>::infinity();
constexpr double kPoisons[] = {std::numeric_limits<double>::quiet_NaN(), kInf, -kInf};

struct HiddenCase {
  int64_t queries, keys, heads, kv_heads;
  DType dtype;
};

Tensor numbers(const Shape& shape, DType dtype, uint64_t stream) {
  Generator generator(3, stream);
  return randn(shape, dtype, &generator);
}

struct Results {
  Tensor out, q, k, v;
};

Results attend(const Tensor& q, const Tensor& k, const Tensor& v, const AttentionOptions& options,
               const Tensor& upstream) {
  Tensor a = q.clone().requires_grad_(), b = k.clone().requires_grad_(), c = v.clone().requires_grad_();
  const Tensor out = scaled_dot_product_attention(a, b, c, options);
  const std::vector<Tensor> outs{out}, leaves{a, b, c}, firsts{upstream};
  const auto grads = autograd::grad(outs, leaves, firsts);
  return {out.detach(), grads[0], grads[1], grads[2]};
}

// x with `value` in its rows from `first` on.
Tensor with_tail(const Tensor& x, int64_t first, double value) {
  Tensor out = x.clone();
  Tensor tail = out.slice(-2, first, x.size(-2));
  tail.fill_(value);
  return out;
}

void expect_same_bits(const Tensor& got, const Tensor& want, const std::string& what) {
  EXPECT_TRUE(equal(got, want)) << what << " is not what zeros behind the mask give";
}

// The last two keys are hidden from every query.
TEST(AttentionHidden, PaddingReachesNothing) {
  for (const HiddenCase& c : {HiddenCase{1, 5, 2, 2, DType::kF32},
                              {3, 9, 2, 1, DType::kF64},
                              {7, 9, 4, 2, DType::kF32},
                              {130, 300, 2, 2, DType::kF32},
                              {100, 130, 1, 1, DType::kF64}}) {
    const Tensor q = numbers({2, c.heads, c.queries, 8}, c.dtype, 1),
                 k = numbers({2, c.kv_heads, c.keys, 8}, c.dtype, 2),
                 v = numbers({2, c.kv_heads, c.keys, 4}, c.dtype, 3),
                 g = numbers({2, c.heads, c.queries, 4}, c.dtype, 4);
    const Tensor visible = lt(arange(c.keys), static_cast<double>(c.keys - 2)).reshape({1, c.keys});
    const Tensor added = masked_fill(zeros({1, c.keys}, c.dtype), eq(visible, 0.0), -kInf);
    for (const Tensor& mask : {visible, added}) {
      for (const double dropout : {0.0, 0.3}) {
        const AttentionOptions options{.mask = mask, .scale = std::nullopt, .dropout = dropout};
        const auto run = [&](double tail) {
          manual_seed(5);
          return attend(q, with_tail(k, c.keys - 2, tail), with_tail(v, c.keys - 2, tail), options, g);
        };
        const Results want = run(0);
        for (const double poison : kPoisons) {
          const std::string where = concat(c.queries, " queries, ", c.dtype, ", ", poison, ": ");
          const Results got = run(poison);
          expect_same_bits(got.out, want.out, where + "out");
          expect_same_bits(got.q, want.q, where + "gradient of q");
          expect_same_bits(got.k, want.k, where + "gradient of k");
          expect_same_bits(got.v, want.v, where + "gradient of v");
          const NoGradGuard no_grad;
          manual_seed(5);
          const Tensor alone = scaled_dot_product_attention(q, with_tail(k, c.keys - 2, poison),
                                                            with_tail(v, c.keys - 2, poison), options);
          EXPECT_TRUE(allclose(alone, want.out, 1e-5, 1e-6)) << where << "without a gradient";
        }
      }
    }
  }
}

// Causal: the last key is seen by the last query alone, whose row is the only one that is not a number.
TEST(AttentionHidden, TheFutureReachesNothing) {
  for (const int64_t n : {2, 3, 6, 97, 300}) {
    const Tensor q = numbers({1, 2, n, 8}, DType::kF32, 1), k = numbers({1, 2, n, 8}, DType::kF32, 2);
    const Tensor v = numbers({1, 2, n, 8}, DType::kF32, 3);
    Tensor g = with_tail(numbers({1, 2, n, 8}, DType::kF32, 4), n - 1, 0);  // nothing comes from the last row
    const AttentionOptions options{.is_causal = true};
    const Results want = attend(q, with_tail(k, n - 1, 0), with_tail(v, n - 1, 0), options, g);
    for (const double poison : kPoisons) {
      const Results got = attend(q, with_tail(k, n - 1, poison), with_tail(v, n - 1, poison), options, g);
      const auto head = [n](const Tensor& x) { return x.slice(-2, 0, n - 1); };
      expect_same_bits(head(got.out), head(want.out), concat(n, " queries, ", poison, ": out"));
      expect_same_bits(head(got.q), head(want.q), concat(n, " queries, ", poison, ": gradient of q"));
      EXPECT_EQ(any(isfinite(got.out.slice(-2, n - 1, n))).item(), 0) << "the last row sees it: " << poison;
    }
  }
}

// A broken query that may attend to nothing gives nothing to the keys.
TEST(AttentionHidden, BlindQueriesGiveNothing) {
  for (const int64_t n : {2, 5, 100}) {
    const Tensor k = numbers({n, 4}, DType::kF64, 2), v = numbers({n, 4}, DType::kF64, 3);
    const Tensor mask = lt(arange(n), static_cast<double>(n - 1)).reshape({n, 1}).expand({n, n});
    const Tensor q = numbers({n, 4}, DType::kF64, 1), g = numbers({n, 4}, DType::kF64, 4);
    const Results want = attend(with_tail(q, n - 1, 0), k, v, {.mask = mask}, with_tail(g, n - 1, 0));
    for (const double poison : kPoisons) {
      const Results got = attend(with_tail(q, n - 1, poison), k, v, {.mask = mask}, with_tail(g, n - 1, poison));
      expect_same_bits(got.out, want.out, "out");
      expect_same_bits(got.q, want.q, "gradient of q");
      expect_same_bits(got.k, want.k, "gradient of k");
      expect_same_bits(got.v, want.v, "gradient of v");
    }
  }
}

// Beside hidden ones, what is visible keeps its meaning: gradients of the rows that see no poison, and of a mask.
TEST(AttentionHidden, PackedAndMaskGradients) {
  const int64_t n = 6;
  const Tensor qkv = numbers({2, n, 3 * 8}, DType::kF64, 1), g = numbers({2, n, 8}, DType::kF64, 2);
  const auto run = [&](double tail) {
    Tensor x = qkv.clone();
    Tensor keys_and_values = x.slice(1, n - 1, n).slice(2, 8, 24);
    keys_and_values.fill_(tail);
    x.requires_grad_();
    Tensor mask = zeros({1, 1, n, n}, DType::kF64);
    Tensor hidden = mask.slice(3, n - 1, n);
    hidden.fill_(-kInf);
    mask.requires_grad_();
    const Tensor y = packed_attention(x, 2, {.mask = mask});
    const std::vector<Tensor> outs{y}, leaves{x, mask}, firsts{g};
    const auto grads = autograd::grad(outs, leaves, firsts);
    return std::vector<Tensor>{y.detach(), grads[0], grads[1]};
  };
  const auto want = run(0);
  for (const double poison : kPoisons) {
    const auto got = run(poison);
    for (size_t i = 0; i < want.size(); ++i) expect_same_bits(got[i], want[i], concat("result ", i, ", ", poison));
  }
}

// Scores of any size: the backward's weights are those of the forward, however few the queries.
TEST(AttentionHidden, HugeScoresHaveTheirOwnWeights) {
  for (const DType dtype : {DType::kF32, DType::kF64}) {
    for (const int64_t n : {1, 3, 8}) {
      const Tensor q = numbers({n, 7}, dtype, 1), k = mul(numbers({40, 7}, dtype, 2), 1e12);
      const Tensor v = numbers({40, 3}, dtype, 3), g = ones({n, 3}, dtype);
      const Results got = attend(q, k, v, {}, g);
      // each query gives its whole weight to one key
      EXPECT_TRUE(allclose(sum(got.v, {0}), full({3}, static_cast<double>(n), dtype), 1e-6, 0))
          << concat(n, " ", dtype);
      EXPECT_EQ(sum(abs(got.q)).item(), 0) << concat(n, " ", dtype);
    }
  }
}

}  // namespace
}  // namespace tern
