#include <algorithm>
#include <cmath>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/quant/kernels/ternary_gemm.h>
#include <tern/quant/packed/linear.h>

namespace tern::quant::packed {
namespace {

constexpr const char* kOp = "packed_linear";

Shape with_last(const Shape& shape, int64_t last) {
  Shape out = shape;
  out[shape.size() - 1] = last;
  return out;
}

void check_no_gradient(const Tensor& x, const char* what) {
  TERN_CHECK(!grad_enabled() || !x.defined() || !x.requires_grad(), StateError, "[", kOp, "] expected ", what,
             " that needs no gradient, for none goes through integers, got one that requires it (NoGradGuard switches "
             "recording off)");
}

void check_bias(const char* op, const Tensor& bias, int64_t out_features) {
  TERN_CHECK(bias.dtype() == DType::kF32, DTypeError, "[", op, "] expected a bias of dtype f32, got ", bias.dtype());
  TERN_CHECK(bias.shape() == Shape{out_features}, ShapeError, "[", op, "] expected a bias ", Shape{out_features},
             ", got ", bias.shape());
}

// The kernel's arguments but for the weight and the results.
kernels::TernaryProduct product_of(const char* op, const TokenCodes& tokens, int64_t out, int64_t in) {
  check_defined(op, tokens.codes, tokens.gamma, tokens.sums);
  TERN_CHECK(tokens.features() == in, ShapeError, "[", op, "] expected activations of width ", in, ", got ",
             tokens.features());
  TERN_CHECK(in <= kMaxInFeatures, ShapeError, "[", op, "] expected rows of at most ", kMaxInFeatures, ", got ", in);
  kernels::TernaryProduct p;
  p.tokens = tokens.gamma.numel();
  p.rows = out;
  p.n = in;
  p.width = kernels::padded_codes(in);
  TERN_CHECK(tokens.is_padded(), ValueError, "[", op,
             "] expected tokens as quantize_tokens() leaves them, got codes with strides ", tokens.codes.strides());
  p.x = tokens.codes.data<int8_t>();
  p.x_sums = tokens.sums.data<int32_t>();
  return p;
}

kernels::TernaryProduct product_of(const TokenCodes& tokens, const PackedTernary& w) {
  TERN_CHECK(w.format == kExecutionFormat, ValueError, "[", kOp, "] expected a weight in ", kExecutionFormat, ", got ",
             w.format, " (repack() converts it)");
  check_defined(kOp, w.bytes);
  TERN_CHECK(w.bytes.dtype() == DType::kU8, DTypeError, "[", kOp, "] expected a weight of u8 bytes, got ",
             w.bytes.dtype());
  const Shape wanted{w.out_features, bytes_per_row(w.format, w.in_features)};
  TERN_CHECK(w.bytes.shape() == wanted && w.bytes.is_contiguous(), ShapeError, "[", kOp, "] expected a weight's bytes ",
             wanted, " row by row, got ", w.bytes.shape());
  kernels::TernaryProduct p = product_of(kOp, tokens, w.out_features, w.in_features);
  p.w = w.bytes.data<uint8_t>();
  return p;
}

// y of a product without results.
Tensor run_product(const char* op, kernels::TernaryProduct p, const TokenCodes& tokens, float scale,
                   const Tensor& bias) {
  TERN_CHECK(tokens.gamma.dtype() == DType::kF32, DTypeError, "[", op, "] expected an input of dtype f32, got ",
             tokens.gamma.dtype());
  Tensor dense_bias;
  if (bias.defined()) {
    check_bias(op, bias, p.rows);
    dense_bias = bias.contiguous();
    p.bias = dense_bias.data<float>();
  }
  p.gamma = tokens.gamma.data<float>();
  p.scale = scale;
  Tensor y = empty(with_last(tokens.codes.shape(), p.rows));
  p.y = y.data<float>();
  TERN_INT_KERNEL(ternary_product)(p);
  return y;
}

}  // namespace

Tensor ternary_sums(const TokenCodes& tokens, const PackedTernary& weight) {
  kernels::TernaryProduct p = product_of(tokens, weight);
  Tensor out = empty(with_last(tokens.codes.shape(), p.rows), DType::kI32);
  p.sums = out.data<int32_t>();
  TERN_INT_KERNEL(ternary_product)(p);
  return out;
}

Tensor ternary_linear(const TokenCodes& tokens, const Tensor& codes, float scale, const Tensor& bias, const char* op) {
  check_defined(op, codes);
  TERN_CHECK(codes.dtype() == DType::kI8, DTypeError, "[", op, "] expected codes of dtype i8, got ", codes.dtype());
  TERN_CHECK(codes.dim() == 2, ShapeError, "[", op, "] expected codes [out_features, in_features], got ",
             codes.shape());
  const Tensor dense = codes.contiguous();
  kernels::TernaryProduct p = product_of(op, tokens, dense.size(0), dense.size(1));
  p.codes = dense.data<int8_t>();
  return run_product(op, p, tokens, scale, bias);
}

Tensor packed_linear(const Tensor& x, const PackedTernary& weight, const Tensor& bias,
                     const std::optional<TokenNorm>& norm) {
  check_defined(kOp, x);
  check_no_gradient(x, "an input");
  check_no_gradient(bias, "a bias");
  if (norm) check_no_gradient(norm->weight, "a norm's weight");
  TERN_CHECK(x.dtype() == DType::kF32, DTypeError, "[", kOp, "] expected an input of dtype f32, got ", x.dtype());
  const TokenCodes tokens = quantize_tokens(x, norm);
  return run_product(kOp, product_of(tokens, weight), tokens, weight.scale, bias);
}

// -- PackedTernaryLinear

namespace {

const PackedTernaryLinear::Options& checked(const PackedTernaryLinear::Options& o) {
  TERN_CHECK(o.in_features >= 1 && o.in_features <= kMaxInFeatures && o.out_features >= 1, ValueError,
             "[PackedTernaryLinear] expected in_features from 1 to ", kMaxInFeatures,
             " and out_features of at least 1, got ", o.in_features, " and ", o.out_features);
  TERN_CHECK(std::isfinite(o.subln_eps) && o.subln_eps >= 0, ValueError,
             "[PackedTernaryLinear] expected a subln_eps that is finite and at least 0, got ", o.subln_eps);
  return o;
}

constexpr int kFourZeros = 0x55;  // four weights of zero, in any format of two bits

Tensor zero_weights(const PackedTernaryLinear::Options& o) {
  return empty({o.out_features, bytes_per_row(kExecutionFormat, o.in_features)}, DType::kU8).fill_(kFourZeros);
}

}  // namespace

PackedTernaryLinear::PackedTernaryLinear(const Options& options)
    : options_(checked(options)),
      weight_packed(this, "weight_packed", zero_weights(options)),
      weight_scale(this, "weight_scale", empty({}).fill_(1)),
      bias(this, "bias", options.bias ? empty({options.out_features}).zero_() : Tensor()) {
  if (options.subln) {
    subln.emplace(this, "subln", nn::RMSNorm::Options{.dim = options.in_features, .eps = options.subln_eps});
    (*subln)->requires_grad_(false);
  }
}

PackedTernary PackedTernaryLinear::weight() const {
  return {kExecutionFormat, options_.out_features, options_.in_features, weight_packed(), weight_scale().item<float>()};
}

void PackedTernaryLinear::set_weight(const PackedTernary& weight) {
  TERN_CHECK(weight.out_features == options_.out_features && weight.in_features == options_.in_features, ShapeError,
             "[PackedTernaryLinear] expected a weight of ", options_.out_features, " x ", options_.in_features,
             ", got ", weight.out_features, " x ", weight.in_features);
  const PackedTernary own = repack(weight, kExecutionFormat);
  weight_packed().copy_(own.bytes);
  weight_scale().fill_(own.scale);
}

void PackedTernaryLinear::set_bias(const Tensor& values) {
  TERN_CHECK(bias.defined(), StateError, "[PackedTernaryLinear] expected a module with a bias, got one without");
  check_defined("PackedTernaryLinear", values);
  check_bias("PackedTernaryLinear", values, options_.out_features);
  for (const float v : values.to_vector<float>())
    TERN_CHECK(std::isfinite(v), NonFiniteError, "[PackedTernaryLinear] expected a finite bias, got ", v);
  NoGradGuard no_grad;
  bias().copy_(values);
}

// Looks at the bytes once for every time that they were written.
void PackedTernaryLinear::check_state() {
  const Tensor &bytes = weight_packed(), &scale = weight_scale();
  if (checked_bytes_.is_of(bytes) && checked_scale_.is_of(scale)) return;
  check(weight());
  checked_bytes_ = TensorStamp(bytes);
  checked_scale_ = TensorStamp(scale);
}

Tensor PackedTernaryLinear::forward(const Tensor& x) {
  check_state();
  if (!subln) return packed_linear(x, weight(), bias());
  const nn::RMSNorm* norm = subln->plain();
  if (norm == nullptr) return packed_linear((*subln)(x), weight(), bias());  // replaced, or with hooks
  return packed_linear(x, weight(), bias(), TokenNorm{.weight = norm->weight(), .eps = norm->options().eps});
}

std::string PackedTernaryLinear::extra_text() const {
  return concat(options_.in_features, ", ", options_.out_features, options_.bias ? "" : ", bias=false",
                options_.subln ? ", subln=true" : "");
}

int64_t PackedTernaryLinear::macs(const Shape&, const Shape& output) const {
  return numel_of(output) * options_.in_features;
}

bool is_packed(const nn::Module& model) {
  const nn::NamedModules modules = model.named_modules();
  return std::any_of(modules.begin(), modules.end(), [](const auto& entry) {
    return dynamic_cast<const PackedTernaryLinear*>(entry.second.get()) != nullptr;
  });
}

}  // namespace tern::quant::packed
