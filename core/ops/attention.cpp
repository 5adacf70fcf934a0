#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <numeric>
#include <vector>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/kernels/attention.h>
#include <tern/core/kernels/dropout.h>
#include <tern/core/ops/attention.h>
#include <tern/core/ops/reduce.h>
#include <tern/core/ops/shape.h>
#include <tern/core/random.h>

namespace tern {
namespace {

using kernels::Attention;
using kernels::Heads;

// A tensor, or a part of one, as [batch, heads, rows, width] with a dense last axis.
struct Operand {
  Tensor tensor;
  int64_t offset = 0, batch = 0, head = 0, row = 0;

  template <class T>
  Heads<const T> heads() const {
    return {tensor.data<T>() + offset, batch, head, row};
  }
  template <class T>
  Heads<T> heads() {
    return {tensor.data<T>() + offset, batch, head, row};
  }
};

struct Problem {
  int64_t batch = 1, heads = 1, kv_heads = 1, queries = 0, keys = 0, width = 0, value_width = 0;
  double scale = 1;
  bool causal = false;
  int64_t causal_offset = 0;
  std::array<int64_t, 4> mask_stride = {};
  double dropout = 0;
  Generator::State random;  // of the dropout
  DType dtype = DType::kF32;
};

// -- dropout: the numbers of a row of scores start at a block of their own

template <class T>
struct Dropout {
  Generator::State random;
  int64_t blocks_a_row = 0;
  uint64_t threshold = 0;
  T factor = T(1);
};

constexpr int64_t kDropoutGroup = 32, kBlocksPerGroup = 8;  // as kernels/dropout.h has them

int64_t dropout_blocks_a_row(const Problem& p) {
  return (p.keys + kDropoutGroup - 1) / kDropoutGroup * kBlocksPerGroup;
}

template <class T>
void dropout_factors(const void* context, int64_t row, int64_t first, int64_t n, T* factors) {
  const auto& d = *static_cast<const Dropout<T>*>(context);
  std::fill_n(factors, n, T(1));
  const int64_t block = row * d.blocks_a_row + first / kDropoutGroup * kBlocksPerGroup;
  TERN_KERNEL(dropout<T>)
  (factors, factors, n, d.random.seed, d.random.stream, d.random.position + static_cast<uint64_t>(block), d.threshold,
   d.factor);
}

template <class T>
Dropout<T> make_dropout(const Problem& p) {
  return {p.random, dropout_blocks_a_row(p), static_cast<uint64_t>(p.dropout * 0x1p32),
          static_cast<T>(1 / (1 - p.dropout))};
}

// -- units of work: a head, or a run of its queries where there are few heads

struct Units {
  int64_t runs = 1, rows = 0;  // runs of `rows` queries a head
  int64_t grain = 1;           // units that one thread takes at once
};

Units cut(const Problem& p) {
  constexpr int64_t kEnoughUnits = 32, kMinRows = 96, kRowMultiple = 48;
  constexpr double kUnitWork = 1 << 18;
  const int64_t heads = std::max<int64_t>(p.batch * p.heads, 1);
  Units units;
  const int64_t wanted = std::min((kEnoughUnits + heads - 1) / heads, p.queries / kMinRows);
  units.rows = std::max<int64_t>(p.queries, 1);
  if (wanted > 1) units.rows = ((p.queries + wanted - 1) / wanted + kRowMultiple - 1) / kRowMultiple * kRowMultiple;
  units.runs = chunk_count(p.queries, units.rows);
  const double work = static_cast<double>(std::min(units.rows, p.queries)) * static_cast<double>(p.keys + 1) *
                      static_cast<double>(p.width + p.value_width + 1);
  units.grain = std::max<int64_t>(1, static_cast<int64_t>(kUnitWork / work));
  return units;
}

template <class T>
Attention<T> describe_problem(const Problem& p, const Operand& q, const Operand& k, const Operand& v,
                              const Tensor& mask) {
  Attention<T> a{.batch = p.batch,
                 .heads = p.heads,
                 .kv_heads = p.kv_heads,
                 .queries = p.queries,
                 .keys = p.keys,
                 .width = p.width,
                 .value_width = p.value_width,
                 .scale = static_cast<T>(p.scale),
                 .causal = p.causal,
                 .causal_offset = p.causal_offset,
                 .q = q.heads<T>(),
                 .k = k.heads<T>(),
                 .v = v.heads<T>()};
  std::copy(p.mask_stride.begin(), p.mask_stride.end(), a.mask_stride);
  if (mask.defined() && mask.dtype() == DType::kU8) a.allowed_mask = mask.data<uint8_t>();
  if (mask.defined() && mask.dtype() != DType::kU8) a.added_mask = mask.data<T>();
  return a;
}

template <class T>
std::shared_ptr<Storage> make_scratch(const Attention<T>& a, bool backward) {
  return Storage::allocate(static_cast<size_t>(TERN_KERNEL(attention_scratch<T>)(a, backward)) * sizeof(T));
}

// -- hidden keys: the kernels multiply what a query may not attend to by 0, which NaN and infinities survive. Where
// such a number has come out, the rows that hold one are taken out, and what they may reach is computed by itself.

// Whether some query may not attend to some key.
bool hides(const Problem& p, const Tensor& mask) {
  return p.causal || mask.defined();
}

bool is_finite(const Tensor& x) {
  const NoGradGuard no_grad;
  return !x.defined() || std::isfinite(sum(x).item());
}

template <class T>
bool is_finite(const T* row, int64_t n) {
  T any = 0;
  for (int64_t i = 0; i < n; ++i) any += row[i] * T(0);
  return any == T(0);
}

// A dense copy of [batch, heads, rows, width] without the rows whose number in `left_out` is not 0: those are zeros.
template <class T>
Operand without_rows(const Heads<const T>& from, int64_t batch, int64_t heads, int64_t rows, int64_t width,
                     const std::vector<uint8_t>& left_out) {
  Tensor copy = empty({batch, heads, rows, width}, dtype_of<T>()).zero_();
  for (int64_t i = 0; i < batch * heads * rows; ++i)
    if (left_out[static_cast<size_t>(i)] == 0)
      std::copy_n(from.at(i / rows / heads, i / rows % heads, i % rows), width, copy.data<T>() + i * width);
  return {copy, 0, heads * rows * width, rows * width, width};
}

// 1 for each key of [batch, kv_heads, keys] with a NaN or an infinity in k or v.
template <class T>
std::vector<uint8_t> broken_keys(const Attention<T>& a) {
  std::vector<uint8_t> broken(static_cast<size_t>(a.batch * a.kv_heads * a.keys));
  for (size_t i = 0; i < broken.size(); ++i) {
    const int64_t row = static_cast<int64_t>(i), b = row / a.keys / a.kv_heads, h = row / a.keys % a.kv_heads;
    broken[i] =
        !is_finite(a.k.at(b, h, row % a.keys), a.width) || !is_finite(a.v.at(b, h, row % a.keys), a.value_width);
  }
  return broken;
}

// 1 for each query of [batch, heads, queries] that may attend to one of those keys.
template <class T>
std::vector<uint8_t> queries_of(const Attention<T>& a, const std::vector<uint8_t>& broken) {
  std::vector<uint8_t> sees(static_cast<size_t>(a.batch * a.heads * a.queries));
  for (size_t row = 0; row < sees.size(); ++row) {
    const int64_t n = static_cast<int64_t>(row), i = n % a.queries, h = n / a.queries % a.heads;
    const int64_t b = n / a.queries / a.heads, first = (b * a.kv_heads + h / (a.heads / a.kv_heads)) * a.keys;
    for (int64_t j = 0; j < visible_keys(a, i) && sees[row] == 0; ++j)
      sees[row] = broken[static_cast<size_t>(first + j)] != 0 && mask_allows(a, b, h, i, j);
  }
  return sees;
}

bool any_of(const std::vector<uint8_t>& flags) {
  return std::find(flags.begin(), flags.end(), uint8_t{1}) != flags.end();
}

// The gradients that one query gives, from the keys that it may attend to alone; those of k, v and the mask are added
// to. factors: of the dropout, [keys].
template <class T>
void one_query_backward(const Attention<T>& a, int64_t b, int64_t h, int64_t i, T* factors) {
  const int64_t kv = h / (a.heads / a.kv_heads), row = (b * a.heads + h) * a.queries + i, n = visible_keys(a, i);
  const T *q = a.q.at(b, h, i), *g = a.grad_out.at(b, h, i);
  const auto dot = [](const T* x, const T* y, int64_t width) { return std::inner_product(x, x + width, y, T(0)); };
  std::fill_n(factors, a.keys, T(1));
  if (a.dropout != nullptr) a.dropout(a.dropout_context, row, 0, a.keys, factors);
  struct Pair {
    int64_t key;
    T weight, grad;
  };
  std::vector<Pair> pairs;
  T high = -std::numeric_limits<T>::infinity(), total = 0, mean = 0;
  for (int64_t j = 0; j < n; ++j) {
    if (!mask_allows(a, b, h, i, j)) continue;
    const int64_t at = b * a.mask_stride[0] + h * a.mask_stride[1] + i * a.mask_stride[2] + j * a.mask_stride[3];
    const T score = dot(q, a.k.at(b, kv, j), a.width) * a.scale + (a.added_mask != nullptr ? a.added_mask[at] : T(0));
    pairs.push_back({j, score, factors[j] * dot(g, a.v.at(b, kv, j), a.value_width)});
    high = std::max(high, score);
  }
  for (Pair& pair : pairs) total += pair.weight = std::exp(pair.weight - high);
  for (Pair& pair : pairs) mean += (pair.weight /= total) * pair.grad;
  for (const auto& [j, weight, grad] : pairs) {
    const T grad_score = weight * (grad - mean);
    const T* k = a.k.at(b, kv, j);
    for (int64_t l = 0; l < a.width; ++l) {
      if (a.grad_q.data != nullptr) a.grad_q.at(b, h, i)[l] += a.scale * grad_score * k[l];
      if (a.grad_k.data != nullptr) a.grad_k.at(b, kv, j)[l] += a.scale * grad_score * q[l];
    }
    for (int64_t l = 0; l < a.value_width && a.grad_v.data != nullptr; ++l)
      a.grad_v.at(b, kv, j)[l] += weight * factors[j] * g[l];
    if (a.grad_mask != nullptr) a.grad_mask[row * a.keys + j] += grad_score;
  }
}

void run_forward(const Problem& p, const Operand& q, const Operand& k, const Operand& v, const Tensor& mask,
                 Operand& out, Tensor& stats, bool recorded) {
  if (stats.numel() == 0) return;
  dispatch_float("scaled_dot_product_attention", p.dtype, [&]<class T>() {
    Attention<T> a = describe_problem<T>(p, q, k, v, mask);
    a.recorded = recorded;
    a.out = out.heads<T>();
    a.stats = stats.data<T>();
    const Dropout<T> dropout = make_dropout<T>(p);
    if (p.dropout > 0) a.dropout = dropout_factors<T>, a.dropout_context = &dropout;
    const Units units = cut(p);
    const auto attend = [&](const Attention<T>& problem) {
      parallel_for(p.batch * p.heads * units.runs, units.grain, [&](int64_t begin, int64_t end) {
        const auto scratch = make_scratch(problem, false);
        for (int64_t unit = begin; unit < end; ++unit) {
          const int64_t run = unit % units.runs, head = unit / units.runs;
          TERN_KERNEL(attention_forward<T>)
          (problem, head / p.heads, head % p.heads, run * units.rows, std::min((run + 1) * units.rows, p.queries),
           reinterpret_cast<T*>(scratch->data()));
        }
      });
    };
    attend(a);
    if (!hides(p, mask) || is_finite(out.tensor)) return;
    const std::vector<uint8_t> broken = broken_keys(a);
    if (!any_of(broken)) return;
    const Operand clean_k = without_rows(a.k, p.batch, p.kv_heads, p.keys, p.width, broken);
    const Operand clean_v = without_rows(a.v, p.batch, p.kv_heads, p.keys, p.value_width, broken);
    Attention<T> clean = a;
    clean.k = clean_k.heads<T>(), clean.v = clean_v.heads<T>();
    attend(clean);
    const std::vector<uint8_t> sees = queries_of(a, broken);
    a.recorded = false;  // one query at a time: that path looks at no hidden key
    const auto scratch = make_scratch(a, false);
    for (size_t row = 0; row < sees.size(); ++row) {
      const int64_t n = static_cast<int64_t>(row), i = n % p.queries, head = n / p.queries;
      if (sees[row] != 0) TERN_KERNEL(attention_forward<T>)
      (a, head / p.heads, head % p.heads, i, i + 1, reinterpret_cast<T*>(scratch->data()));
    }
  });
}

// Gradients of k and v are sums over the query heads that share a key head and over runs of queries: each unit writes
// its own part, and the parts are added in order.
void run_backward(const Problem& p, const Operand& q, const Operand& k, const Operand& v, const Tensor& mask,
                  const Operand& out, const Tensor& stats, const Operand& grad_out, Operand& grad_q, Operand& grad_k,
                  Operand& grad_v, Tensor& grad_mask) {
  if (stats.numel() == 0) return;
  dispatch_float("scaled_dot_product_attention", p.dtype, [&]<class T>() {
    Attention<T> a = describe_problem<T>(p, q, k, v, mask);
    Operand saved_out = out;
    a.out = saved_out.heads<T>();
    a.stats = const_cast<T*>(stats.data<T>());  // read only
    a.grad_out = grad_out.heads<T>();
    if (grad_q.tensor.defined()) a.grad_q = grad_q.heads<T>();
    if (grad_mask.defined()) a.grad_mask = grad_mask.data<T>();
    const Dropout<T> dropout = make_dropout<T>(p);
    if (p.dropout > 0) a.dropout = dropout_factors<T>, a.dropout_context = &dropout;

    const Units units = cut(p);
    const int64_t group = p.heads / p.kv_heads, parts = group * units.runs, kv_rows = p.batch * p.kv_heads * p.keys;
    Tensor k_parts, v_parts;  // [parts, batch, kv_heads, keys, width]
    if (parts > 1 && grad_k.tensor.defined()) k_parts = empty({parts, kv_rows, p.width}, p.dtype);
    if (parts > 1 && grad_v.tensor.defined()) v_parts = empty({parts, kv_rows, p.value_width}, p.dtype);
    parallel_for(p.batch * p.heads * units.runs, units.grain, [&](int64_t begin, int64_t end) {
      const auto scratch = make_scratch(a, true);
      for (int64_t unit = begin; unit < end; ++unit) {
        const int64_t run = unit % units.runs, head = unit / units.runs, b = head / p.heads, h = head % p.heads;
        const auto destination = [&](Operand& whole, Tensor& in_parts, int64_t width) -> Heads<T> {
          if (!whole.tensor.defined()) return {};
          if (parts == 1) return whole.heads<T>();
          const int64_t part = h % group * units.runs + run;
          T* rows = in_parts.data<T>() + (part * kv_rows + (b * p.kv_heads + h / group) * p.keys) * width;
          return {rows, 0, 0, width};
        };
        Attention<T> one = a;
        one.grad_k = destination(grad_k, k_parts, p.width);
        one.grad_v = destination(grad_v, v_parts, p.value_width);
        TERN_KERNEL(attention_backward<T>)
        (one, b, h, run * units.rows, std::min((run + 1) * units.rows, p.queries),
         reinterpret_cast<T*>(scratch->data()));
      }
    });
    const auto add_up = [&](Operand& whole, const Tensor& in_parts, int64_t width) {
      if (in_parts.defined() && width > 0) TERN_KERNEL(add_attention_parts<T>)
      (in_parts.data<T>(), parts, kv_rows * width, p.batch, p.kv_heads, p.keys, width, whole.heads<T>());
    };
    add_up(grad_k, k_parts, p.width);
    add_up(grad_v, v_parts, p.value_width);
  });
}

// run_backward, and where a NaN or an infinity has come out of it, again without the queries and keys that hold one;
// what these may reach is then added.
void run_backward_without_hidden(const Problem& p, const Operand& q, const Operand& k, const Operand& v,
                                 const Tensor& mask, const Operand& out, const Tensor& stats, const Operand& grad_out,
                                 Operand& grad_q, Operand& grad_k, Operand& grad_v, Tensor& grad_mask) {
  run_backward(p, q, k, v, mask, out, stats, grad_out, grad_q, grad_k, grad_v, grad_mask);
  if (stats.numel() == 0 || !hides(p, mask) ||
      (is_finite(grad_q.tensor) && is_finite(grad_k.tensor) && is_finite(grad_v.tensor) && is_finite(grad_mask)))
    return;
  dispatch_float("scaled_dot_product_attention", p.dtype, [&]<class T>() {
    Attention<T> a = describe_problem<T>(p, q, k, v, mask);
    a.grad_out = grad_out.heads<T>();
    if (grad_q.tensor.defined()) a.grad_q = grad_q.heads<T>();
    if (grad_k.tensor.defined()) a.grad_k = grad_k.heads<T>();
    if (grad_v.tensor.defined()) a.grad_v = grad_v.heads<T>();
    if (grad_mask.defined()) a.grad_mask = grad_mask.data<T>();
    const Dropout<T> dropout = make_dropout<T>(p);
    if (p.dropout > 0) a.dropout = dropout_factors<T>, a.dropout_context = &dropout;
    const std::vector<uint8_t> broken = broken_keys(a);
    std::vector<uint8_t> apart = queries_of(a, broken);
    const Heads<const T> outputs = out.heads<T>();
    Tensor clean_stats = stats.clone();
    for (size_t row = 0; row < apart.size(); ++row) {
      const int64_t n = static_cast<int64_t>(row), i = n % p.queries, h = n / p.queries % p.heads;
      const int64_t b = n / p.queries / p.heads;
      T* stat = clean_stats.data<T>() + 2 * n;
      if (apart[row] == 0)
        apart[row] = !is_finite(a.q.at(b, h, i), p.width) || !is_finite(a.grad_out.at(b, h, i), p.value_width) ||
                     !is_finite(outputs.at(b, h, i), p.value_width) || !is_finite(stat, 2);
      if (apart[row] != 0) stat[0] = std::numeric_limits<T>::infinity(), stat[1] = 0;  // all weights 0
    }
    if (!any_of(broken) && !any_of(apart)) return;
    if (grad_mask.defined()) grad_mask.zero_();
    run_backward(p, without_rows(a.q, p.batch, p.heads, p.queries, p.width, apart),
                 without_rows(a.k, p.batch, p.kv_heads, p.keys, p.width, broken),
                 without_rows(a.v, p.batch, p.kv_heads, p.keys, p.value_width, broken), mask,
                 without_rows(outputs, p.batch, p.heads, p.queries, p.value_width, apart), clean_stats,
                 without_rows(a.grad_out, p.batch, p.heads, p.queries, p.value_width, apart), grad_q, grad_k, grad_v,
                 grad_mask);
    std::vector<T> factors(static_cast<size_t>(p.keys));
    for (size_t row = 0; row < apart.size(); ++row) {
      const int64_t n = static_cast<int64_t>(row);
      if (apart[row] != 0)
        one_query_backward(a, n / p.queries / p.heads, n / p.queries % p.heads, n % p.queries, factors.data());
    }
  });
}

// -- tensors as operands

// x as [B, H, T, D], with leading axes of size 1 where it has fewer; copied only if its last axis is not dense.
Operand as_operand(const Tensor& x) {
  const NoGradGuard no_grad;
  const Tensor source = x.strides().back() == 1 || x.size(-1) <= 1 ? x : x.contiguous();
  const int64_t d = source.dim();
  const Strides& s = source.strides();
  return {source, 0, d > 3 ? s[d - 4] : 0, d > 2 ? s[d - 3] : 0, s[d - 2]};
}

// Uninitialised, of that shape ([.., H, T, D]), in memory with tokens before heads if `like` is.
Tensor empty_in_order_of(const Tensor& like, const Shape& shape) {
  const int64_t d = shape.size();
  Tensor out = empty(shape, like.dtype());
  if (d < 3 || like.strides()[d - 3] >= like.strides()[d - 2]) return out;
  Strides& s = out.impl().layout.strides;
  s[d - 3] = std::max<int64_t>(shape[d - 1], 1);
  s[d - 2] = s[d - 3] * std::max<int64_t>(shape[d - 3], 1);
  return out;
}

Shape with_last(const Tensor& x, int64_t last) {
  Shape shape = x.shape();
  shape.back() = last;
  return shape;
}

// Checks the mask and finds its strides; returns it outside the graph.
Tensor prepare_mask(const char* op, const Tensor& mask, Problem& p) {
  if (!mask.defined()) return mask;
  TERN_CHECK(mask.dtype() == DType::kU8 || mask.dtype() == p.dtype, DTypeError, "[", op, "] expected a mask of u8 or ",
             p.dtype, ", got ", mask.dtype());
  const Shape full{p.batch, p.heads, p.queries, p.keys};
  bool fits = mask.dim() <= 4;
  for (int64_t a = 0; fits && a < mask.dim(); ++a) {
    const int64_t axis = a + 4 - mask.dim(), size = mask.shape()[a];
    fits = size == full[axis] || size == 1;
    p.mask_stride[static_cast<size_t>(axis)] = size == 1 ? 0 : mask.strides()[a];
  }
  TERN_CHECK(fits, ShapeError, "[", op, "] expected a mask that broadcasts to ", full, ", got ", mask.shape());
  return mask;
}

void set_options(const char* op, const AttentionOptions& options, Problem& p) {
  TERN_CHECK(options.dropout >= 0 && options.dropout < 1, ValueError, "[", op,
             "] expected a dropout probability in [0, 1), got ", options.dropout);
  p.scale = options.scale ? *options.scale : 1 / std::sqrt(static_cast<double>(std::max<int64_t>(p.width, 1)));
  p.causal = options.is_causal;
  p.causal_offset = options.causal_offset;
  p.dropout = options.dropout;
  if (p.dropout > 0)
    p.random = reserve_random(static_cast<uint64_t>(p.batch * p.heads * p.queries * dropout_blocks_a_row(p))).state();
}

// The gradient of all scores, zero where no query looks.
Tensor empty_mask_gradient(const Problem& p) {
  return empty({p.batch, p.heads, p.queries, p.keys}, p.dtype).zero_();
}

struct AttentionBackward {
  static constexpr const char* kName = "scaled_dot_product_attention";
  Problem p;
  SavedTensor q, k, v, mask, out;
  Tensor stats;

  Gradients backward(const Tensor& grad_output, NeedsGrad needs) const {
    Operand grads[3];
    const SavedTensor* inputs[] = {&q, &k, &v};
    for (size_t i = 0; i < 3; ++i) {
      if (!needs[i]) continue;
      const Tensor& x = **inputs[i];
      Tensor grad = empty_in_order_of(x, x.shape());
      if (stats.numel() == 0) grad.zero_();
      grads[i] = as_operand(grad);
    }
    Tensor grad_mask;
    if (needs[3]) grad_mask = empty_mask_gradient(p);
    run_backward_without_hidden(p, as_operand(*q), as_operand(*k), as_operand(*v), mask.defined() ? *mask : Tensor(),
                                as_operand(*out), stats, as_operand(grad_output), grads[0], grads[1], grads[2],
                                grad_mask);
    if (needs[3]) grad_mask = sum_to(grad_mask, mask->shape());
    return {grads[0].tensor, grads[1].tensor, grads[2].tensor, grad_mask};
  }
};

// The thirds of [B, T, 3 H D].
Operand packed_operand(const Tensor& qkv, const Problem& p, int64_t third) {
  const int64_t d = p.width;
  return {qkv, third * p.heads * d, qkv.strides()[0], d, qkv.strides()[1]};
}
// [B, T, H D].
Operand token_operand(const Tensor& x, const Problem& p) {
  return {x, 0, x.strides()[0], p.width, x.strides()[1]};
}
Tensor with_dense_rows(const Tensor& x) {
  const NoGradGuard no_grad;
  return x.strides().back() == 1 || x.size(-1) <= 1 ? x : x.contiguous();
}

struct PackedAttentionBackward {
  static constexpr const char* kName = "packed_attention";
  Problem p;
  SavedTensor qkv, mask, out;
  Tensor stats;

  Gradients backward(const Tensor& grad_output, NeedsGrad needs) const {
    Tensor grad, grad_mask;
    Operand thirds[3];
    if (needs[0]) {
      grad = empty(qkv->shape(), qkv->dtype());
      if (stats.numel() == 0) grad.zero_();
      for (int64_t i = 0; i < 3; ++i) thirds[i] = packed_operand(grad, p, i);
    }
    if (needs[1]) grad_mask = empty_mask_gradient(p);
    const Tensor x = with_dense_rows(*qkv);
    run_backward_without_hidden(p, packed_operand(x, p, 0), packed_operand(x, p, 1), packed_operand(x, p, 2),
                                mask.defined() ? *mask : Tensor(), token_operand(*out, p), stats,
                                token_operand(with_dense_rows(grad_output), p), thirds[0], thirds[1], thirds[2],
                                grad_mask);
    if (needs[1]) grad_mask = sum_to(grad_mask, mask->shape());
    return {grad, grad_mask};
  }
};

Problem check_attention(const char* op, const Tensor& q, const Tensor& k, const Tensor& v) {
  check_defined(op, q, k, v);
  dispatch_float(op, q.dtype(), []<class T>() {});
  TERN_CHECK(k.dtype() == q.dtype() && v.dtype() == q.dtype(), DTypeError, "[", op, "] expected k and v of ", q.dtype(),
             ", got ", k.dtype(), " and ", v.dtype());
  const int64_t d = q.dim();
  TERN_CHECK(d >= 2 && d <= 4 && k.dim() == d && v.dim() == d, ShapeError, "[", op,
             "] expected q, k and v of two to four axes each, got ", q.shape(), ", ", k.shape(), " and ", v.shape());
  const auto axis = [d](const Tensor& x, int64_t from_end) { return from_end <= d ? x.shape()[d - from_end] : 1; };
  Problem p{.batch = axis(q, 4),
            .heads = axis(q, 3),
            .kv_heads = axis(k, 3),
            .queries = axis(q, 2),
            .keys = axis(k, 2),
            .width = axis(q, 1),
            .value_width = axis(v, 1),
            .random = {},
            .dtype = q.dtype()};
  TERN_CHECK(axis(k, 1) == p.width, ShapeError, "[", op, "] expected k of width ", p.width, " as q ", q.shape(),
             ", got ", k.shape());
  TERN_CHECK(axis(k, 4) == p.batch && axis(v, 4) == p.batch, ShapeError, "[", op, "] expected a batch of ", p.batch,
             " as q ", q.shape(), " has, got k ", k.shape(), " and v ", v.shape());
  TERN_CHECK(axis(v, 3) == p.kv_heads && axis(v, 2) == p.keys, ShapeError, "[", op,
             "] expected as many heads and tokens in v as in k ", k.shape(), ", got ", v.shape());
  TERN_CHECK(p.kv_heads > 0 && p.heads % p.kv_heads == 0, ShapeError, "[", op,
             "] expected a number of query heads that the number of key heads divides, got ", p.heads, " and ",
             p.kv_heads);
  return p;
}

}  // namespace

Tensor scaled_dot_product_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                    const AttentionOptions& options) {
  const char* op = "scaled_dot_product_attention";
  Problem p = check_attention(op, q, k, v);
  set_options(op, options, p);
  const Tensor mask = prepare_mask(op, options.mask, p);
  Operand out = as_operand(empty_in_order_of(q, with_last(q, p.value_width)));
  Tensor stats = empty({p.batch, p.heads, p.queries, 2}, p.dtype);
  const Tensor inputs[] = {q, k, v, mask};
  run_forward(p, as_operand(q), as_operand(k), as_operand(v), mask, out, stats, autograd::detail::wants_grad(inputs));
  return autograd::record<AttentionBackward>(
      out.tensor, {q, k, v, mask}, {.p = p, .q = q, .k = k, .v = v, .mask = mask, .out = out.tensor, .stats = stats});
}

Tensor packed_attention(const Tensor& qkv, int64_t heads, const AttentionOptions& options) {
  const char* op = "packed_attention";
  check_defined(op, qkv);
  dispatch_float(op, qkv.dtype(), []<class T>() {});
  TERN_CHECK(heads >= 1, ValueError, "[", op, "] expected at least one head, got ", heads);
  TERN_CHECK(qkv.dim() == 3 && qkv.size(-1) % (3 * heads) == 0, ShapeError, "[", op, "] expected qkv [B, T, 3 * ",
             heads, " * D], got ", qkv.shape());
  const int64_t width = qkv.size(-1) / (3 * heads), tokens = qkv.shape()[1];
  Problem p{.batch = qkv.shape()[0],
            .heads = heads,
            .kv_heads = heads,
            .queries = tokens,
            .keys = tokens,
            .width = width,
            .value_width = width,
            .random = {},
            .dtype = qkv.dtype()};
  set_options(op, options, p);
  const Tensor mask = prepare_mask(op, options.mask, p), x = with_dense_rows(qkv);
  const Tensor y = empty({p.batch, tokens, heads * width}, p.dtype);
  Operand out = token_operand(y, p);
  Tensor stats = empty({p.batch, p.heads, p.queries, 2}, p.dtype);
  const Tensor inputs[] = {qkv, mask};
  run_forward(p, packed_operand(x, p, 0), packed_operand(x, p, 1), packed_operand(x, p, 2), mask, out, stats,
              autograd::detail::wants_grad(inputs));
  return autograd::record<PackedAttentionBackward>(y, {qkv, mask},
                                                   {.p = p, .qkv = qkv, .mask = mask, .out = y, .stats = stats});
}

}  // namespace tern
