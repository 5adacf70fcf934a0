#include <tern/core/error.h>
#include <tern/core/ops/elementwise.h>
#include <tern/nn/fused.h>
#include <tern/nn/layers/transformer.h>

namespace tern::nn {
namespace {

const TransformerEncoderLayer::Options& checked(const TransformerEncoderLayer::Options& o) {
  TERN_CHECK(o.d_model >= 1 && o.nhead >= 1 && o.d_model % o.nhead == 0, ValueError,
             "[TransformerEncoderLayer] expected nhead that divides d_model, got ", o.nhead, " and ", o.d_model);
  TERN_CHECK(o.dim_feedforward >= 1, ValueError,
             "[TransformerEncoderLayer] expected dim_feedforward of at least 1, got ", o.dim_feedforward);
  TERN_CHECK(o.dropout >= 0 && o.dropout < 1, ValueError, "[TransformerEncoderLayer] expected dropout in [0, 1), got ",
             o.dropout);
  return o;
}

const char* name_of(Activation activation) {
  switch (activation) {
    case Activation::kRelu:
      return "relu";
    case Activation::kGelu:
      return "gelu";
    case Activation::kGeluTanh:
      return "gelu_tanh";
    case Activation::kSilu:
      return "silu";
    default:
      return "none";
  }
}

}  // namespace

TransformerEncoderLayer::TransformerEncoderLayer(const Options& o)
    : options_(checked(o)),
      self_attn(this, "self_attn",
                {.embed_dim = o.d_model, .num_heads = o.nhead, .dropout = o.dropout, .batch_first = o.batch_first}),
      linear1(this, "linear1", {.in_features = o.d_model, .out_features = o.dim_feedforward}),
      dropout(this, "dropout", {.p = o.dropout}),
      linear2(this, "linear2", {.in_features = o.dim_feedforward, .out_features = o.d_model}),
      norm1(this, "norm1", {.normalized_shape = {o.d_model}, .eps = o.layer_norm_eps}),
      norm2(this, "norm2", {.normalized_shape = {o.d_model}, .eps = o.layer_norm_eps}),
      dropout1(this, "dropout1", {.p = o.dropout}),
      dropout2(this, "dropout2", {.p = o.dropout}) {}

Tensor TransformerEncoderLayer::attend(const Tensor& x, const EncoderArgs& args) {
  return dropout1(self_attn(x, x, x,
                            AttentionArgs{.key_padding_mask = args.key_padding_mask,
                                          .attn_mask = args.mask,
                                          .is_causal = args.is_causal,
                                          .need_weights = false})
                      .output);
}

Tensor TransformerEncoderLayer::feed_forward(const Tensor& x) {
  return dropout2(linear2(dropout(linear_act(linear1, x, options_.activation))));
}

Tensor TransformerEncoderLayer::forward(const Tensor& x, const EncoderArgs& args) {
  if (options_.norm_first) {
    const Tensor y = add(x, attend(norm1(x), args));
    return add(y, feed_forward(norm2(y)));
  }
  const Tensor y = norm1(add(x, attend(x, args)));
  return norm2(add(y, feed_forward(y)));
}

std::string TransformerEncoderLayer::extra_text() const {
  const Options& o = options_;
  std::string text = concat("d_model=", o.d_model, ", nhead=", o.nhead, ", dim_feedforward=", o.dim_feedforward);
  if (o.dropout != 0.1) text += concat(", dropout=", o.dropout);
  if (o.activation != Activation::kRelu) text += concat(", activation=", name_of(o.activation));
  if (o.batch_first) text += ", batch_first=true";
  if (o.norm_first) text += ", norm_first=true";
  return text;
}

TransformerEncoder::TransformerEncoder(const Options& options) : options_(options), layers(this, "layers") {
  TERN_CHECK(options.num_layers >= 1, ValueError, "[TransformerEncoder] expected num_layers of at least 1, got ",
             options.num_layers);
  for (int64_t i = 0; i < options.num_layers; ++i) layers->add(options.layer);
  if (options.norm)
    norm = std::make_unique<Child<LayerNorm>>(
        this, "norm",
        LayerNorm::Options{.normalized_shape = {options.layer.d_model}, .eps = options.layer.layer_norm_eps});
}

Tensor TransformerEncoder::forward(const Tensor& x, const EncoderArgs& args) {
  Tensor y = x;
  for (const auto& layer : *layers) y = layer(y, args);
  return norm != nullptr ? (*norm)(y) : y;
}

}  // namespace tern::nn
