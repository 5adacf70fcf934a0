#include <cmath>
#include <optional>
#include <string_view>
#include <typeinfo>

#include <tern/core/ops/activation.h>
#include <tern/core/ops/attention.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/feed_forward.h>
#include <tern/core/ops/join.h>
#include <tern/core/ops/linear.h>
#include <tern/core/ops/shape.h>
#include <tern/nn/fused.h>
#include <tern/nn/init.h>
#include <tern/nn/models/config_reader.h>
#include <tern/nn/models/vit.h>

namespace tern::nn::models {
namespace {

constexpr double kDeviation = 0.02;

const VitOptions& checked(const VitOptions& o) {
  TERN_CHECK(o.patch_size >= 1 && o.image_size >= 1 && o.image_size % o.patch_size == 0, ValueError,
             "[Vit] expected a patch_size that divides image_size, got ", o.patch_size, " and ", o.image_size);
  TERN_CHECK(o.num_heads >= 1 && o.width >= 1 && o.width % o.num_heads == 0, ValueError,
             "[Vit] expected num_heads that divide width, got ", o.num_heads, " and ", o.width);
  TERN_CHECK(o.depth >= 1 && o.num_classes >= 1 && o.in_channels >= 1, ValueError,
             "[Vit] expected depth, num_classes and in_channels of at least 1, got ", o.depth, ", ", o.num_classes,
             " and ", o.in_channels);
  TERN_CHECK(static_cast<double>(o.width) * o.mlp_ratio >= 1, ValueError,
             "[Vit] expected mlp_ratio times width of at least 1, got ", o.mlp_ratio, " times ", o.width);
  TERN_CHECK(o.attention_dropout >= 0 && o.attention_dropout < 1, ValueError,
             "[Vit] expected attention_dropout in [0, 1), got ", o.attention_dropout);
  TERN_CHECK(o.drop_path >= 0 && o.drop_path <= 1, ValueError, "[Vit] expected drop_path in [0, 1], got ", o.drop_path);
  return o;
}

int64_t hidden_width(const VitOptions& o) {
  return static_cast<int64_t>(static_cast<double>(o.width) * o.mlp_ratio);
}

LayerNorm::Options layer_norm_of(const VitOptions& o) {
  return {.normalized_shape = {o.width}, .eps = o.norm_eps};
}

// The settings behind timm's names: vit_tiny_patch16_224, deit_base_patch16_384, with or without a suffix after a dot.
std::optional<VitOptions> published(std::string_view architecture) {
  const std::string_view name = architecture.substr(0, architecture.find('.'));
  for (const std::string_view family : {"vit_", "deit_"}) {
    for (const std::string_view size : {"tiny", "small", "base"}) {
      const std::string start = concat(family, size, "_patch");
      if (!name.starts_with(start)) continue;
      const std::string numbers(name.substr(start.size()));
      const size_t between = numbers.find('_');
      const auto number = [](const std::string& text) -> int64_t {
        if (text.empty() || text.size() > 5 || text.find_first_not_of("0123456789") != std::string::npos) return 0;
        return std::stoll(text);
      };
      VitOptions o = Vit::preset(size);
      o.patch_size = number(numbers.substr(0, between));
      o.image_size = between == std::string::npos ? 0 : number(numbers.substr(between + 1));
      if (o.patch_size > 0 && o.image_size > 0) return o;
    }
  }
  return std::nullopt;
}

}  // namespace

PatchEmbed::PatchEmbed(const Options& options)
    : options_(options),
      proj(this, "proj",
           {.in_channels = options.in_channels,
            .out_channels = options.width,
            .kernel_size = options.patch_size,
            .stride = options.patch_size}) {}

Tensor PatchEmbed::forward(const Tensor& x) {
  const int64_t size = options_.image_size;
  TERN_CHECK(x.dim() == 4 && x.size(1) == options_.in_channels && x.size(2) == size && x.size(3) == size, ShapeError,
             "[Vit] expected images [N, ", options_.in_channels, ", ", size, ", ", size, "], got ", x.shape());
  return proj(x).flatten(2).transpose(1, 2);
}

VitAttention::VitAttention(const Options& options)
    : options_(checked(options)),
      qkv(this, "qkv", {.in_features = options.width, .out_features = 3 * options.width, .bias = options.qkv_bias}),
      proj(this, "proj", {.in_features = options.width, .out_features = options.width}),
      proj_drop(this, "proj_drop", {.p = options.dropout}) {}

Tensor VitAttention::forward(const Tensor& x) {
  const Tensor mixed = packed_attention(
      qkv(x), options_.num_heads, {.scale = std::nullopt, .dropout = is_training() ? options_.attention_dropout : 0});
  return proj_drop(proj(mixed));
}

Tensor VitAttention::first_token(const Tensor& x) {
  const int64_t batch = x.size(0), width = options_.width, heads = options_.num_heads;
  const auto [weight, bias] = qkv.within([&] { return std::pair<Tensor, Tensor>(qkv->weight(), qkv->bias()); });
  const auto part = [&, &weight = weight, &bias = bias](const Tensor& tokens, int64_t i) {
    const Tensor b = bias.defined() ? bias.slice(0, i * width, (i + 1) * width) : bias;
    const Tensor y = qkv.within([&] { return linear(tokens, weight.slice(0, i * width, (i + 1) * width), b); });
    return y.reshape({batch, tokens.size(1), heads, width / heads}).transpose(1, 2);
  };
  const Tensor mixed = scaled_dot_product_attention(part(x.slice(1, 0, 1), 0), part(x, 1), part(x, 2));
  return proj(mixed.transpose(1, 2).reshape({batch, 1, width}));
}

int64_t VitAttention::macs(const Shape& input, const Shape&) const {
  return 2 * numel_of(input) * input[1];
}

VitMlp::VitMlp(const Options& options)
    : options_(checked(options)),
      fc1(this, "fc1", {.in_features = options.width, .out_features = hidden_width(options)}),
      fc2(this, "fc2", {.in_features = hidden_width(options), .out_features = options.width}),
      drop(this, "drop", {.p = options.dropout}) {}

Tensor VitMlp::forward(const Tensor& x) {
  const Dropout* plain = drop.plain();
  const bool drops = plain == nullptr || (plain->is_training() && plain->options().p > 0);
  if (!drops) return feed_forward(fc1, fc2, x, Activation::kGelu);
  return drop(fc2(drop(linear_act(fc1, x, Activation::kGelu))));
}

VitBlock::VitBlock(const Options& options)
    : options_(checked(options)),
      norm1(this, "norm1", layer_norm_of(options)),
      attn(this, "attn", options),
      norm2(this, "norm2", layer_norm_of(options)),
      mlp(this, "mlp", options),
      drop_path(this, "drop_path", {.p = options.drop_path}) {}

Tensor VitBlock::forward(const Tensor& x) {
  const ResidualNorm attended = add_norm(norm2, x, drop_path(attn(norm1(x))));
  return add(attended.sum, drop_path(mlp(attended.normalized)));
}

bool VitBlock::is_plain() const {
  const auto off = [](const Child<Dropout>& drop) {
    return drop.plain() != nullptr && (!drop->is_training() || drop->options().p == 0);
  };
  return norm1.plain() != nullptr && norm2.plain() != nullptr && attn.plain() != nullptr && mlp.plain() != nullptr &&
         attn->qkv.plain() != nullptr && attn->proj.plain() != nullptr && off(attn->proj_drop) &&
         (!attn->is_training() || attn->options().attention_dropout == 0) && mlp->fc1.plain() != nullptr &&
         mlp->fc2.plain() != nullptr && off(mlp->drop) && drop_path.plain() != nullptr &&
         (!drop_path->is_training() || drop_path->options().p == 0);
}

Tensor VitBlock::first_token(const Tensor& x) {
  if (!fusion_enabled() || has_hooks() || !is_plain()) return forward(x).select(1, 0);
  const Tensor y = norm1(x);
  const Tensor mixed = attn.within([&] { return attn->first_token(y); });
  const ResidualNorm attended = add_norm(norm2, x.slice(1, 0, 1), mixed);
  return add(attended.sum, mlp(attended.normalized)).select(1, 0);
}

Vit::Vit(const Options& options)
    : options_(checked(options)),
      cls_token(this, "cls_token", empty({1, 1, options.width})),
      pos_embed(this, "pos_embed",
                empty({1, 1 + (options.image_size / options.patch_size) * (options.image_size / options.patch_size),
                       options.width})),
      patch_embed(this, "patch_embed", options),
      pos_drop(this, "pos_drop", {.p = options.dropout}),
      norm(this, "norm", layer_norm_of(options)),
      head(this, "head", {.in_features = options.width, .out_features = options.num_classes}) {
  for (int64_t i = 0; i < options.depth; ++i) {
    VitOptions block = options;
    if (options.depth > 1)
      block.drop_path = options.drop_path * static_cast<double>(i) / static_cast<double>(options.depth - 1);
    blocks->add<VitBlock>(block);
  }
  for (const auto& [name, module] : named_modules()) {
    auto* layer = dynamic_cast<Linear*>(module.get());
    if (layer == nullptr) continue;
    Tensor weight = layer->weight.latent(), bias = layer->bias.latent();
    init::trunc_normal_(weight, 0, kDeviation);
    if (bias.defined()) init::zeros_(bias);
  }
  Tensor token = cls_token.latent(), positions = pos_embed.latent();
  init::normal_(token, 0, 1e-6);
  init::trunc_normal_(positions, 0, kDeviation);
}

Vit::Options Vit::preset(std::string_view name) {
  if (name == "tiny") return {.width = 192, .num_heads = 3};
  if (name == "small") return {.width = 384, .num_heads = 6};
  if (name == "base") return {.width = 768, .num_heads = 12};
  throw ValueError(concat("[Vit] expected a preset of tiny, small or base, got '", name, "'"));
}

// Only the class token is read by the head.
Tensor Vit::through_blocks(const Tensor& tokens) {
  const Sequential* plain = blocks.plain();
  const int64_t before = plain != nullptr ? plain->size() - 1 : -1;
  VitBlock* last = before >= 0 ? (*plain)[before].get_if<VitBlock>() : nullptr;
  if (last == nullptr || typeid(*last) != typeid(VitBlock) || last->has_hooks()) return blocks(tokens).select(1, 0);
  return blocks.within([&] {
    Tensor x = tokens;
    for (int64_t i = 0; i < before; ++i) x = (*plain)[i](x);
    return (*plain)[before].within([&] { return last->first_token(x); });
  });
}

Tensor Vit::forward(const Tensor& x) {
  const Tensor patches = patch_embed(x);
  const Tensor token = cls_token().expand({x.size(0), 1, options_.width});
  const Tensor tokens = pos_drop(add(cat({token, patches}, 1), pos_embed()));
  return head(norm(through_blocks(tokens)));
}

io::Json Vit::config() const {
  const Options& o = options_;
  return io::Json::object({{"image_size", o.image_size},
                           {"patch_size", o.patch_size},
                           {"in_channels", o.in_channels},
                           {"num_classes", o.num_classes},
                           {"width", o.width},
                           {"depth", o.depth},
                           {"num_heads", o.num_heads},
                           {"mlp_ratio", o.mlp_ratio},
                           {"qkv_bias", o.qkv_bias},
                           {"dropout", o.dropout},
                           {"attention_dropout", o.attention_dropout},
                           {"drop_path", o.drop_path},
                           {"norm_eps", o.norm_eps}});
}

Vit::Options Vit::options_from(const io::Json& config) {
  Options o;
  ConfigReader reader("Vit", config);
  reader.read("image_size", o.image_size, 1, 1 << 16);
  reader.read("patch_size", o.patch_size, 1, 1 << 16);
  reader.read("in_channels", o.in_channels, 1, 1 << 16);
  reader.read("num_classes", o.num_classes, 1, 1 << 24);
  reader.read("width", o.width, 1, 1 << 20);
  reader.read("depth", o.depth, 1, 1 << 12);
  reader.read("num_heads", o.num_heads, 1, 1 << 16);
  reader.read("mlp_ratio", o.mlp_ratio, 0, 1024);
  reader.read("qkv_bias", o.qkv_bias);
  reader.read("dropout", o.dropout, 0, 1);
  reader.read("attention_dropout", o.attention_dropout, 0, 1);
  reader.read("drop_path", o.drop_path, 0, 1);
  reader.read("norm_eps", o.norm_eps, 0, 1);
  reader.finish();
  return checked(o);
}

std::shared_ptr<Vit> Vit::load(const std::string& path, const std::string& config_path) {
  const WeightFile file = open_weights("Vit", path, config_path);
  Options o;
  if (const io::Json* architecture = file.config.find("architecture"); architecture != nullptr) {
    const auto preset = published(architecture->as_string());
    TERN_CHECK(preset.has_value(), ValueError, "[Vit] expected an architecture like vit_tiny_patch16_224, got '",
               architecture->as_string(), "'");
    o = *preset;
    if (const io::Json* classes = file.config.find("num_classes")) o.num_classes = classes->as_int();
  } else {
    o = options_from(file.config);
  }
  const init::SkipRandomFills skip;
  auto model = make<Vit>(o);
  model->load_state_dict(file.tensors);
  return model;
}

}  // namespace tern::nn::models
