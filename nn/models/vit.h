// Vision transformers (Dosovitskiy et al., arXiv 2010.11929), pre-norm, as timm has them.
#pragma once

#include <memory>
#include <string>

#include <tern/nn/containers.h>
#include <tern/nn/conv2d.h>
#include <tern/nn/linear.h>
#include <tern/nn/norms.h>

namespace tern::nn::models {

/// Multi-head self-attention with one matrix for queries, keys and values (timm's qkv: the three stacked, each split in heads).
/// x: [N, T, width]; result: the same.
class VitAttention : public Module {
 public:
  struct Options {
    int64_t width = 192;
    int64_t num_heads = 3;
    double dropout = 0.0;  ///< after the projection
  };
  explicit VitAttention(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override;

 private:
  Options options_;

 public:
  Child<Linear> qkv;
  Child<Linear> proj;
};

/// fc2(gelu(fc1(x))), GELU by erf. x: [..., width]; result: the same.
class VitMlp : public Module {
 public:
  struct Options {
    int64_t width = 192;
    int64_t hidden = 768;
    double dropout = 0.0;
  };
  explicit VitMlp(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override;

 private:
  Options options_;

 public:
  Child<Linear> fc1;
  Child<Linear> fc2;
};

/// x + attn(norm1(x)), then x + mlp(norm2(x)).
class VitBlock : public Module {
 public:
  struct Options {
    int64_t width = 192;
    int64_t num_heads = 3;
    int64_t mlp_hidden = 768;
    double norm_eps = 1e-6;
    double dropout = 0.0;
    double drop_path = 0.0;  ///< probability that a branch is dropped for an example
  };
  explicit VitBlock(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override;

 private:
  Tensor branch(const Tensor& y) const;
  Options options_;

 public:
  Child<LayerNorm> norm1;
  Child<VitAttention> attn;
  Child<LayerNorm> norm2;
  Child<VitMlp> mlp;
};

/// Patches by a strided convolution, a class token, learned positions, `depth` blocks, a norm, a linear layer on the class token.
/// x: [N, in_channels, image_size, image_size]; result: [N, num_classes]. Parameter names are timm's (cls_token, pos_embed,
/// patch_embed.proj, blocks.0.attn.qkv, ..., norm, head). Weights start as timm's: truncated normal 0.02, biases zero.
class Vit : public Module {
 public:
  struct Options {
    int64_t image_size = 224;
    int64_t patch_size = 16;
    int64_t in_channels = 3;
    int64_t num_classes = 1000;
    int64_t width = 192;
    int64_t depth = 12;
    int64_t num_heads = 3;
    double mlp_ratio = 4.0;
    double norm_eps = 1e-6;
    double dropout = 0.0;
    double drop_path = 0.0;  ///< of the last block; rises linearly from 0 at the first
  };
  /// Throws ValueError where patch_size does not divide image_size, num_heads does not divide width, or a rate is out of range.
  explicit Vit(const Options& options);
  const Options& options() const { return options_; }
  Tensor forward(const Tensor& x) override;

  /// The published sizes at 16 x 16 patches of 224 x 224 images: "tiny" (width 192, 3 heads), "small" (384, 6), "base" (768, 12).
  /// Throws ValueError for another name.
  static Options preset(const std::string& name);
  /// Weights under timm's names, with the settings from a JSON file with the names of Options (those it lacks keep their defaults).
  /// Throws IoError, FormatError, ValueError (unknown setting, names that do not fit).
  static std::shared_ptr<Vit> load(const std::string& weights, const std::string& config);

 private:
  struct PatchEmbed : Module {
    explicit PatchEmbed(const Options& options);
    Tensor forward(const Tensor& x) override;  // [N, C, H, W] -> [N, patches, width]
    std::shared_ptr<Module> new_like() const override;
    Options options;
    Child<Conv2d> proj;
  };
  Options options_;

 public:
  Parameter cls_token;
  Parameter pos_embed;
  Child<PatchEmbed> patch_embed;
  Child<Sequential> blocks;
  Child<LayerNorm> norm;
  Child<Linear> head;
};

}  // namespace tern::nn::models
