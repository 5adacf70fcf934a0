// Multi-head attention with PyTorch's interface and parameter names.
#pragma once

#include <tern/nn/child.h>
#include <tern/nn/layers/linear.h>

namespace tern::nn {

/// What one call of an attention gives.
struct AttentionOutput {
  Tensor output;   ///< of the query's shape, with embed_dim last
  Tensor weights;  ///< [N, T, S], or [N, heads, T, S] without averaging (no N without a batch), after dropout;
                   ///< undefined unless asked for
};

/// What one call of an attention is given besides query, key and value. T: length of the query, S: of the keys.
struct AttentionArgs {
  /// [N, S] ([S] without a batch). u8: 1 hides a key from every query. Of the query's dtype: added to the scores.
  Tensor key_padding_mask = {};
  /// [T, S] or [N heads, T, S]. u8: 1 hides a key from a query (the opposite of scaled_dot_product_attention's masks,
  /// as in PyTorch). Of the query's dtype: added to the scores.
  Tensor attn_mask = {};
  bool is_causal = false;            ///< query i sees keys 0 to i; combines with the masks
  bool need_weights = true;          ///< also return the weights, which keeps all T x S of them
  bool average_attn_weights = true;  ///< the mean over heads
};

/// What may stand where a MultiheadAttention stands.
struct AttentionInterface {
  virtual ~AttentionInterface() = default;
  virtual AttentionOutput forward(const Tensor& query, const Tensor& key, const Tensor& value,
                                  const AttentionArgs& args = {}) = 0;
};

/// softmax(q k^T / sqrt(width of a head) + masks) v for each head, between an input and an output projection (Vaswani
/// et al., 2017), as torch.nn.MultiheadAttention. query: [T, N, embed_dim], key: [S, N, kdim], value: [S, N, vdim], or
/// N first with batch_first, or without N. A query from which every key is hidden gets zeros from its heads. What is
/// hidden reaches no row, NaN and infinities included, as in scaled_dot_product_attention (but with dropout, where the
/// weights are wanted too).
/// Parameters: in_proj_weight [3 embed_dim, embed_dim] (q, k and v stacked) where kdim and vdim are embed_dim, else
/// q_proj_weight, k_proj_weight and v_proj_weight; in_proj_bias; out_proj.weight, out_proj.bias. Input projections
/// start Xavier-uniform, biases at 0. out_proj.weight starts as Linear's. Throws ValueError for options out of range;
/// ShapeError for sizes that disagree, DTypeError for a mask that is neither u8 nor of the query's dtype.
class MultiheadAttention : public Module, public AttentionInterface {
 public:
  using Interface = AttentionInterface;
  struct Options {
    int64_t embed_dim = 0;     ///< required; a multiple of num_heads
    int64_t num_heads = 0;     ///< required, at least 1
    double dropout = 0;        ///< of the attention weights, in [0, 1)
    bool bias = true;          ///< of both projections
    int64_t kdim = 0;          ///< width of the keys; 0: embed_dim
    int64_t vdim = 0;          ///< width of the values; 0: embed_dim
    bool batch_first = false;  ///< [N, T, width] in and out, in place of [T, N, width]
  };
  explicit MultiheadAttention(const Options& options);
  const Options& options() const { return options_; }

  using Module::forward;
  bool has_forward() const override { return false; }
  AttentionOutput forward(const Tensor& query, const Tensor& key, const Tensor& value,
                          const AttentionArgs& args = {}) override;
  std::string extra_text() const override;
  /// Of self-attention: input projections and both products.
  int64_t macs(const Shape& input, const Shape& output) const override;
  /// Draws the input projections anew and sets the biases to 0; out_proj.weight stays.
  void reset_parameters();

 private:
  AttentionOutput attend(const Tensor& query, const Tensor& key, const Tensor& value, const AttentionArgs& args);
  bool one_width() const { return options_.kdim == options_.embed_dim && options_.vdim == options_.embed_dim; }
  Options options_;

 public:
  Parameter in_proj_weight;
  Parameter q_proj_weight;
  Parameter k_proj_weight;
  Parameter v_proj_weight;
  Parameter in_proj_bias;
  Child<Linear> out_proj;
};

}  // namespace tern::nn
