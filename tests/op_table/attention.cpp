#include <cmath>
#include <limits>

#include <tern/core/ops/attention.h>
#include <tern/core/random.h>

#include "op_table/op_table.h"

namespace tern::test {
namespace {

constexpr double kHidden = -std::numeric_limits<double>::infinity();

struct Rule {
  double scale = 0;  // 0: 1 / sqrt(width)
  bool causal = false;
  int64_t offset = 0;
  bool allowed = false;  // the mask says who may attend, else it is added
};

// Softmax of all scores, query by query. q [.., H, Tq, D], k [.., Hkv, Tk, D], v [.., Hkv, Tk, Dv].
Array naive_attention(const Array& q, const Array& k, const Array& v, const Array& mask, const Rule& rule) {
  const auto axis = [](const Array& x, int64_t from_end) {
    return from_end <= x.dim() ? x.shape[x.dim() - from_end] : int64_t{1};
  };
  const int64_t batch = axis(q, 4), heads = axis(q, 3), kv_heads = axis(k, 3), queries = axis(q, 2), keys = axis(k, 2);
  const int64_t width = axis(q, 1), value_width = axis(v, 1);
  const double scale = rule.scale != 0 ? rule.scale : 1 / std::sqrt(static_cast<double>(width));
  const Array full = mask.defined ? broadcast(mask, {batch, heads, queries, keys}) : Array();
  Shape shape = q.shape;
  shape.back() = value_width;
  Array out(shape);
  for (int64_t b = 0; b < batch; ++b)
    for (int64_t h = 0; h < heads; ++h)
      for (int64_t i = 0; i < queries; ++i) {
        const int64_t kv = b * kv_heads + h / (heads / kv_heads);
        std::vector<double> score(static_cast<size_t>(keys), kHidden);
        double high = kHidden, total = 0;
        for (int64_t j = 0; j < keys; ++j) {
          double s = 0;
          for (int64_t l = 0; l < width; ++l)
            s += q.v[static_cast<size_t>(((b * heads + h) * queries + i) * width + l)] *
                 k.v[static_cast<size_t>((kv * keys + j) * width + l)];
          s *= scale;
          if (mask.defined && rule.allowed && full(b, h, i, j) == 0) s = kHidden;
          if (mask.defined && !rule.allowed) s += full(b, h, i, j);
          if (rule.causal && j > i + rule.offset) s = kHidden;
          score[static_cast<size_t>(j)] = s;
          high = std::max(high, s);
        }
        if (high == kHidden) continue;
        for (double& s : score) total += s = std::exp(s - high);
        for (int64_t j = 0; j < keys; ++j)
          for (int64_t l = 0; l < value_width; ++l)
            out.v[static_cast<size_t>(((b * heads + h) * queries + i) * value_width + l)] +=
                score[static_cast<size_t>(j)] / total * v.v[static_cast<size_t>((kv * keys + j) * value_width + l)];
      }
  return out;
}

Array absent() {
  return Array();
}

// qkv [B, T, 3 H D] taken apart into [B, H, T, D].
Array third(const Array& qkv, int64_t heads, int64_t which) {
  const int64_t batch = qkv.shape[0], tokens = qkv.shape[1], width = qkv.shape[2] / 3 / heads;
  Array out({batch, heads, tokens, width});
  for_each_index(out.shape, [&](const Dims& i) { out.at(i) = qkv(i[0], i[2], (which * heads + i[1]) * width + i[3]); });
  return out;
}
Array joined(const Array& x) {
  Array out({x.shape[0], x.shape[2], x.shape[1] * x.shape[3]});
  for_each_index(x.shape, [&](const Dims& i) { out(i[0], i[2], i[1] * x.shape[3] + i[3]) = x.at(i); });
  return out;
}

Inputs qkv(const Shape& q, const Shape& k, const Shape& v) {
  return {uniform(q), uniform(k), uniform(v)};
}
Inputs heads(int64_t b, int64_t h, int64_t hkv, int64_t tq, int64_t tk, int64_t d, int64_t dv) {
  return qkv({b, h, tq, d}, {b, hkv, tk, d}, {b, hkv, tk, dv});
}
Inputs with(Inputs in, const Tensor& mask) {
  in.push_back(mask);
  return in;
}
// Tokens before heads in memory, as views of a linear layer's output are.
Inputs by_token(Inputs in) {
  for (Tensor& x : in) x = x.transpose(1, 2).contiguous().transpose(1, 2);
  return in;
}
// A mask of u8 in which query 1 sees nothing.
Tensor blind_mask(int64_t queries, int64_t keys) {
  Tensor m = mask({queries, keys}, 0.7);
  for (int64_t j = 0; j < keys; ++j) {
    m.data<uint8_t>()[j] = 1;
    m.data<uint8_t>()[keys + j] = 0;
  }
  return m;
}

// The factors of dropout for [rows, keys] scores after manual_seed(kSeed): each row begins a group of 32 elements,
// element 8 w + b of a group takes word w of block b of the group's eight.
constexpr uint64_t kSeed = 7;
Array dropout_factors(int64_t rows, int64_t keys, double p) {
  const Generator generator(kSeed);
  Array out({rows, keys});
  const int64_t groups = (keys + 31) / 32;
  for (int64_t r = 0; r < rows; ++r)
    for (int64_t j = 0; j < keys; ++j) {
      const auto block = generator.block_at(static_cast<uint64_t>((r * groups + j / 32) * 8 + j % 8));
      out(r, j) = block[static_cast<size_t>(j % 32 / 8)] >= static_cast<uint64_t>(p * 0x1p32) ? 1 / (1 - p) : 0;
    }
  return out;
}

}  // namespace

TERN_OP_FAMILY(attention) {
  const auto add = [&](OpEntry entry) {
    if (entry.name.empty()) entry.name = "scaled_dot_product_attention";
    entry.f64 = tol::kF64Sum;
    entry.f32 = tol::kF32Sum;
    entry.flops = [](const Inputs& in) { return 4.0 * static_cast<double>(in[0].numel() * in[1].size(-2)); };
    table.add(std::move(entry));
  };
  const auto plain = [](const AttentionOptions& options) {
    return [options](const Inputs& in) { return scaled_dot_product_attention(in[0], in[1], in[2], options); };
  };
  const auto naive = [](const Rule& rule) {
    return [rule](const Arrays& in) { return naive_attention(in[0], in[1], in[2], absent(), rule); };
  };
  add({
      .call = plain({}),
      .samples = {heads(2, 3, 3, 5, 4, 4, 4), heads(1, 1, 1, 2, 9, 3, 5), heads(2, 4, 2, 3, 4, 2, 2),
                  heads(1, 3, 1, 2, 3, 8, 1), heads(1, 1, 1, 1, 1, 1, 1), heads(0, 2, 2, 3, 3, 2, 2),
                  heads(1, 2, 2, 0, 3, 2, 2), heads(1, 2, 2, 3, 0, 2, 2), heads(1, 1, 1, 7, 20, 2, 3),
                  qkv({3, 5, 4}, {3, 2, 4}, {3, 2, 4}), qkv({5, 4}, {6, 4}, {6, 3}),
                  by_token(heads(2, 3, 3, 5, 4, 4, 4))},
      .large = {heads(2, 3, 3, 65, 65, 16, 16), heads(1, 2, 1, 300, 270, 20, 12),
                by_token(heads(1, 4, 2, 130, 600, 24, 40)), heads(1, 3, 3, 1, 700, 48, 48),
                heads(40, 2, 2, 3, 40, 8, 8)},
      .reference = naive({}),
      .rejects =
          {{{uniform({1, 2, 3, 4}), uniform({1, 2, 3, 5}), uniform({1, 2, 3, 5})},
            "[scaled_dot_product_attention] expected k of width 4 as q [1, 2, 3, 4], got [1, 2, 3, 5]"},
           {{uniform({1, 2, 3, 4}), uniform({2, 2, 3, 4}), uniform({2, 2, 3, 4})},
            "[scaled_dot_product_attention] expected a batch of 1 as q [1, 2, 3, 4] has, got k [2, 2, 3, 4] and v "
            "[2, 2, 3, 4]"},
           {{uniform({1, 2, 3, 4}), uniform({1, 2, 3, 4}), uniform({1, 2, 5, 4})},
            "[scaled_dot_product_attention] expected as many heads and tokens in v as in k [1, 2, 3, 4], got [1, 2, "
            "5, 4]"},
           {{uniform({1, 3, 3, 4}), uniform({1, 2, 3, 4}), uniform({1, 2, 3, 4})},
            "[scaled_dot_product_attention] expected a number of query heads that the number of key heads divides, "
            "got 3 and 2"},
           {{uniform({4}), uniform({4}), uniform({4})},
            "[scaled_dot_product_attention] expected q, k and v of two to four axes each, got [4], [4] and [4]"},
           {{uniform({3, 4}), uniform({3, 4}).to(DType::kF32), uniform({3, 4})},
            "[scaled_dot_product_attention] expected k and v of f64, got f32 and f64"},
           {{int_range({2, 3}), int_range({2, 3}), int_range({2, 3})},
            "[scaled_dot_product_attention] expected f32 or f64, got i64"},
           {heads(1, 1, 1, 2, 2, 2, 2),
            "[scaled_dot_product_attention] expected a dropout probability in [0, 1), got 1", plain({.dropout = 1})}},
  });
  add({
      .variant = "causal, scale",
      .call = plain({.is_causal = true, .scale = 0.7}),
      .samples = {heads(2, 2, 2, 5, 5, 3, 3), heads(1, 2, 1, 3, 7, 4, 2), heads(1, 1, 1, 7, 3, 4, 4)},
      .large = {heads(1, 3, 3, 65, 65, 16, 16), heads(1, 2, 2, 310, 310, 20, 20)},
      .reference = naive({.scale = 0.7, .causal = true}),
  });
  add({
      .variant = "causal with a cache",
      .call = plain({.is_causal = true, .causal_offset = 4}),
      .samples = {heads(2, 2, 2, 3, 7, 3, 3), heads(1, 4, 2, 1, 5, 4, 2), heads(1, 1, 1, 6, 2, 4, 4)},
      .large = {heads(1, 2, 2, 290, 294, 20, 20)},
      .reference = naive({.causal = true, .offset = 4}),
  });
  add({
      .variant = "causal, first queries blind",
      .call = plain({.is_causal = true, .causal_offset = -2}),
      .samples = {heads(1, 2, 2, 5, 4, 3, 3), heads(1, 1, 1, 2, 4, 3, 3)},
      .reference = naive({.causal = true, .offset = -2}),
  });
  const auto masked = [](bool causal) {
    return [causal](const Inputs& in) {
      return scaled_dot_product_attention(in[0], in[1], in[2], {.mask = in[3], .is_causal = causal});
    };
  };
  add({
      .variant = "added mask",
      .call = masked(false),
      .samples = {with(heads(2, 3, 3, 5, 4, 4, 4), uniform({5, 4})),
                  with(heads(2, 2, 1, 3, 4, 2, 2), uniform({2, 2, 3, 4})),
                  with(heads(2, 2, 2, 3, 4, 2, 2), uniform({2, 1, 1, 4})),
                  with(heads(1, 2, 2, 3, 4, 2, 2), uniform({4})),
                  with(heads(1, 2, 2, 3, 4, 2, 2), permuted(uniform({2, 3, 4}))),
                  with(heads(1, 1, 1, 3, 3, 2, 2), values({3, 3}, {0, kHidden, 1, 2, 3, kHidden, kHidden, 0, 0}))},
      .large = {with(heads(2, 2, 2, 60, 300, 16, 16), uniform({60, 300}))},
      .reference = [](const Arrays& in) { return naive_attention(in[0], in[1], in[2], in[3], {}); },
      .rejects = {{with(heads(1, 2, 2, 3, 4, 2, 2), uniform({3, 3})),
                   "[scaled_dot_product_attention] expected a mask that broadcasts to [1, 2, 3, 4], got [3, 3]"},
                  {with(heads(1, 2, 2, 3, 4, 2, 2), int_range({4})),
                   "[scaled_dot_product_attention] expected a mask of u8 or f64, got i64"}},
  });
  add({
      .variant = "mask of who may attend, causal",
      .call = masked(true),
      .samples = {with(heads(2, 3, 3, 5, 5, 4, 4), blind_mask(5, 5)),
                  with(heads(2, 2, 2, 3, 4, 2, 2), mask({2, 1, 1, 4})),
                  with(heads(1, 1, 1, 2, 4, 2, 2), blind_mask(2, 4))},
      .large = {with(heads(1, 2, 2, 60, 300, 16, 16), mask({1, 2, 60, 300}))},
      .reference =
          [](const Arrays& in) {
            return naive_attention(in[0], in[1], in[2], in[3], {.causal = true, .allowed = true});
          },
  });
  add({
      .variant = "dropout",
      .call =
          [](const Inputs& in) {
            manual_seed(kSeed);
            return scaled_dot_product_attention(in[0], in[1], in[2], {.dropout = 0.3});
          },
      .samples = {heads(1, 2, 1, 5, 4, 3, 3), heads(1, 1, 1, 2, 40, 3, 3)},
      .large = {heads(1, 2, 2, 60, 300, 16, 16)},
      .reference =
          [](const Arrays& in) {
            // With v the unit matrix the result is the weights themselves.
            const Array &q = in[0], &k = in[1], &v = in[2];
            const int64_t h = q.shape[1], tq = q.shape[2], tk = k.shape[2], group = h / k.shape[1];
            Array unit({1, k.shape[1], tk, tk}), out({1, h, tq, v.shape[3]});
            for (int64_t a = 0; a < k.shape[1]; ++a)
              for (int64_t j = 0; j < tk; ++j) unit(0, a, j, j) = 1;
            const Array weights = naive_attention(q, k, unit, absent(), {}), factor = dropout_factors(h * tq, tk, 0.3);
            for_each_index(out.shape, [&](const Dims& i) {
              for (int64_t j = 0; j < tk; ++j)
                out.at(i) += weights(0, i[1], i[2], j) * factor(i[1] * tq + i[2], j) * v(0, i[1] / group, j, i[3]);
            });
            return out;
          },
  });
  add({
      .name = "packed_attention",
      .call =
          [](const Inputs& in) {
            return packed_attention(in[0], 2, {.mask = in.size() > 1 ? in[1] : Tensor(), .is_causal = true});
          },
      .samples = {{uniform({2, 5, 18})},
                  {uniform({1, 1, 6})},
                  {uniform({0, 3, 6})},
                  {uniform({2, 0, 6})},
                  {uniform({2, 4, 12}), uniform({2, 1, 4, 4})}},
      .large = {{uniform({3, 65, 96})}},
      .reference =
          [](const Arrays& in) {
            return joined(naive_attention(third(in[0], 2, 0), third(in[0], 2, 1), third(in[0], 2, 2),
                                          in.size() > 1 ? in[1] : absent(), {.causal = true}));
          },
      .rejects = {{{uniform({2, 5, 16})}, "[packed_attention] expected qkv [B, T, 3 * 2 * D], got [2, 5, 16]"},
                  {{int_range({2, 5, 6})}, "[packed_attention] expected f32 or f64, got i64"},
                  {{uniform({2, 5, 18})},
                   "[packed_attention] expected at least one head, got 0",
                   [](const Inputs& in) { return packed_attention(in[0], 0); }}},
  });
  table.golden("scaled_dot_product_attention", [](const Json& a, const Inputs& in) {
    AttentionOptions options{.mask = in.size() > 3 ? in[3] : Tensor(), .is_causal = a.at("is_causal")};
    if (a.contains("causal_offset")) options.causal_offset = a.at("causal_offset");
    if (a.contains("scale")) options.scale = a.at("scale").get<double>();
    return scaled_dot_product_attention(in[0], in[1], in[2], options);
  });
}

}  // namespace tern::test
