// The encoder of a transformer, with PyTorch's interface and parameter names.
#pragma once

#include <tern/core/ops/feed_forward.h>
#include <tern/core/ops/linear.h>
#include <tern/nn/layers/attention.h>
#include <tern/nn/layers/containers.h>
#include <tern/nn/layers/dropout.h>
#include <tern/nn/layers/linear.h>
#include <tern/nn/layers/norms.h>

namespace tern::nn {

/// What a call of an encoder is given besides its input. T: length of the input.
struct EncoderArgs {
  Tensor mask = {};              ///< [T, T] or [N heads, T, T], as AttentionArgs::attn_mask
  Tensor key_padding_mask = {};  ///< [N, T], as AttentionArgs::key_padding_mask
  bool is_causal = false;        ///< position i sees positions 0 to i
};

/// What may stand where a TransformerEncoderLayer or a TransformerEncoder stands.
struct EncoderInterface {
  virtual ~EncoderInterface() = default;
  virtual Tensor forward(const Tensor& x, const EncoderArgs& args = {}) = 0;
};

/// Self-attention and a feed-forward network, each with a residual connection and a norm (Vaswani et al., 2017), as
/// torch.nn.TransformerEncoderLayer:
///   x = norm1(x + attention(x)), x = norm2(x + linear2(activation(linear1(x)))),
/// or with norm_first x = x + attention(norm1(x)), x = x + linear2(activation(linear1(norm2(x)))). In training, dropout
/// after both terms and after the activation, and of the attention's weights. x: [T, N, d_model], N first with
/// batch_first, or [T, d_model]; the result has its shape. Children self_attn, linear1, linear2, norm1, norm2 and the
/// three dropouts. Throws ValueError for options out of range; calling it throws as MultiheadAttention.
class TransformerEncoderLayer : public Module, public EncoderInterface {
 public:
  using Interface = EncoderInterface;
  struct Options {
    int64_t d_model = 0;  ///< required; a multiple of nhead
    int64_t nhead = 0;    ///< required, at least 1
    int64_t dim_feedforward = 2048;
    double dropout = 0.1;                       ///< in [0, 1)
    Activation activation = Activation::kRelu;  ///< kRelu, kGelu, kGeluTanh or kSilu
    double layer_norm_eps = 1e-5;
    bool batch_first = false;
    bool norm_first = false;
  };
  explicit TransformerEncoderLayer(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return forward(x, EncoderArgs()); }
  Tensor forward(const Tensor& x, const EncoderArgs& args) override;
  std::string extra_text() const override;

 private:
  Tensor attend(const Tensor& x, const EncoderArgs& args);
  Tensor feed_forward(const Tensor& x);
  Options options_;

 public:
  Child<MultiheadAttention> self_attn;
  Child<Linear> linear1;
  Child<Dropout> dropout;
  Child<Linear> linear2;
  Child<LayerNorm> norm1;
  Child<LayerNorm> norm2;
  Child<Dropout> dropout1;
  Child<Dropout> dropout2;
};

/// num_layers of them, one after the other, and a norm at the end if wanted: children layers.0, layers.1, ... and norm.
/// Every layer starts from values of its own (PyTorch's are copies of one). Throws ValueError for num_layers below 1.
class TransformerEncoder : public Module, public EncoderInterface {
 public:
  using Interface = EncoderInterface;
  struct Options {
    TransformerEncoderLayer::Options layer = {};
    int64_t num_layers = 1;
    bool norm = false;  ///< a LayerNorm of the output
  };
  explicit TransformerEncoder(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override { return forward(x, EncoderArgs()); }
  Tensor forward(const Tensor& x, const EncoderArgs& args) override;

 private:
  Options options_;

 public:
  Child<ModuleListOf<TransformerEncoderLayer>> layers;
  std::unique_ptr<Child<LayerNorm>> norm;  ///< null without one
};

}  // namespace tern::nn
