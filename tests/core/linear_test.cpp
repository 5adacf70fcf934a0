#include <tern/core/ops/linear.h>
#include <tern/core/ops/matmul.h>

#include "core/numeric.h"

namespace tern {
namespace {

using test::expect_thread_invariant;
using test::normal;
using test::relative_error;

Tensor apply_linear(const std::vector<Tensor>& in) {
  return linear(in[0], in[1], in.size() > 2 ? in[2] : Tensor());
}

// x w^T + b with b added element by element.
Tensor reference(const Tensor& x, const Tensor& w, const Tensor& b) {
  Tensor y = matmul(x, w.t());
  if (b.defined()) y.add_(b);
  return y;
}

TEST(Linear, MatchesMatmulPlusBias) {
  struct Case {
    Shape x;
    int64_t out;
  };
  for (const auto& [shape, out] :
       {Case{{5, 7}, 3}, Case{{7}, 4}, Case{{2, 3, 7}, 5}, Case{{1, 1}, 1}, Case{{0, 4}, 3}, Case{{3, 0}, 2},
        Case{{70, 40, 33}, 150}, Case{{1, 900}, 1300}, Case{{3, 4100}, 70}}) {
    const Tensor x = normal(shape, 1), w = normal({out, shape.back()}, 2), b = normal({out}, 3);
    for (const Tensor& bias : {b, Tensor()}) {
      const Tensor want = reference(x, w, bias);
      EXPECT_LE(relative_error(linear(x, w, bias), want), 1e-13);
      const Tensor narrow = bias.defined() ? bias.to(DType::kF32) : bias;
      EXPECT_LE(relative_error(linear(x.to(DType::kF32), w.to(DType::kF32), narrow), want), 1e-5);
    }
  }
}

TEST(Linear, ThreadsDoNotChangeABit) {
  const auto function = [](const std::vector<Tensor>& in) { return std::vector<Tensor>{apply_linear(in)}; };
  for (DType dtype : {DType::kF32, DType::kF64}) {
    expect_thread_invariant(function,
                            {normal({64, 65, 96}, 1, dtype), normal({130, 96}, 2, dtype), normal({130}, 3, dtype)});
    expect_thread_invariant(function,
                            {normal({1, 1500}, 1, dtype), normal({1100, 1500}, 2, dtype), normal({1100}, 3, dtype)});
  }
}

}  // namespace
}  // namespace tern
