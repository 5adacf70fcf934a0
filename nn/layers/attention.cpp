#include <cmath>
#include <limits>

#include <tern/core/ops/attention.h>
#include <tern/core/ops/compare.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/dropout.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/linear.h>
#include <tern/core/ops/matmul.h>
#include <tern/core/ops/reduce.h>
#include <tern/core/ops/shape.h>
#include <tern/core/ops/softmax.h>
#include <tern/nn/init.h>
#include <tern/nn/layers/attention.h>

namespace tern::nn {
namespace {

constexpr double kHidden = -std::numeric_limits<double>::infinity();

MultiheadAttention::Options resolved(MultiheadAttention::Options o) {
  TERN_CHECK(o.embed_dim >= 1 && o.num_heads >= 1 && o.embed_dim % o.num_heads == 0, ValueError,
             "[MultiheadAttention] expected num_heads that divides embed_dim, got ", o.num_heads, " and ", o.embed_dim);
  TERN_CHECK(o.dropout >= 0 && o.dropout < 1, ValueError, "[MultiheadAttention] expected dropout in [0, 1), got ",
             o.dropout);
  TERN_CHECK(o.kdim >= 0 && o.vdim >= 0, ValueError, "[MultiheadAttention] expected kdim and vdim of at least 0, got ",
             o.kdim, " and ", o.vdim);
  if (o.kdim == 0) o.kdim = o.embed_dim;
  if (o.vdim == 0) o.vdim = o.embed_dim;
  return o;
}

Tensor empty_if(bool wanted, const Shape& shape) {
  return wanted ? empty(shape) : Tensor();
}

// A mask as what is added to the scores: 0 and -inf for a u8 one that hides.
Tensor additive(const Tensor& mask, DType dtype) {
  if (mask.dtype() == dtype) return mask;
  TERN_CHECK(mask.dtype() == DType::kU8, DTypeError, "[multihead_attention] expected a mask of u8 or ", dtype, ", got ",
             describe(mask));
  return masked_fill(zeros(mask.shape(), dtype), mask, kHidden);
}

}  // namespace

MultiheadAttention::MultiheadAttention(const Options& options)
    : options_(resolved(options)),
      in_proj_weight(this, "in_proj_weight", empty_if(one_width(), {3 * options_.embed_dim, options_.embed_dim})),
      q_proj_weight(this, "q_proj_weight", empty_if(!one_width(), {options_.embed_dim, options_.embed_dim})),
      k_proj_weight(this, "k_proj_weight", empty_if(!one_width(), {options_.embed_dim, options_.kdim})),
      v_proj_weight(this, "v_proj_weight", empty_if(!one_width(), {options_.embed_dim, options_.vdim})),
      in_proj_bias(this, "in_proj_bias", empty_if(options_.bias, {3 * options_.embed_dim})),
      out_proj(this, "out_proj",
               {.in_features = options_.embed_dim, .out_features = options_.embed_dim, .bias = options_.bias}) {
  reset_parameters();
}

void MultiheadAttention::reset_parameters() {
  for (Parameter* parameter : {&in_proj_weight, &q_proj_weight, &k_proj_weight, &v_proj_weight}) {
    Tensor w = parameter->latent();
    if (w.defined()) init::xavier_uniform_(w);
  }
  if (!options_.bias) return;
  Tensor in_bias = in_proj_bias.latent(), out_bias = out_proj->bias.latent();
  init::zeros_(in_bias);
  init::zeros_(out_bias);
}

AttentionOutput MultiheadAttention::forward(const Tensor& query, const Tensor& key, const Tensor& value,
                                            const AttentionArgs& args) {
  const Options& o = options_;
  const auto check = [&](const char* name, const Tensor& x, int64_t width) {
    TERN_CHECK((x.dim() == 2 || x.dim() == 3) && x.dim() == query.dim() && x.size(-1) == width, ShapeError,
               "[multihead_attention] expected a ", name, " [length, N, ", width,
               "], N first with batch_first, or [length, ", width, "], like the query's, got ", x.shape());
  };
  check("query", query, o.embed_dim);
  check("key", key, o.kdim);
  check("value", value, o.vdim);

  // Inside, everything is [N, length, width]; the same tensor stays the same, so that it is projected once.
  const bool batched = query.dim() == 3;
  const auto batch_first = [&](const Tensor& x) {
    if (!batched) return x.unsqueeze(0);
    return o.batch_first ? x : x.transpose(0, 1);
  };
  const Tensor q = batch_first(query);
  const Tensor k = key.is_same(query) ? q : batch_first(key);
  const Tensor v = value.is_same(query) ? q : value.is_same(key) ? k : batch_first(value);
  TERN_CHECK(k.size(0) == q.size(0) && v.size(0) == q.size(0) && k.size(1) == v.size(1), ShapeError,
             "[multihead_attention] expected one batch size, and as many values as keys, got query ", query.shape(),
             ", key ", key.shape(), " and value ", value.shape());
  AttentionArgs inner = args;
  if (!batched && args.key_padding_mask.defined()) inner.key_padding_mask = args.key_padding_mask.unsqueeze(0);
  AttentionOutput result = attend(q, k, v, inner);
  if (!batched) {
    result.output = result.output.squeeze(0);
    if (result.weights.defined()) result.weights = result.weights.squeeze(0);
  } else if (!o.batch_first) {
    result.output = result.output.transpose(0, 1);
  }
  return result;
}

// All masks together, broadcastable to [N, heads, T, S] and added to the scores; undefined if there are none.
static Tensor combined_mask(const AttentionArgs& args, int64_t batch, int64_t heads, int64_t targets, int64_t sources,
                            DType dtype) {
  Tensor sum;
  const auto join = [&](const Tensor& mask) { sum = sum.defined() ? add(sum, mask) : mask; };
  if (args.attn_mask.defined()) {
    const Tensor& mask = args.attn_mask;
    const bool per_head = mask.dim() == 3;
    TERN_CHECK(mask.shape() == (per_head ? Shape{batch * heads, targets, sources} : Shape{targets, sources}),
               ShapeError, "[multihead_attention] expected attn_mask ", Shape{targets, sources}, " or ",
               Shape{batch * heads, targets, sources}, ", got ", mask.shape());
    const Tensor added = additive(mask, dtype);
    join(per_head ? added.reshape({batch, heads, targets, sources}) : added);
  }
  if (args.key_padding_mask.defined()) {
    TERN_CHECK(args.key_padding_mask.shape() == Shape({batch, sources}), ShapeError,
               "[multihead_attention] expected key_padding_mask ", Shape{batch, sources}, ", got ",
               args.key_padding_mask.shape());
    join(additive(args.key_padding_mask, dtype).reshape({batch, 1, 1, sources}));
  }
  return sum;
}

AttentionOutput MultiheadAttention::attend(const Tensor& q, const Tensor& k, const Tensor& v,
                                           const AttentionArgs& args) {
  const int64_t width = options_.embed_dim, heads = options_.num_heads;
  const int64_t batch = q.size(0), targets = q.size(1), sources = k.size(1);
  const double dropout_now = is_training() ? options_.dropout : 0;
  Tensor mask = combined_mask(args, batch, heads, targets, sources, q.dtype());
  const Tensor bias = in_proj_bias();

  const bool self = k.is_same(q) && v.is_same(q) && one_width();
  if (self && !args.need_weights) {
    const Tensor packed = linear(q, in_proj_weight(), bias);
    const Tensor y = packed_attention(
        packed, heads, {.mask = mask, .is_causal = args.is_causal, .scale = std::nullopt, .dropout = dropout_now});
    return {out_proj(y), Tensor()};
  }

  Tensor weights[3];
  if (one_width()) {
    const Tensor stacked = in_proj_weight();
    for (int64_t i = 0; i < 3; ++i) weights[i] = stacked.slice(0, i * width, (i + 1) * width);
  } else {
    weights[0] = q_proj_weight();
    weights[1] = k_proj_weight();
    weights[2] = v_proj_weight();
  }
  const auto project = [&](const Tensor& x, int64_t i, int64_t length) {
    const Tensor b = bias.defined() ? bias.slice(0, i * width, (i + 1) * width) : Tensor();
    return linear(x, weights[i], b).reshape({batch, length, heads, width / heads}).transpose(1, 2);
  };
  const Tensor qh = project(q, 0, targets), kh = project(k, 1, sources), vh = project(v, 2, sources);
  const auto merged = [&](const Tensor& y) { return y.transpose(1, 2).reshape({batch, targets, width}); };
  if (!args.need_weights) {
    const Tensor y = scaled_dot_product_attention(
        qh, kh, vh, {.mask = mask, .is_causal = args.is_causal, .scale = std::nullopt, .dropout = dropout_now});
    return {out_proj(merged(y)), Tensor()};
  }

  // The weights are wanted, so this path computes them; a query that sees nothing gets zeros, as in the fused one.
  if (args.is_causal) {
    const Tensor future = le(arange(targets).reshape({targets, 1}), sub(arange(sources), 1.0));
    const Tensor causal = additive(future, q.dtype());
    mask = mask.defined() ? add(mask, causal) : causal;
  }
  Tensor scores = mul(matmul(qh, kh.transpose(-1, -2)), 1 / std::sqrt(static_cast<double>(width / heads)));
  Tensor blind;
  if (mask.defined()) {
    blind = eq(sum(ne(mask.detach(), kHidden), {-1}, /*keepdim=*/true), 0.0);
    scores = add(scores, masked_fill(mask, blind, 0));
  }
  Tensor attention = softmax(scores, -1);
  if (blind.defined()) attention = masked_fill(attention, blind, 0);
  attention = dropout(attention, options_.dropout, is_training());
  Tensor mixed = matmul(attention, vh);
  if (mask.defined() && dropout_now == 0 && !std::isfinite(sum(mixed.detach()).item())) {
    // 0 times a hidden NaN or infinity is NaN: the fused path never looks at one.
    attention = softmax(masked_fill(scores, eq(mask.detach(), kHidden), kHidden), -1);
    attention = masked_fill(attention, blind, 0);
    mixed = scaled_dot_product_attention(qh, kh, vh, {.mask = mask});
  }
  const Tensor output = out_proj(merged(mixed));
  return {output, args.average_attn_weights ? mean(attention, {1}) : attention};
}

std::string MultiheadAttention::extra_text() const {
  const Options& o = options_;
  std::string text = concat("embed_dim=", o.embed_dim, ", num_heads=", o.num_heads);
  if (o.dropout != 0) text += concat(", dropout=", o.dropout);
  if (!o.bias) text += ", bias=false";
  if (o.kdim != o.embed_dim) text += concat(", kdim=", o.kdim);
  if (o.vdim != o.embed_dim) text += concat(", vdim=", o.vdim);
  if (o.batch_first) text += ", batch_first=true";
  return text;
}

int64_t MultiheadAttention::macs(const Shape& input, const Shape&) const {
  const int64_t length = input.size() == 2 || !options_.batch_first ? input[0] : input[1];
  return numel_of(input) * (3 * options_.embed_dim + 2 * length);
}

}  // namespace tern::nn
