// The vision transformer of Dosovitskiy et al. (2021), pre-norm, with timm's parameter names.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <tern/nn/layers/containers.h>
#include <tern/nn/layers/conv2d.h>
#include <tern/nn/layers/dropout.h>
#include <tern/nn/layers/linear.h>
#include <tern/nn/layers/norms.h>
#include <tern/nn/models/model.h>

namespace tern::nn::models {

/// Settings of the model. Every module below but PatchEmbed that is made of them throws ValueError where they do not
/// fit together.
struct VitOptions {
  int64_t image_size = 224;  ///< height and width; a multiple of patch_size
  int64_t patch_size = 16;   ///< side of a square of pixels that makes a token
  int64_t in_channels = 3;
  int64_t num_classes = 1000;
  int64_t width = 192;  ///< a multiple of num_heads
  int64_t depth = 12;
  int64_t num_heads = 3;
  double mlp_ratio = 4;  ///< hidden width of the feed-forward over width; cut to a whole number
  double norm_eps = 1e-6;
  double dropout = 0;            ///< in [0, 1], after the position embedding, projections and feed-forward layers
  double drop_path = 0;          ///< in [0, 1], of the last block; those before it rise to it linearly from 0
  double attention_dropout = 0;  ///< of the attention weights, in [0, 1)
  bool qkv_bias = true;
};

/// Self-attention over tokens [N, T, width]: qkv (queries, keys and values stacked), heads, proj.
class VitAttention : public Module {
 public:
  using Options = VitOptions;
  explicit VitAttention(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override;
  /// x: [N, T, width]. forward's result for token 0 alone, [N, 1, width], without the other tokens' queries. Only for
  /// plain children (Child::plain) and without dropout.
  Tensor first_token(const Tensor& x);
  int64_t macs(const Shape& input, const Shape& output) const override;

 private:
  Options options_;

 public:
  Child<Linear> qkv;
  Child<Linear> proj;
  Child<Dropout> proj_drop;
};

/// fc2(gelu(fc1(x))), the GELU with erf. x: [..., width]; the result has its shape.
class VitMlp : public Module {
 public:
  using Options = VitOptions;
  explicit VitMlp(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override;

 private:
  Options options_;

 public:
  Child<Linear> fc1;
  Child<Linear> fc2;
  Child<Dropout> drop;
};

/// x + attn(norm1(x)), then that plus mlp(norm2(of it)). x: [N, T, width]; the result has its shape. Of its options,
/// drop_path is this block's own.
class VitBlock : public Module {
 public:
  using Options = VitOptions;
  explicit VitBlock(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override;
  /// forward(x)'s token 0, [N, width]. The other tokens' queries, projections and feed-forward, on which it does not
  /// depend, are left out where nobody can tell: if every module of the block is of its own type and has no hook, and
  /// no dropout is at work. Otherwise it is taken from forward's result.
  Tensor first_token(const Tensor& x);

 private:
  Options options_;

 public:
  Child<LayerNorm> norm1;
  Child<VitAttention> attn;
  Child<LayerNorm> norm2;
  Child<VitMlp> mlp;
  Child<DropPath> drop_path;

 private:
  bool is_plain() const;
};

/// Images to tokens: proj, a convolution whose kernel and stride are the patch. x: [N,
/// in_channels, image_size, image_size] (ShapeError); result [N, P, width], P patches by rows.
class PatchEmbed : public Module {
 public:
  using Options = VitOptions;
  explicit PatchEmbed(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override;

 private:
  Options options_;

 public:
  Child<Conv2d> proj;
};

/// Patches with a class token in front and learned positions, blocks, a norm, and a linear head on the class token.
/// Parameter names: cls_token, pos_embed, patch_embed.proj, blocks.N.norm1, blocks.N.attn.qkv, blocks.N.attn.proj,
/// blocks.N.norm2, blocks.N.mlp.fc1, blocks.N.mlp.fc2, norm, head. Linear weights and positions start from a normal
/// distribution of deviation 0.02 cut at +-2, the class token from one of 1e-6, linear biases at 0. The last block
/// computes the class token alone where it may (VitBlock::first_token). x: [N, in_channels, image_size, image_size];
/// result [N, num_classes].
class Vit : public Model {
 public:
  using Options = VitOptions;
  explicit Vit(const Options& options);
  const Options& options() const { return options_; }

  /// The published sizes: "tiny" (width 192, 3 heads), "small" (384, 6), "base" (768, 12); the rest as VitOptions.
  /// Throws ValueError for another name.
  static Options preset(std::string_view name);
  /// From a JSON object of VitOptions' names, or null. Throws ValueError for other keys and values out of range.
  static Options options_from(const io::Json& config);
  /// A model from a safetensors file. The file's own metadata decide its configuration; without them, config_path must
  /// name a JSON file with the settings of VitOptions, or with timm's "architecture" ("vit_tiny_patch16_224",
  /// "deit_small_patch16_224") and "num_classes". Throws IoError and FormatError for broken files, ValueError for a
  /// configuration that is missing or does not fit.
  static std::shared_ptr<Vit> load(const std::string& path, const std::string& config_path = "");

  Tensor forward(const Tensor& x) override;
  std::string model_name() const override { return "vit"; }
  io::Json config() const override;
  std::string head_path() const override { return "head"; }

 private:
  Tensor through_blocks(const Tensor& tokens);
  Options options_;

 public:
  Parameter cls_token;
  Parameter pos_embed;
  Child<PatchEmbed> patch_embed;
  Child<Dropout> pos_drop;
  Child<Sequential> blocks{this, "blocks"};
  Child<LayerNorm> norm;
  Child<Linear> head;
};

}  // namespace tern::nn::models
