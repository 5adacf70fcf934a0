#include <cmath>
#include <optional>

#include <tern/core/autograd/autograd.h>
#include <tern/core/ops/activation.h>
#include <tern/core/ops/attention.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/shape.h>
#include <tern/nn/fused.h>
#include <tern/nn/init.h>
#include <tern/nn/models/llama.h>

namespace tern::nn::models {
namespace {

constexpr double kDeviation = 0.02;

LlamaOptions resolved(LlamaOptions o) {
  TERN_CHECK(o.vocab_size >= 1 && o.hidden_size >= 1 && o.intermediate_size >= 1 && o.num_hidden_layers >= 1 &&
                 o.num_attention_heads >= 1 && o.max_position_embeddings >= 1,
             ValueError,
             "[Llama] expected vocab_size, hidden_size, intermediate_size, num_hidden_layers, num_attention_heads and "
             "max_position_embeddings of at least 1, got ",
             o.vocab_size, ", ", o.hidden_size, ", ", o.intermediate_size, ", ", o.num_hidden_layers, ", ",
             o.num_attention_heads, " and ", o.max_position_embeddings);
  if (o.num_key_value_heads == 0) o.num_key_value_heads = o.num_attention_heads;
  TERN_CHECK(o.num_key_value_heads >= 1 && o.num_attention_heads % o.num_key_value_heads == 0, ValueError,
             "[Llama] expected num_key_value_heads that divides num_attention_heads, got ", o.num_key_value_heads,
             " and ", o.num_attention_heads);
  if (o.head_dim == 0) {
    TERN_CHECK(o.hidden_size % o.num_attention_heads == 0, ValueError,
               "[Llama] expected num_attention_heads that divides hidden_size, got ", o.num_attention_heads, " and ",
               o.hidden_size);
    o.head_dim = o.hidden_size / o.num_attention_heads;
  }
  TERN_CHECK(o.head_dim >= 2 && o.head_dim % 2 == 0, ValueError, "[Llama] expected an even head_dim, got ", o.head_dim);
  TERN_CHECK(std::isfinite(o.rope_theta) && o.rope_theta > 0, ValueError,
             "[Llama] expected a finite rope_theta above 0, got ", o.rope_theta);
  TERN_CHECK(o.scale_depth >= 0 && o.dim_model_base >= 0, ValueError,
             "[Llama] expected scale_depth and dim_model_base of at least 0, got ", o.scale_depth, " and ",
             o.dim_model_base);
  return o;
}

Tensor scaled(const Tensor& x, double factor) {
  return factor == 1 ? x : mul(x, factor);
}

}  // namespace

KeyValueCache::KeyValueCache(const LlamaOptions& options, int64_t batch, int64_t capacity, DType dtype)
    : batch_(batch), capacity_(capacity) {
  const LlamaOptions o = resolved(options);
  TERN_CHECK(batch >= 1 && capacity >= 1 && capacity <= o.max_position_embeddings, ValueError,
             "[KeyValueCache] expected a batch of at least 1 and a capacity in [1, ", o.max_position_embeddings,
             "], got ", batch, " and ", capacity);
  for (int64_t i = 0; i < o.num_hidden_layers; ++i) {
    const Shape shape = {batch, o.num_key_value_heads, capacity, o.head_dim};
    layers_.push_back({empty(shape, dtype), empty(shape, dtype)});
  }
}

void KeyValueCache::truncate(int64_t length) {
  TERN_CHECK(length >= 0 && length <= length_, ValueError, "[KeyValueCache] expected a length in [0, ", length_,
             "], got ", length);
  length_ = length;
}

KeyValueCache::Layer& KeyValueCache::layer(int64_t index) {
  TERN_CHECK(index >= 0 && index < layers(), ValueError, "[KeyValueCache] expected a layer in [0, ", layers(),
             "), got ", index);
  return layers_[static_cast<size_t>(index)];
}

LlamaAttention::LlamaAttention(const Options& options)
    : options_(resolved(options)),
      q_proj(this, "q_proj",
             {.in_features = options_.hidden_size,
              .out_features = options_.num_attention_heads * options_.head_dim,
              .bias = options_.attention_bias}),
      k_proj(this, "k_proj",
             {.in_features = options_.hidden_size,
              .out_features = options_.num_key_value_heads * options_.head_dim,
              .bias = options_.attention_bias}),
      v_proj(this, "v_proj",
             {.in_features = options_.hidden_size,
              .out_features = options_.num_key_value_heads * options_.head_dim,
              .bias = options_.attention_bias}),
      o_proj(this, "o_proj",
             {.in_features = options_.num_attention_heads * options_.head_dim,
              .out_features = options_.hidden_size,
              .bias = options_.attention_out_bias}) {}

Tensor LlamaAttention::forward(const Tensor& x, const DecoderContext& context) {
  const Options& o = options_;
  const int64_t batch = x.size(0), length = x.size(1);
  const auto heads = [&](const Tensor& y, int64_t count) {
    return y.reshape({batch, length, count, o.head_dim}).transpose(1, 2);
  };
  const RotaryOptions rotary = {.theta = o.rope_theta, .offset = context.offset};
  const Tensor q = rotary_embedding(heads(q_proj(x), o.num_attention_heads), rotary);
  Tensor k = rotary_embedding(heads(k_proj(x), o.num_key_value_heads), rotary);
  Tensor v = heads(v_proj(x), o.num_key_value_heads);
  if (context.cache != nullptr) {
    const int64_t end = context.offset + length;
    context.cache->keys.slice(2, context.offset, end).copy_(k);
    context.cache->values.slice(2, context.offset, end).copy_(v);
    k = context.cache->keys.slice(2, 0, end);
    v = context.cache->values.slice(2, 0, end);
  }
  const Tensor mixed = scaled_dot_product_attention(
      q, k, v,
      {.is_causal = true, .causal_offset = context.cache != nullptr ? context.offset : 0, .scale = std::nullopt});
  return o_proj(mixed.transpose(1, 2).reshape({batch, length, o.num_attention_heads * o.head_dim}));
}

int64_t LlamaAttention::macs(const Shape& input, const Shape&) const {
  return 2 * input[0] * input[1] * input[1] * options_.num_attention_heads * options_.head_dim;
}

LlamaMlp::LlamaMlp(const Options& options)
    : options_(resolved(options)),
      gate_proj(this, "gate_proj",
                {.in_features = options.hidden_size, .out_features = options.intermediate_size, .bias = false}),
      up_proj(this, "up_proj",
              {.in_features = options.hidden_size, .out_features = options.intermediate_size, .bias = false}),
      down_proj(this, "down_proj",
                {.in_features = options.intermediate_size, .out_features = options.hidden_size, .bias = false}) {}

Tensor LlamaMlp::forward(const Tensor& x) {
  return down_proj(swiglu(gate_proj(x), up_proj(x)));
}

LlamaLayer::LlamaLayer(const Options& options)
    : options_(resolved(options)),
      self_attn(this, "self_attn", options_),
      mlp(this, "mlp", options_),
      input_layernorm(this, "input_layernorm", {.dim = options.hidden_size, .eps = options.rms_norm_eps}),
      post_attention_layernorm(this, "post_attention_layernorm",
                               {.dim = options.hidden_size, .eps = options.rms_norm_eps}) {}

Tensor LlamaLayer::forward(const Tensor& x, const DecoderContext& context) {
  const double branch =
      options_.scale_depth == 0 ? 1 : options_.scale_depth / std::sqrt(static_cast<double>(options_.num_hidden_layers));
  const Tensor attended = scaled(self_attn(input_layernorm(x), context), branch);
  const ResidualNorm middle = add_norm(post_attention_layernorm, x, attended);
  return add(middle.sum, scaled(mlp(middle.normalized), branch));
}

LlamaModel::LlamaModel(const Options& options)
    : options_(resolved(options)),
      embed_tokens(this, "embed_tokens", {.num_embeddings = options.vocab_size, .embedding_dim = options.hidden_size}),
      norm(this, "norm", {.dim = options.hidden_size, .eps = options.rms_norm_eps}) {
  for (int64_t i = 0; i < options.num_hidden_layers; ++i) layers->add(options_);
}

Tensor LlamaModel::run(const Tensor& tokens, KeyValueCache* cache) {
  TERN_CHECK(tokens.dim() == 2 && tokens.size(1) >= 1, ShapeError, "[Llama] expected tokens [B, T], got ",
             tokens.shape());
  const int64_t offset = cache == nullptr ? 0 : cache->length(), length = tokens.size(1);
  TERN_CHECK(offset + length <= options_.max_position_embeddings, ValueError, "[Llama] expected at most ",
             options_.max_position_embeddings, " positions, got ", offset + length);
  if (cache != nullptr) {
    TERN_CHECK(cache->batch() == tokens.size(0), ShapeError, "[Llama] expected tokens for a cache of ", cache->batch(),
               " sequences, got ", tokens.shape());
    TERN_CHECK(offset + length <= cache->capacity(), ValueError, "[Llama] expected at most ", cache->capacity(),
               " positions in the cache, got ", offset + length);
    TERN_CHECK(cache->layers() == layers->size(), ValueError, "[Llama] expected a cache of ", layers->size(),
               " layers, got ", cache->layers());
  }
  Tensor x = scaled(embed_tokens(tokens), options_.scale_emb);
  for (int64_t i = 0; i < layers->size(); ++i)
    x = layers[i](x, DecoderContext{offset, cache == nullptr ? nullptr : &cache->layer(i)});
  if (cache != nullptr) cache->advance(length);
  return norm(x);
}

Llama::Llama(const Options& options)
    : options_(resolved(options)),
      model(this, "model", options_),
      lm_head(this, "lm_head",
              {.in_features = options.hidden_size, .out_features = options.vocab_size, .bias = false}) {
  for (const auto& [name, parameter] : named_parameters()) {
    Tensor tensor = parameter;
    if (tensor.dim() == 2)
      init::normal_(tensor, 0, kDeviation);
    else if (name.ends_with(".bias"))
      init::zeros_(tensor);
  }
  if (options_.tie_word_embeddings) lm_head->weight.tie(model->embed_tokens->weight);
}

Tensor Llama::logits(const Tensor& hidden) const {
  const double divisor = options_.dim_model_base == 0
                             ? 1
                             : static_cast<double>(options_.hidden_size) / static_cast<double>(options_.dim_model_base);
  return lm_head(scaled(hidden, 1 / divisor));
}

Tensor Llama::forward(const Tensor& tokens) {
  return logits(model(tokens));
}

KeyValueCache Llama::make_cache(int64_t batch, int64_t capacity) const {
  return KeyValueCache(options_, batch, capacity == 0 ? options_.max_position_embeddings : capacity,
                       parameters().front().dtype());
}

Tensor Llama::step(const Tensor& tokens, KeyValueCache& cache) {
  const NoGradGuard no_grad;
  const Tensor hidden = model.within([&] {
    return model->with_hooks(std::span<const Tensor>(&tokens, 1), [&] { return model->run(tokens, &cache); });
  });
  return logits(hidden.select(1, -1));
}

}  // namespace tern::nn::models
