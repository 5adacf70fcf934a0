#include <tern/core/ops/matmul.h>
#include <tern/core/ops/shape.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

// Three loops, with PyTorch's rules for vectors and broadcasting.
Array naive_matmul(const Array& a, const Array& b) {
  const auto matrix_shape = [](const Array& x, bool left) {
    if (x.dim() > 1) return x.shape;
    return left ? Shape{1, x.shape[0]} : Shape{x.shape[0], 1};
  };
  const Shape sa = matrix_shape(a, true), sb = matrix_shape(b, false);
  const int64_t m = sa[sa.size() - 2], k = sa.back(), n = sb.back();
  const auto batch_of = [](const Shape& s) {
    Shape batch;
    for (int64_t i = 0; i + 2 < s.size(); ++i) batch.push_back(s[i]);
    return batch;
  };
  const Shape batch = broadcast_shapes("reference", batch_of(sa), batch_of(sb));
  const auto expanded = [&](const Array& x, const Shape& s) {
    Array y(s);
    y.v = x.v;
    Shape to = batch;
    to.push_back(s[s.size() - 2]);
    to.push_back(s.back());
    return broadcast(y, to);
  };
  const Array wide_a = expanded(a, sa), wide_b = expanded(b, sb);
  Shape shape = batch;
  if (a.dim() > 1) shape.push_back(m);
  if (b.dim() > 1) shape.push_back(n);
  Array c(shape);
  for (int64_t p = 0; p < numel_of(batch); ++p)
    for (int64_t i = 0; i < m; ++i)
      for (int64_t j = 0; j < n; ++j)
        for (int64_t l = 0; l < k; ++l)
          c.v[static_cast<size_t>((p * m + i) * n + j)] +=
              wide_a.v[static_cast<size_t>((p * m + i) * k + l)] * wide_b.v[static_cast<size_t>((p * k + l) * n + j)];
  return c;
}

Array reference(const Arrays& in) {
  return naive_matmul(in[0], in[1]);
}

}  // namespace

TERN_OP_FAMILY(matmul) {
  const auto add = [&](OpEntry entry) {
    entry.reference = reference;
    entry.f64 = tol::kF64Sum;
    entry.f32 = tol::kF32Sum;
    table.add(std::move(entry));
  };
  const auto pair = [](const Shape& a, const Shape& b) { return Inputs{uniform(a), uniform(b)}; };
  const auto turned = [](const Tensor& x) { return x.transpose(-1, -2); };  // columns dense
  add({
      .name = "matmul",
      .call = [](const Inputs& in) { return matmul(in[0], in[1]); },
      .samples = {pair({3, 4}, {4, 2}),
                  pair({1, 1}, {1, 1}),
                  pair({5}, {5}),
                  pair({3, 4}, {4}),
                  pair({4}, {4, 3}),
                  pair({2, 3, 4}, {4}),
                  pair({3}, {2, 3, 4}),
                  pair({2, 3, 4}, {2, 4, 5}),
                  pair({2, 3, 4}, {4, 5}),
                  pair({3, 4}, {2, 4, 5}),
                  pair({2, 1, 3, 4}, {3, 4, 2}),
                  pair({1, 2, 2, 3}, {3, 1, 3, 2}),
                  pair({1, 9}, {9, 7}),
                  pair({9, 7}, {7, 1}),
                  pair({3, 1}, {1, 4}),
                  pair({0, 3}, {3, 2}),
                  pair({2, 0}, {0, 3}),
                  pair({0, 2, 3}, {3, 4}),
                  {turned(uniform({4, 3})), turned(uniform({2, 4}))},
                  {turned(uniform({2, 4, 3})), uniform({2, 4, 3})},
                  {uniform({3, 2, 4}), turned(uniform({5, 4}))},
                  {turned(uniform({3, 4, 2})), uniform({4, 5})}},
      .large = {pair({150, 129}, {129, 200}), pair({40, 2100}, {2100, 33}), pair({70, 17, 20}, {70, 20, 33}),
                pair({1200}, {1200, 900}), pair({24, 65, 64}, {64, 40})},
      .rejects = {{{uniform({3, 4}), uniform({3, 4})}, "[matmul] expected matching inner sizes, got [3, 4] and [3, 4]"},
                  {{uniform({4}), uniform({3})}, "[matmul] expected matching inner sizes, got [4] and [3]"},
                  {{uniform({}), uniform({3, 4})},
                   "[matmul] expected tensors with at least one axis, got [] and [3, 4]"},
                  {{uniform({3, 4}), uniform({4, 2}).to(DType::kF32)},
                   "[matmul] expected two tensors of one dtype, got f64 and f32"},
                  {{int_range({3}), int_range({3})}, "[matmul] expected f32 or f64, got i64"}},
      .flops = [](const Inputs& in) { return 2.0 * static_cast<double>(in[0].numel() * in[1].size(-1)); },
  });
  add({
      .name = "mm",
      .call = [](const Inputs& in) { return mm(in[0], in[1]); },
      .samples = {pair({3, 4}, {4, 2}), pair({1, 3}, {3, 1}), {turned(uniform({4, 3})), uniform({4, 2})}},
      .rejects = {{{uniform({2, 3, 4}), uniform({4, 2})},
                   "[mm] expected tensors of 2 and 2 axes, got [2, 3, 4] and [4, 2]"}},
  });
  add({
      .name = "bmm",
      .call = [](const Inputs& in) { return bmm(in[0], in[1]); },
      .samples = {pair({2, 3, 4}, {2, 4, 2}), pair({1, 1, 1}, {1, 1, 1}), pair({0, 2, 3}, {0, 3, 1})},
      .rejects = {{{uniform({2, 3, 4}), uniform({3, 4, 2})},
                   "[bmm] expected equal batch sizes, got [2, 3, 4] and [3, 4, 2]"}},
  });
  add({
      .name = "mv",
      .call = [](const Inputs& in) { return mv(in[0], in[1]); },
      .samples = {pair({3, 40}, {40}), pair({1, 1}, {1}), {turned(uniform({4, 3})), uniform({4})}},
      .rejects = {{{uniform({3, 4}), uniform({4, 1})}, "[mv] expected tensors of 2 and 1 axes, got [3, 4] and [4, 1]"}},
  });
  add({
      .name = "dot",
      .call = [](const Inputs& in) { return dot(in[0], in[1]); },
      .samples = {pair({7}, {7}), pair({1}, {1}), pair({0}, {0}), pair({67}, {67})},
      .rejects = {{{uniform({3, 4}), uniform({4})}, "[dot] expected tensors of 1 and 1 axes, got [3, 4] and [4]"}},
  });
  table.golden("matmul", [](const Json& attributes, const Inputs& in) {
    const auto operand = [&](size_t i, const char* flag) {
      return attributes.value(flag, false) ? in[i].transpose(-1, -2) : in[i];
    };
    return matmul(operand(0, "transpose_input"), operand(1, "transpose_other"));
  });
}

}  // namespace tern::test
