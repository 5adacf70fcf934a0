#include <algorithm>
#include <cmath>
#include <memory>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/linalg/blas.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/linear.h>
#include <tern/core/ops/matmul.h>
#include <tern/core/ops/shape.h>
#include <tern/nn/init.h>
#include <tern/nn/parametrization.h>
#include <tern/nn/places.h>
#include <tern/quant/bitnet/lrc.h>
#include <tern/quant/capture.h>
#include <tern/quant/packed/ternary.h>

namespace tern::quant::bitnet {
namespace {

void check_rank(const char* op, int64_t rank, int64_t in, int64_t out) {
  TERN_CHECK(rank >= 1 && rank <= std::min(in, out), ValueError, "[", op, "] expected a rank in [1, ",
             std::min(in, out), "], got ", rank);
}

const BitLinearLrc::Options& checked(const BitLinearLrc::Options& o) {
  check_rank("BitLinearLrc", o.rank, o.layer.in_features, o.layer.out_features);
  TERN_CHECK(o.keep_weight || !o.trainable_weight, ValueError,
             "[BitLinearLrc] expected keep_weight where the weight is to train, got false");
  TERN_CHECK(o.keep_weight || o.layer.quantize_weight, ValueError,
             "[BitLinearLrc] expected keep_weight where the weight is not quantized, got false");
  return o;
}

LrcFactors as_type(const Tensor& u, const Tensor& v, DType dtype) {
  return {u.to(dtype), v.to(dtype)};
}

struct Chosen {
  std::string path;
  std::shared_ptr<BitLinear> layer;
  int64_t rank = 0;
  Tensor inputs = {};  // for kActivationSvd: tokens that the layer's product was given in calibration
};

void collect_inputs(nn::Module& model, std::vector<Chosen>& chosen, const LrcOptions& options) {
  TERN_CHECK(options.calibrate != nullptr, ValueError,
             "[convert_to_lrc] expected a function `calibrate` for activation_svd, got none");
  CaptureOptions capture{.rule = MatchRule::kGlob,
                         .reservoir = options.calibration_tokens,
                         .view = [](nn::Module& module, const Tensor& x) {
                           auto& layer = static_cast<BitLinear&>(module);
                           return layer.subln.has_value() ? (*layer.subln)(x) : x;
                         }};
  for (const Chosen& c : chosen) capture.layers.push_back(c.path);
  const Capture seen(model, capture);
  {
    const NoGradGuard no_grad;
    options.calibrate(model);
  }
  for (Chosen& c : chosen) {
    try {
      c.inputs = seen.at(c.path).sample();
    } catch (const StateError&) {
      throw ValueError(concat("[convert_to_lrc] expected calibration to reach every layer, got nothing for ", c.path));
    }
  }
}

LrcFactors start(const Chosen& c, const LrcOptions& options) {
  const BitLinear& layer = *c.layer;
  const int64_t in = layer.options().in_features, out = layer.options().out_features;
  const Tensor weight = c.layer->weight().detach();
  switch (options.init) {
    case LrcInit::kSvdResidual:
      return svd_residual(weight, c.rank);
    case LrcInit::kActivationSvd:
      return activation_svd(weight, c.inputs, c.rank);
    case LrcInit::kZeros:
      return {zeros({out, c.rank}, weight.dtype()), zeros({in, c.rank}, weight.dtype())};
    case LrcInit::kKaiming:
      break;
  }
  Tensor v = empty({in, c.rank}, weight.dtype());
  const double bound = 1 / std::sqrt(static_cast<double>(in));
  fill_uniform(v, -bound, bound);
  return {zeros({out, c.rank}, weight.dtype()), v};
}

// The layer but for the tensors that it shares with the one before, which share_tensors() adds.
std::shared_ptr<BitLinearLrc> corrected(const Chosen& c, const LrcOptions& options, const LrcFactors& factors) {
  BitLinear& from = *c.layer;
  const auto layer = nn::make<BitLinearLrc>({.layer = from.options(),
                                             .rank = c.rank,
                                             .trainable_weight = options.trainable_weight,
                                             .keep_weight = options.keep_weight});
  if (!options.keep_weight) {
    const Ternary& ternary = from.ternary();
    layer->weight_packed.set(packed::pack(ternary.codes, 1, packed::pack2_block128).bytes);
    layer->weight_scale.set(full({}, ternary.scale, from.weight.latent().dtype()));
  }
  if (from.subln.has_value()) layer->subln->set(from.subln->module());
  layer->lrc_u.set(factors.u);
  layer->lrc_v.set(factors.v);
  layer->train(from.is_training());
  return layer;
}

// The same weight and bias tensors, so that an optimizer that holds them follows.
void share_tensors(const BitLinear& from, BitLinearLrc& to) {
  if (to.weight.defined()) to.weight.set(from.weight.latent());
  if (to.bias.defined()) to.bias.set(from.bias.latent());
}

bool is_factor(std::string_view name) {
  return name.ends_with("lrc_U") || name.ends_with("lrc_V");
}

}  // namespace

LrcFactors svd_residual(const Tensor& weight, int64_t rank) {
  check_defined("svd_residual", weight);
  TERN_CHECK(weight.dim() == 2, ShapeError, "[svd_residual] expected a weight [out, in], got ", weight.shape());
  const int64_t out = weight.size(0), in = weight.size(1), all = std::min(in, out);
  check_rank("svd_residual", rank, in, out);
  const NoGradGuard no_grad;
  const Ternary ternary = ternarize(weight);
  Tensor residual = sub(weight.to(DType::kF64), dequantize(ternary, weight.dtype()).to(DType::kF64)).contiguous();
  Tensor u = empty({out, all}, DType::kF64), s = empty({all}, DType::kF64), vt = empty({all, in}, DType::kF64);
  blas::svd(out, in, residual.data<double>(), u.data<double>(), s.data<double>(), vt.data<double>());
  const Tensor roots = sqrt(s.slice(0, 0, rank));
  return as_type(mul(u.slice(1, 0, rank), roots), mul(vt.slice(0, 0, rank).transpose(0, 1), roots), weight.dtype());
}

LrcFactors activation_svd(const Tensor& weight, const Tensor& tokens, int64_t rank, double ridge) {
  constexpr const char* kName = "activation_svd";
  check_defined(kName, weight, tokens);
  TERN_CHECK(weight.dim() == 2 && tokens.dim() == 2 && tokens.size(1) == weight.size(1), ShapeError, "[", kName,
             "] expected a weight [out, in] and tokens [n, in], got ", weight.shape(), " and ", tokens.shape());
  TERN_CHECK(ridge >= 0, ValueError, "[", kName, "] expected a ridge of at least 0, got ", ridge);
  const int64_t out = weight.size(0), in = weight.size(1);
  check_rank(kName, rank, in, out);
  const NoGradGuard no_grad;
  const Tensor x = tokens.to(DType::kF64), w = weight.to(DType::kF64);
  const Tensor quantized_w = dequantize(ternarize(weight), weight.dtype()).to(DType::kF64),
               quantized_x = dequantize(quantize_tokens(tokens)).to(DType::kF64);
  const Tensor error = sub(linear(x, w), linear(quantized_x, quantized_w));  // [n, out]
  Tensor gram = matmul(x.transpose(0, 1), x).contiguous();                   // X^T X
  double diagonal = 0;
  for (int64_t i = 0; i < in; ++i) diagonal += gram.data<double>()[i * in + i];
  TERN_CHECK(diagonal > 0, ValueError, "[", kName, "] expected tokens that are not all zero, got ", tokens.size(0),
             " of zeros");
  for (int64_t i = 0; i < in; ++i) gram.data<double>()[i * in + i] += ridge * diagonal / static_cast<double>(in);
  Tensor map = matmul(error.transpose(0, 1), x).contiguous();  // E^T X, then M
  Tensor factorized = gram.clone();
  blas::solve_positive(in, out, factorized.data<double>(), map.data<double>());
  Tensor vectors = matmul(matmul(map, gram), map.transpose(0, 1)).contiguous(), values = empty({out}, DType::kF64);
  blas::symmetric_eigen(out, vectors.data<double>(), values.data<double>());
  const Tensor u = vectors.slice(0, out - rank, out).transpose(0, 1);
  return as_type(u, matmul(map.transpose(0, 1), u), weight.dtype());
}

BitLinearLrc::BitLinearLrc(const Options& options)
    : options_(checked(options)),
      weight(this, "weight",
             options.keep_weight ? empty({options.layer.out_features, options.layer.in_features}) : Tensor(),
             options.trainable_weight),
      bias(this, "bias", options.layer.bias ? empty({options.layer.out_features}) : Tensor(), options.trainable_weight),
      lrc_u(this, "lrc_U", zeros({options.layer.out_features, options.rank})),
      lrc_v(this, "lrc_V", empty({options.layer.in_features, options.rank})),
      weight_packed(this, "weight_packed",
                    options.keep_weight
                        ? Tensor()
                        : packed::pack(zeros({options.layer.out_features, options.layer.in_features}, DType::kI8), 1,
                                       packed::pack2_block128)
                              .bytes),
      weight_scale(this, "weight_scale", options.keep_weight ? Tensor() : full({}, packed::kMinScale)) {
  const NoGradGuard no_grad;
  Tensor w = weight.latent(), b = bias.latent(), v = lrc_v.latent();
  const double bound = 1 / std::sqrt(static_cast<double>(options.layer.in_features));
  if (w.defined()) fill_uniform(w, -bound, bound);
  if (b.defined()) fill_uniform(b, -bound, bound);
  fill_uniform(v, -bound, bound);
  if (options.layer.subln)
    subln.emplace(this, "subln",
                  nn::RMSNorm::Options{.dim = options.layer.in_features,
                                       .eps = options.layer.subln_eps,
                                       .elementwise_affine = options.layer.subln_affine});
}

const Ternary& BitLinearLrc::ternary() {
  if (options_.keep_weight) return codes_.of(weight());
  return codes_.of(weight_packed(), weight_scale(), options_.layer.in_features);
}

Tensor BitLinearLrc::forward(const Tensor& given) {
  const BitLinear::Options& o = options_.layer;
  const Tensor x = subln.has_value() ? (*subln)(given) : given;
  const Tensor y = !options_.keep_weight
                       ? bit_linear(x, ternary(), bias(), o.quantize_activation)
                       : bit_linear(x, weight(), bias(), {o.quantize_weight, o.quantize_activation, 1},
                                    o.quantize_weight ? &ternary() : nullptr);
  return add(y, linear(matmul(x, lrc_v()), lrc_u()));
}

std::string BitLinearLrc::extra_text() const {
  return concat(options_.layer.in_features, ", ", options_.layer.out_features, ", rank=", options_.rank,
                options_.layer.subln ? ", subln" : "", options_.trainable_weight ? ", trainable_weight" : "");
}

int64_t BitLinearLrc::macs(const Shape&, const Shape& output) const {
  const BitLinear::Options& o = options_.layer;
  return numel_of(output) * o.in_features +
         numel_of(output) / o.out_features * options_.rank * (o.in_features + o.out_features);
}

int64_t rank_of(const BitLinear::Options& layer, const LrcOptions& options) {
  if (options.rank > 0) return options.rank;
  const auto least = static_cast<double>(std::min(layer.in_features, layer.out_features));
  return std::max<int64_t>(1, static_cast<int64_t>(std::floor(options.rank_percentage * least)));
}

LrcReport convert_to_lrc(nn::Module& model, const LrcOptions& options) {
  constexpr const char* kName = "convert_to_lrc";
  TERN_CHECK(options.rank >= 0, ValueError, "[", kName, "] expected a rank of at least 0, got ", options.rank);
  TERN_CHECK(options.rank > 0 || (options.rank_percentage > 0 && options.rank_percentage <= 1), ValueError, "[", kName,
             "] expected rank_percentage in (0, 1], got ", options.rank_percentage);
  TERN_CHECK(options.calibration_tokens >= 1, ValueError, "[", kName,
             "] expected calibration_tokens of at least 1, got ", options.calibration_tokens);
  LrcReport report;
  std::vector<Chosen> chosen;
  Patterns exclusions(options.exclude, MatchRule::kName);
  for (const auto& [module, paths] : nn::module_places(model)) {
    const std::string& path = paths[0];
    if (const auto* before = dynamic_cast<const BitLinearLrc*>(module.get()); before != nullptr && !path.empty())
      report.before.emplace_back(path, before->rank());
    const auto layer = std::dynamic_pointer_cast<BitLinear>(module);
    if (path.empty() || layer == nullptr) continue;
    std::string reason;
    if (const std::string pattern = exclusions.match(paths, layer->type_name()); !pattern.empty())
      reason = concat("excluded by \"", pattern, "\"");
    for (const nn::Parameter* parameter : {&layer->weight, &layer->bias})
      if (reason.empty() && parameter->is_tied()) reason = concat("its ", parameter->name(), " is tied to another");
    if (!reason.empty()) {
      report.left.push_back({path, reason});
      continue;
    }
    for (const nn::Parameter* parameter : {&layer->weight, &layer->bias})
      TERN_CHECK(parameter->parametrization() == nullptr, StateError, "[", kName, "] the ", parameter->name(), " of ",
                 path, " has the parametrization \"", parameter->parametrization()->name(), "\"; detach it first");
    const int64_t least = std::min(layer->options().in_features, layer->options().out_features),
                  rank = rank_of(layer->options(), options);
    TERN_CHECK(rank <= least, ValueError, "[", kName, "] expected a rank of at most ", least, " for ", path, ", got ",
               rank);
    chosen.push_back({.path = path, .layer = layer, .rank = rank});
  }
  exclusions.check_all_used(kName, "exclusions that match a BitLinear layer");
  TERN_CHECK(!chosen.empty() || !report.before.empty(), ValueError, "[", kName,
             "] expected a model with BitLinear layers, got a ", model.type_name(),
             report.left.empty() ? " without; convert() a float model first" : " with all of them left out");
  if (options.init == LrcInit::kActivationSvd && !chosen.empty()) collect_inputs(model, chosen, options);
  std::vector<std::shared_ptr<BitLinearLrc>> layers;  // all made before any is put in its place
  for (const Chosen& c : chosen)
    layers.push_back(in_module(c.path, [&] { return corrected(c, options, start(c, options)); }));
  for (size_t i = 0; i < chosen.size(); ++i) {
    share_tensors(*chosen[i].layer, *layers[i]);
    model.replace_everywhere(chosen[i].path, layers[i]);
    report.converted.emplace_back(chosen[i].path, chosen[i].rank);
  }
  return report;
}

FreezeReport freeze_except_lrc(nn::Module& model) {
  FreezeReport report;
  const nn::NamedTensors parameters = model.named_parameters();
  TERN_CHECK(std::any_of(parameters.begin(), parameters.end(), [](const auto& p) { return is_factor(p.first); }),
             ValueError, "[freeze_except_lrc] expected a model with low-rank corrections, got a ", model.type_name(),
             " without");
  for (const auto& [name, parameter] : parameters) {
    Tensor tensor = parameter;
    tensor.requires_grad_(is_factor(name));
    (is_factor(name) ? report.trainable : report.frozen) += tensor.numel();
  }
  return report;
}

LrcStats lrc_stats(const nn::Module& model) {
  LrcStats stats;
  for (const auto& [path, module] : model.named_modules()) {
    const auto* const layer = dynamic_cast<const BitLinearLrc*>(module.get());
    if (layer == nullptr) continue;
    const BitLinear::Options& o = layer->options().layer;
    ++stats.layers;
    stats.ranks.push_back(layer->rank());
    stats.factor_elements += layer->lrc_u.latent().numel() + layer->lrc_v.latent().numel();
    for (const nn::Parameter* p : {&layer->weight, &layer->bias})
      if (p->defined() && !p->latent().requires_grad()) stats.frozen_elements += p->latent().numel();
    if (layer->weight_packed.defined()) stats.frozen_elements += o.out_features * o.in_features;
  }
  for (const int64_t rank : stats.ranks)
    stats.mean_rank += static_cast<double>(rank) / static_cast<double>(stats.layers);
  return stats;
}

}  // namespace tern::quant::bitnet
