// A decoder-only language model of llama's architecture (Touvron et al., 2023), with Hugging Face's parameter names.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <tern/nn/layers/containers.h>
#include <tern/nn/layers/embedding.h>
#include <tern/nn/layers/linear.h>
#include <tern/nn/layers/norms.h>
#include <tern/nn/layers/rotary.h>
#include <tern/nn/models/model.h>

namespace tern::nn::models {

/// Sizes and settings under Hugging Face's names. Every module below that is made of them throws ValueError where they
/// do not fit together.
struct LlamaOptions {
  int64_t vocab_size = 32000;         ///< this and the sizes below: at least 1
  int64_t hidden_size = 4096;         ///< width between the layers
  int64_t intermediate_size = 11008;  ///< width inside the feed-forward
  int64_t num_hidden_layers = 32;
  int64_t num_attention_heads = 32;
  int64_t num_key_value_heads = 0;         ///< 0: num_attention_heads; must divide it
  int64_t head_dim = 0;                    ///< 0: hidden_size / num_attention_heads; even
  int64_t max_position_embeddings = 2048;  ///< longest sequence, in tokens
  double rms_norm_eps = 1e-6;              ///< added to the mean square
  double rope_theta = 10000;               ///< RotaryOptions::theta, finite and above 0
  bool tie_word_embeddings = false;        ///< the output matrix is the embedding
  bool attention_bias = false;             ///< of q_proj, k_proj and v_proj
  bool attention_out_bias = false;         ///< of o_proj
  // MiniCPM's scalings; each does nothing at its default.
  double scale_emb = 1;        ///< the embedding times this
  double scale_depth = 0;      ///< each residual branch times this / sqrt(num_hidden_layers)
  int64_t dim_model_base = 0;  ///< the last hidden state divided by hidden_size / this
};

/// Keys and values of the tokens seen so far, one pair a layer: what makes a step cost one position.
class KeyValueCache {
 public:
  /// Of one decoder layer; positions from length() on hold nothing yet.
  struct Layer {
    Tensor keys;    ///< [batch, key-value heads, capacity, head_dim], rotated
    Tensor values;  ///< the same shape
  };
  /// Room for `capacity` positions of `batch` sequences. dtype: that of the model. Throws ValueError for sizes below 1
  /// or a capacity beyond the model's positions.
  KeyValueCache(const LlamaOptions& options, int64_t batch, int64_t capacity, DType dtype = DType::kF32);

  int64_t batch() const { return batch_; }
  int64_t length() const { return length_; }  ///< positions filled
  int64_t capacity() const { return capacity_; }
  /// Forgets the positions from `length` on. Throws ValueError beyond what is filled.
  void truncate(int64_t length);
  void clear() { length_ = 0; }

  /// Of the layer with that number. Throws ValueError unless it is in [0, layers()).
  Layer& layer(int64_t index);
  int64_t layers() const { return static_cast<int64_t>(layers_.size()); }
  /// Counts positions as filled, after every layer has written them.
  void advance(int64_t positions) { length_ += positions; }

 private:
  std::vector<Layer> layers_;
  int64_t batch_ = 0, length_ = 0, capacity_ = 0;
};

/// What a decoder layer is given besides the hidden state.
struct DecoderContext {
  int64_t offset = 0;                     ///< position of the first token
  KeyValueCache::Layer* cache = nullptr;  ///< the layer's cache, or none
};

/// What may stand where an attention or a decoder layer stands.
struct DecoderInterface {
  virtual ~DecoderInterface() = default;
  /// x: [B, T, hidden_size]; the result has its shape.
  virtual Tensor forward(const Tensor& x, const DecoderContext& context) = 0;
};

/// Causal self-attention with rotated queries and keys (rotation by halves); key-value heads shared by groups of query
/// heads (Ainslie et al., "GQA", 2023). With a cache, this call's keys and values are written behind its first `offset`
/// positions, and all so far are attended to; without one, positions count from `offset`.
class LlamaAttention : public Module, public DecoderInterface {
 public:
  using Interface = DecoderInterface;
  using Options = LlamaOptions;
  explicit LlamaAttention(const Options& options);
  const Options& options() const { return options_; }
  using Module::forward;
  bool has_forward() const override { return false; }
  Tensor forward(const Tensor& x, const DecoderContext& context) override;
  /// Both products, over all T x T pairs as the full mask counts them.
  int64_t macs(const Shape& input, const Shape& output) const override;

 private:
  Options options_;

 public:
  Child<Linear> q_proj;
  Child<Linear> k_proj;
  Child<Linear> v_proj;
  Child<Linear> o_proj;
};

/// down_proj(silu(gate_proj(x)) * up_proj(x)). x: [..., hidden_size]; the result has its shape.
class LlamaMlp : public Module {
 public:
  using Options = LlamaOptions;
  explicit LlamaMlp(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override;

 private:
  Options options_;

 public:
  Child<Linear> gate_proj;
  Child<Linear> up_proj;
  Child<Linear> down_proj;
};

/// Pre-norm attention and feed-forward, each on a residual branch. x: [B, T, hidden_size].
class LlamaLayer : public Module, public DecoderInterface {
 public:
  using Interface = DecoderInterface;
  using Options = LlamaOptions;
  explicit LlamaLayer(const Options& options);
  const Options& options() const { return options_; }
  using Module::forward;
  bool has_forward() const override { return false; }
  Tensor forward(const Tensor& x, const DecoderContext& context) override;

 private:
  Options options_;

 public:
  Child<LlamaAttention> self_attn;
  Child<LlamaMlp> mlp;
  Child<RMSNorm> input_layernorm;
  Child<RMSNorm> post_attention_layernorm;
};

/// The decoder without its output matrix: tokens to hidden states.
class LlamaModel : public Module {
 public:
  using Options = LlamaOptions;
  explicit LlamaModel(const Options& options);
  const Options& options() const { return options_; }
  /// tokens: i64 [B, T], T at least 1 (ShapeError) and at most max_position_embeddings, each in [0, vocab_size)
  /// (ValueError); result [B, T, hidden_size], after the last norm.
  Tensor forward(const Tensor& tokens) override { return run(tokens, nullptr); }
  /// The same behind what the cache holds, which grows by T. Throws as Llama::step; ValueError for a cache of another
  /// number of layers. Null: no cache.
  Tensor run(const Tensor& tokens, KeyValueCache* cache);

 private:
  Options options_;

 public:
  Child<Embedding> embed_tokens;
  Child<ModuleListOf<LlamaLayer>> layers{this, "layers"};
  Child<RMSNorm> norm;
};

/// Tokens to logits. Parameter names: model.embed_tokens, model.layers.N.self_attn.q_proj (k_proj, v_proj, o_proj),
/// model.layers.N.mlp.gate_proj (up_proj, down_proj), model.layers.N.input_layernorm (post_attention_layernorm),
/// model.norm, lm_head (tied: another name of model.embed_tokens.weight, stored once). Linear weights and the embedding
/// start normal with deviation 0.02, biases at 0.
class Llama : public Model {
 public:
  using Options = LlamaOptions;
  explicit Llama(const Options& options);
  const Options& options() const { return options_; }
  /// From the settings of LlamaOptions under their own names; unknown keys, and values out of range, are refused
  /// (ValueError).
  static Options options_from(const io::Json& config);
  /// From a Hugging Face config.json, whose further keys are passed over: model_type qwen2 has biases on q, k and v.
  /// Throws ValueError for missing sizes and for what this decoder does not do (another activation, scaled rotary
  /// positions, biases in the feed-forward).
  static Options options_from_hugging_face(const io::Json& config);

  /// A model from a file: safetensors with its own metadata or a config.json (which is in Hugging Face's form for
  /// foreign files), under Hugging Face's or Meta's names; or a llama2.c checkpoint (is_llama2c).
  /// Throws IoError and FormatError for broken files, ValueError for a configuration that is missing or does not fit.
  static std::shared_ptr<Llama> load(const std::string& path, const std::string& config_path = "");
  /// Whether a file starts as a llama2.c checkpoint does, with seven sizes that fit together. Its name does not matter.
  /// False where there is no such file; throws IoError for one that cannot be read.
  static bool is_llama2c(const std::string& path);
  /// A llama2.c checkpoint (version 0): seven i32, then f32 weights; the file must have exactly the size they imply
  /// (FormatError). Throws IoError if it cannot be read.
  static std::shared_ptr<Llama> load_llama2c(const std::string& path);

  /// tokens as in LlamaModel::forward; result [B, T, vocab_size].
  Tensor forward(const Tensor& tokens) override;
  /// Room for a generation of up to `capacity` positions (0: all that the model has), in the parameters' dtype.
  KeyValueCache make_cache(int64_t batch = 1, int64_t capacity = 0) const;
  /// Runs T more tokens, i64 [B, T], behind those in the cache and returns the logits after the last one, [B,
  /// vocab_size]. Records no gradients. Throws ValueError where the cache has no room, ShapeError for another batch
  /// size; as forward otherwise.
  Tensor step(const Tensor& tokens, KeyValueCache& cache);

  std::string model_name() const override { return "llama"; }
  io::Json config() const override;
  std::string head_path() const override { return "lm_head"; }

 private:
  Tensor logits(const Tensor& hidden) const;
  Options options_;

 public:
  Child<LlamaModel> model;
  Child<Linear> lm_head;
};

/// Weights under Meta's and llama2.c's names (tok_embeddings, layers.N.attention.wq, ...) under Hugging Face's names,
/// with the rows of wq and wk put in the order that rotation by halves needs. Names that are neither are kept. Throws
/// ShapeError for a wq or wk that does not fit the options.
[[nodiscard]] io::TensorMap from_meta_names(const io::TensorMap& tensors, const LlamaOptions& options);

/// Rows of one projection [heads * head_dim, in] from rotation by pairs to rotation by halves, head by head: row j of
/// the first half is row 2 j, row j of the second half is row 2 j + 1. Throws ShapeError unless the rows are so many
/// heads of even width.
[[nodiscard]] Tensor pairs_to_halves(const Tensor& weight, int64_t heads);

}  // namespace tern::nn::models
