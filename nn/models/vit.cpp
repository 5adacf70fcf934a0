#include <tern/nn/models/vit.h>

#include <cmath>

#include <tern/core/activation.h>
#include <tern/core/attention.h>
#include <tern/core/autograd/autograd.h>
#include <tern/core/dropout.h>
#include <tern/core/io/json.h>
#include <tern/core/io/safetensors.h>
#include <tern/core/join.h>
#include <tern/core/operators.h>
#include <tern/core/shape.h>
#include <tern/nn/init.h>

namespace tern::nn::models {
namespace {

const Vit::Options& checked(const Vit::Options& o) {
  TERN_CHECK(o.patch_size >= 1 && o.image_size >= 1 && o.image_size % o.patch_size == 0, ValueError,
             "[Vit] expected a patch_size that divides image_size ", o.image_size, ", got ", o.patch_size);
  TERN_CHECK(o.num_heads >= 1 && o.width >= 1 && o.width % o.num_heads == 0, ValueError,
             "[Vit] expected num_heads that divide width ", o.width, ", got ", o.num_heads);
  TERN_CHECK(o.depth >= 0, ValueError, "[Vit] expected a depth of at least 0, got ", o.depth);
  TERN_CHECK(o.dropout >= 0 && o.dropout < 1, ValueError, "[Vit] expected dropout in [0, 1), got ", o.dropout);
  TERN_CHECK(o.drop_path >= 0 && o.drop_path < 1, ValueError, "[Vit] expected drop_path in [0, 1), got ", o.drop_path);
  TERN_CHECK(o.mlp_ratio > 0, ValueError, "[Vit] expected mlp_ratio above 0, got ", o.mlp_ratio);
  return o;
}

int64_t patches(const Vit::Options& o) { return (o.image_size / o.patch_size) * (o.image_size / o.patch_size); }

Tensor maybe_dropout(const Tensor& x, double p, bool training) { return p > 0 ? dropout(x, p, training) : x; }

}  // namespace

VitAttention::VitAttention(const Options& options)
    : options_(options),
      qkv(this, "qkv", {.in_features = options.width, .out_features = 3 * options.width}),
      proj(this, "proj", {.in_features = options.width, .out_features = options.width}) {}

Tensor VitAttention::forward(const Tensor& x) {
  const int64_t n = x.size(0), t = x.size(1), heads = options_.num_heads, head_dim = options_.width / heads;
  const Tensor packed = qkv(x).reshape({n, t, 3, heads, head_dim}).permute({2, 0, 3, 1, 4});  // [3, N, heads, T, head_dim]
  const Tensor attended = scaled_dot_product_attention(packed[0], packed[1], packed[2]);
  return maybe_dropout(proj(attended.transpose(1, 2).reshape({n, t, options_.width})), options_.dropout, is_training());
}

VitMlp::VitMlp(const Options& options)
    : options_(options),
      fc1(this, "fc1", {.in_features = options.width, .out_features = options.hidden}),
      fc2(this, "fc2", {.in_features = options.hidden, .out_features = options.width}) {}

Tensor VitMlp::forward(const Tensor& x) {
  const Tensor hidden = maybe_dropout(gelu(fc1(x)), options_.dropout, is_training());
  return maybe_dropout(fc2(hidden), options_.dropout, is_training());
}

VitBlock::VitBlock(const Options& options)
    : options_(options),
      norm1(this, "norm1", {.normalized_shape = {options.width}, .eps = options.norm_eps}),
      attn(this, "attn", {.width = options.width, .num_heads = options.num_heads, .dropout = options.dropout}),
      norm2(this, "norm2", {.normalized_shape = {options.width}, .eps = options.norm_eps}),
      mlp(this, "mlp", {.width = options.width, .hidden = options.mlp_hidden, .dropout = options.dropout}) {}

Tensor VitBlock::branch(const Tensor& y) const {
  return options_.drop_path > 0 ? drop_path(y, options_.drop_path, is_training()) : y;
}

Tensor VitBlock::forward(const Tensor& x) {
  const Tensor y = x + branch(attn(norm1(x)));
  return y + branch(mlp(norm2(y)));
}

Vit::PatchEmbed::PatchEmbed(const Options& o)
    : options(o),
      proj(this, "proj",
           {.in_channels = o.in_channels, .out_channels = o.width, .kernel_size = o.patch_size, .stride = o.patch_size}) {}

Tensor Vit::PatchEmbed::forward(const Tensor& x) {
  TERN_CHECK(x.dim() == 4 && x.size(2) == options.image_size && x.size(3) == options.image_size, ShapeError,
             "[Vit] expected images [N, ", options.in_channels, ", ", options.image_size, ", ", options.image_size, "], got ",
             x.shape());
  return flatten(proj(x), 2).transpose(1, 2);
}

std::shared_ptr<Module> Vit::PatchEmbed::new_like() const { return std::make_shared<PatchEmbed>(options); }

Vit::Vit(const Options& options)
    : options_(checked(options)),
      cls_token(this, "cls_token", empty({1, 1, options.width}).fill_(0)),
      pos_embed(this, "pos_embed", empty({1, 1 + patches(options), options.width})),
      patch_embed(this, "patch_embed", std::make_shared<PatchEmbed>(options)),
      blocks(this, "blocks"),
      norm(this, "norm", {.normalized_shape = {options.width}, .eps = options.norm_eps}),
      head(this, "head", {.in_features = options.width, .out_features = options.num_classes}) {
  for (int64_t i = 0; i < options.depth; ++i)
    blocks->add<VitBlock>(
        {.width = options.width,
         .num_heads = options.num_heads,
         .mlp_hidden = static_cast<int64_t>(std::llround(static_cast<double>(options.width) * options.mlp_ratio)),
         .norm_eps = options.norm_eps,
         .dropout = options.dropout,
         .drop_path = options.depth > 1 ? options.drop_path * static_cast<double>(i) / static_cast<double>(options.depth - 1)
                                        : options.drop_path});
  const NoGradGuard no_grad;
  Tensor positions = pos_embed.latent(), token = cls_token.latent();
  init::trunc_normal_(positions, 0, 0.02);
  init::normal_(token, 0, 1e-6);
  apply([](Module& module) {
    auto* layer = dynamic_cast<Linear*>(&module);
    if (layer == nullptr) return;
    Tensor weight = layer->weight.latent(), bias = layer->bias.latent();
    init::trunc_normal_(weight, 0, 0.02);
    init::zeros_(bias);
  });
}

Tensor Vit::forward(const Tensor& x) {
  const Tensor tokens = patch_embed(x);
  const Tensor token = cls_token().expand({tokens.size(0), 1, options_.width});
  const Tensor embedded = maybe_dropout(cat({token, tokens}, 1) + pos_embed(), options_.dropout, is_training());
  return head(norm(blocks(embedded)).select(1, 0));
}

Vit::Options Vit::preset(const std::string& name) {
  Options options;
  if (name == "tiny") return options;
  if (name == "small") {
    options.width = 384;
    options.num_heads = 6;
  } else if (name == "base") {
    options.width = 768;
    options.num_heads = 12;
  } else {
    throw ValueError(concat("[Vit] expected a preset of tiny, small or base, got ", name));
  }
  return options;
}

std::shared_ptr<Vit> Vit::load(const std::string& weights, const std::string& config) {
  const io::Json settings = io::Json::parse_file("Vit::load", config);
  Options o;
  for (const auto& [key, value] : settings.members()) {
    if (key == "architecture") continue;
    else if (key == "image_size") o.image_size = value.as_int();
    else if (key == "patch_size") o.patch_size = value.as_int();
    else if (key == "in_channels") o.in_channels = value.as_int();
    else if (key == "num_classes") o.num_classes = value.as_int();
    else if (key == "width") o.width = value.as_int();
    else if (key == "depth") o.depth = value.as_int();
    else if (key == "num_heads") o.num_heads = value.as_int();
    else if (key == "mlp_ratio") o.mlp_ratio = value.as_number();
    else if (key == "norm_eps") o.norm_eps = value.as_number();
    else if (key == "dropout") o.dropout = value.as_number();
    else if (key == "drop_path") o.drop_path = value.as_number();
    else throw ValueError(concat("[Vit::load] '", config, "' has an unknown setting \"", key, "\""));
  }
  auto model = make<Vit>(o);
  const io::SafetensorsContent content = io::load_safetensors(weights);
  NamedTensors state;
  for (const auto& [name, tensor] : content.tensors) state.emplace_back(name, tensor);
  model->load_state_dict(state);
  return model;
}

}  // namespace tern::nn::models
