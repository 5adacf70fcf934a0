#include <tern/core/ops/matmul.h>

#include "core/numeric.h"

namespace tern {
namespace {

using test::expect_thread_invariant;
using test::normal;
using test::relative_error;

// C[b] = A[b] B[b] by three loops, in double; operands of at least two axes.
Tensor naive(const Tensor& a, const Tensor& b) {
  const int64_t m = a.size(-2), k = a.size(-1), n = b.size(-1);
  Shape batch = broadcast_shapes("naive", Shape(std::span(a.shape()).first(static_cast<size_t>(a.dim() - 2))),
                                 Shape(std::span(b.shape()).first(static_cast<size_t>(b.dim() - 2))));
  const auto expanded = [&](const Tensor& x) {
    Shape shape = batch;
    shape.push_back(x.size(-2));
    shape.push_back(x.size(-1));
    return x.expand(shape).to_vector<double>();
  };
  const auto va = expanded(a), vb = expanded(b);
  Shape shape = batch;
  shape.push_back(m);
  shape.push_back(n);
  Tensor c = empty(shape, DType::kF64);
  double* out = c.data<double>();
  const int64_t count = numel_of(batch);
  for (int64_t i = 0; i < count * m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double s = 0;
      for (int64_t l = 0; l < k; ++l)
        s += va[static_cast<size_t>(i * k + l)] * vb[static_cast<size_t>((i / m * k + l) * n + j)];
      out[i * n + j] = s;
    }
  return c;
}

// Operands of every kind of layout: dense, transposed, a window of a larger matrix, both, every second column (which
// needs a copy), and expanded from one row.
std::vector<Tensor> layouts(const Shape& batch, int64_t rows, int64_t cols, uint64_t seed) {
  const auto shaped = [&](int64_t r, int64_t c) {
    Shape s = batch;
    s.push_back(r);
    s.push_back(c);
    return s;
  };
  const Tensor window = normal(shaped(rows + 3, cols + 5), seed + 2).slice(-1, 2, 2 + cols);
  const Tensor tall = normal(shaped(cols + 3, rows + 5), seed + 3).slice(-1, 1, 1 + rows);
  return {normal(shaped(rows, cols), seed),
          normal(shaped(cols, rows), seed + 1).transpose(-1, -2),
          window.slice(-2, 1, 1 + rows),
          tall.slice(-2, 2, 2 + cols).transpose(-1, -2),
          normal(shaped(rows, 2 * cols), seed + 4).slice(-1, 0, 2 * cols, 2),
          normal(shaped(1, cols), seed + 5).expand(shaped(rows, cols))};
}

TEST(Matmul, EveryPairOfLayoutsMatchesThreeLoops) {
  struct Case {
    Shape batch_a, batch_b;
    int64_t m, k, n;
  };
  for (const auto& c :
       {Case{{}, {}, 5, 7, 3}, Case{{}, {}, 1, 9, 6}, Case{{}, {}, 6, 9, 1}, Case{{}, {}, 1, 1, 4},
        Case{{}, {}, 4, 1, 5}, Case{{3}, {3}, 4, 5, 6}, Case{{2, 3}, {2, 3}, 4, 1, 2}, Case{{2, 3}, {}, 4, 5, 6},
        Case{{}, {2, 3}, 4, 5, 6}, Case{{2, 1}, {1, 3}, 3, 2, 5}, Case{{2, 3}, {1, 1}, 1, 5, 2},
        Case{{4}, {2, 4}, 2, 33, 1}, Case{{2}, {2}, 0, 3, 2}, Case{{2}, {}, 3, 0, 2}, Case{{0}, {1}, 3, 2, 2}}) {
    for (const Tensor& a : layouts(c.batch_a, c.m, c.k, 1))
      for (const Tensor& b : layouts(c.batch_b, c.k, c.n, 11)) {
        const Tensor want = naive(a, b);
        EXPECT_LE(relative_error(matmul(a, b), want), 1e-13)
            << "strides " << to_string(a.strides()) << " times " << to_string(b.strides());
        EXPECT_LE(relative_error(matmul(a.to(DType::kF32), b.to(DType::kF32)), want), 1e-5);
      }
  }
}

TEST(Matmul, GradientsOfEveryPairOfLayouts) {
  struct Case {
    Shape batch_a, batch_b;
    int64_t m, k, n;
  };
  for (const auto& c : {Case{{}, {}, 3, 4, 2}, Case{{2}, {}, 1, 3, 2}, Case{{}, {2}, 2, 3, 2},
                        Case{{2, 2}, {1, 2}, 2, 2, 3}, Case{{2, 1}, {1, 2}, 2, 1, 2}})
    for (const Tensor& a : layouts(c.batch_a, c.m, c.k, 21))
      for (const Tensor& b : layouts(c.batch_b, c.k, c.n, 31)) {
        if (a.strides()[a.dim() - 2] == 0 || b.strides()[b.dim() - 2] == 0) continue;  // elements that share memory
        const auto result = autograd::gradcheck([](const std::vector<Tensor>& in) { return matmul(in[0], in[1]); },
                                                {a.detach().requires_grad_(), b.detach().requires_grad_()});
        EXPECT_TRUE(result) << result.message;
      }
}

TEST(Matmul, LargeProductsAreCutCorrectly) {
  // Sizes that take each way of cutting: sides, inner axis, several small matrices a piece; odd sizes leave rests.
  struct Case {
    Shape a, b;
  };
  for (const auto& [sa, sb] :
       {Case{{531, 300}, {300, 1030}}, Case{{70, 5003}, {5003, 65}}, Case{{3, 2000}, {2000, 1500}},
        Case{{33, 48, 50}, {33, 50, 64}}, Case{{1, 1500}, {1500, 1200}}, Case{{900, 1300}, {1300, 1}},
        Case{{7, 90, 301}, {301, 130}}, Case{{50, 5003}, {5003, 260}}, Case{{130, 512}, {512, 2100}}}) {
    const Tensor a = normal(sa, 7), b = normal(sb, 8);
    const Tensor want = naive(a, b);
    EXPECT_LE(relative_error(matmul(a, b), want), 1e-13) << to_string(sa);
    EXPECT_LE(relative_error(matmul(a.to(DType::kF32), b.to(DType::kF32)), want), 1e-5) << to_string(sa);
    if (sa.size() != 2) continue;  // as a weight gradient has it
    const Tensor turned = a.t().contiguous().t();
    EXPECT_LE(relative_error(matmul(turned, b), want), 1e-13) << to_string(sa);
    EXPECT_LE(relative_error(matmul(turned.to(DType::kF32), b.to(DType::kF32)), want), 1e-5) << to_string(sa);
  }
}

TEST(Matmul, PanelsOfEveryLayoutMatchThreeLoops) {
  // Whole and partial tiles, panels and vectors; slices of the inner axis; operands packed a slice at a time; rows that
  // lie a power of two apart.
  struct Case {
    Shape batch;
    int64_t m, k, n;
  };
  for (const auto& c : {Case{{}, 101, 700, 83}, Case{{}, 48, 330, 8}, Case{{}, 97, 512, 24}, Case{{}, 200, 4, 19},
                        Case{{2}, 130, 90, 33}, Case{{40}, 7, 9, 13}})
    for (const Tensor& a : layouts(c.batch, c.m, c.k, 41))
      for (const Tensor& b : layouts(c.batch, c.k, c.n, 51)) {
        const Tensor want = naive(a, b);
        EXPECT_LE(relative_error(matmul(a, b), want), 1e-13)
            << c.m << " strides " << to_string(a.strides()) << " times " << to_string(b.strides());
        EXPECT_LE(relative_error(matmul(a.to(DType::kF32), b.to(DType::kF32)), want), 1e-5) << c.m;
      }
}

TEST(Matmul, ThreadsDoNotChangeABit) {
  const auto product = [](const std::vector<Tensor>& in) { return std::vector<Tensor>{matmul(in[0], in[1])}; };
  for (DType dtype : {DType::kF32, DType::kF64}) {
    expect_thread_invariant(product, {normal({300, 257}, 1, dtype), normal({257, 410}, 2, dtype)});
    expect_thread_invariant(product, {normal({60, 2100}, 1, dtype), normal({2100, 65}, 2, dtype)});
    expect_thread_invariant(product, {normal({1500, 200}, 1, dtype).t(), normal({1500, 190}, 2, dtype)});
    expect_thread_invariant(product, {normal({40, 33, 65}, 1, dtype), normal({40, 65, 31}, 2, dtype)});
    expect_thread_invariant(product, {normal({40, 64, 65}, 1, dtype), normal({65, 31}, 2, dtype)});
    expect_thread_invariant(product, {normal({1700}, 1, dtype), normal({1700, 1100}, 2, dtype)});
  }
}

}  // namespace
}  // namespace tern
