#include <cmath>
#include <vector>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/create.h>
#include <tern/core/ops/linear.h>
#include <tern/core/ops/matmul.h>
#include <tern/core/ops/reduce.h>
#include <tern/nn/init.h>
#include <tern/quant/bitnet/bit_linear.h>
#include <tern/quant/kernels/bitnet.h>
#include <tern/quant/packed/product.h>
#include <tern/quant/packed/ternary.h>

namespace tern::quant::bitnet {
namespace {

constexpr const char* kOp = "bit_linear";

void check_lambda(const char* op, double lambda) {
  TERN_CHECK(lambda >= 0 && lambda <= 1, ValueError, "[", op, "] expected lambda in [0, 1], got ", lambda);
}

Tensor effective_weight(const Tensor& weight, const Ternary& ternary, double lambda, DType dtype) {
  if (lambda == 1) return dequantize(ternary, dtype);
  const Tensor dense = weight.contiguous(), codes = ternary.codes.contiguous();
  Tensor out = empty(weight.shape(), dtype);
  dispatch_float(kOp, dtype, [&]<class T>() {
    TERN_KERNEL(ternary_blend<T>)
    (dense.data<T>(), codes.data<int8_t>(), out.numel(), static_cast<T>(ternary.scale), static_cast<T>(lambda),
     out.data<T>());
  });
  return out;
}

// The two operands of the product as the quantizers leave them, made anew where they are needed: what is kept between
// forward and backward is codes, and the tensors that exist anyway where lambda mixes these in.
struct Operands {
  BitLinearOptions options;
  DType dtype = DType::kF32;
  SavedTensor x, weight;  // undefined where codes say it all
  TokenCodes tokens;
  Ternary ternary;

  Tensor left() const {
    if (!options.quantize_activation) return *x;
    return options.lambda == 1 ? dequantize(tokens) : blend(*x, tokens, options.lambda);
  }
  Tensor right() const {
    if (!options.quantize_weight) return *weight;
    return effective_weight(options.lambda == 1 ? Tensor() : *weight, ternary, options.lambda, dtype);
  }
};

struct BitLinearBackward {
  static constexpr const char* kName = kOp;
  Operands operands;

  Gradients backward(const Tensor& g, NeedsGrad needs) const {
    Gradients grads(3);
    const int64_t out = g.size(-1), rows = out == 0 ? 0 : g.numel() / out;
    const Tensor flat = g.reshape({rows, out});
    if (needs[0]) grads[0] = matmul(g, operands.right());
    if (needs[1]) {
      const Tensor x = operands.left();
      grads[1] = matmul(flat.transpose(0, 1), x.reshape({rows, x.size(-1)}));
    }
    if (needs[2]) grads[2] = sum(flat, {0});
    return grads;
  }
};

// Both operands as codes in full: sums of integers, which cost a third of those of floats and are exact.
bool fits_integers(const Operands& o) {
  return o.dtype == DType::kF32 && o.options.quantize_weight && o.options.quantize_activation &&
         o.options.lambda == 1 && o.ternary.codes.size(1) <= packed::kMaxInFeatures;
}

Tensor product(const Tensor& x, const Tensor& weight, const Tensor& bias, Operands operands) {
  Tensor y;
  {
    const NoGradGuard no_grad;
    y = fits_integers(operands) ? packed::ternary_linear(operands.tokens, operands.ternary.codes,
                                                         static_cast<float>(operands.ternary.scale), bias, kOp)
                                : linear(operands.left(), operands.right(), bias);
  }
  return autograd::record<BitLinearBackward>(y, {x, weight, bias}, {.operands = std::move(operands)});
}

void check_ternary(const Ternary& ternary, const Shape& weight) {
  TERN_CHECK(ternary.codes.dtype() == DType::kI8, DTypeError, "[", kOp, "] expected codes of dtype i8, got ",
             ternary.codes.dtype());
  TERN_CHECK(ternary.codes.shape() == weight, ShapeError, "[", kOp, "] expected codes ", weight,
             " as their weight, got ", ternary.codes.shape());
  TERN_CHECK(ternary.scale > 0 && std::isfinite(ternary.scale), ValueError, "[", kOp,
             "] expected a scale above 0, got ", ternary.scale);
}

void check_matrix(const Tensor& x, const Shape& weight) {
  TERN_CHECK(weight.size() == 2 && x.dim() >= 1 && x.size(-1) == weight[1], ShapeError, "[", kOp,
             "] expected x [..., in] and a weight [out, in], got ", x.shape(), " and ", weight);
}

const BitLinear::Options& checked(const BitLinear::Options& o) {
  TERN_CHECK(o.in_features >= 1 && o.out_features >= 1, ValueError,
             "[BitLinear] expected in_features and out_features of at least 1, got ", o.in_features, " and ",
             o.out_features);
  check_lambda("BitLinear", o.lambda);
  return o;
}

}  // namespace

Ternary ternarize(const Tensor& weight) {
  check_defined("ternarize", weight);
  const NoGradGuard no_grad;
  const Tensor w = weight.contiguous();
  const int64_t n = w.numel();
  TERN_CHECK(n > 0, ShapeError, "[ternarize] expected a weight with elements, got shape ", w.shape());
  Ternary out{empty(w.shape(), DType::kI8), 0};
  dispatch_float("ternarize", w.dtype(), [&]<class T>() {
    std::vector<double> partial(static_cast<size_t>(chunk_count(n, kernels::kAbsSumGrain)));
    TERN_KERNEL(abs_sums<T>)(w.data<T>(), n, partial.data());
    double total = 0;
    for (const double part : partial) total += part;
    TERN_CHECK(std::isfinite(total), NonFiniteError, "[ternarize] expected finite weights, got NaN or infinity in ",
               describe(w));
    const T scale = static_cast<T>(std::max(total / static_cast<double>(n), packed::kMinScale));
    out.scale = static_cast<double>(scale);
    TERN_KERNEL(ternary_codes<T>)(w.data<T>(), n, T(1) / scale, out.codes.data<int8_t>());
  });
  return out;
}

Tensor dequantize(const Ternary& weight, DType dtype) {
  const Tensor codes = weight.codes.contiguous();
  Tensor out = empty(codes.shape(), dtype);
  dispatch_float("dequantize", dtype, [&]<class T>() {
    TERN_KERNEL(ternary_values<T>)
    (codes.data<int8_t>(), out.numel(), static_cast<T>(weight.scale), out.data<T>());
  });
  return out;
}

Tensor bit_linear(const Tensor& x, const Tensor& weight, const Tensor& bias, const BitLinearOptions& options,
                  const Ternary* codes) {
  check_defined(kOp, x, weight);
  check_lambda(kOp, options.lambda);
  check_matrix(x, weight.shape());
  TERN_CHECK(x.dtype() == weight.dtype(), DTypeError, "[", kOp, "] expected x and weight of one dtype, got ", x.dtype(),
             " and ", weight.dtype());
  if (options.lambda == 0 || (!options.quantize_weight && !options.quantize_activation)) return linear(x, weight, bias);
  const bool keeps_x = !options.quantize_activation || options.lambda < 1,
             keeps_weight = !options.quantize_weight || options.lambda < 1;
  if (codes != nullptr) check_ternary(*codes, weight.shape());
  Operands operands;
  operands.options = options;
  operands.dtype = x.dtype();
  if (keeps_x) operands.x = x.detach();
  if (keeps_weight) operands.weight = weight.detach();
  if (options.quantize_activation) operands.tokens = quantize_tokens(x);
  if (options.quantize_weight) operands.ternary = codes != nullptr ? *codes : ternarize(weight);
  return product(x, weight, bias, std::move(operands));
}

Tensor bit_linear(const Tensor& x, const Ternary& weight, const Tensor& bias, bool quantize_activation) {
  check_defined(kOp, x, weight.codes);
  check_matrix(x, weight.codes.shape());
  check_ternary(weight, weight.codes.shape());
  Operands operands;
  operands.options.quantize_activation = quantize_activation;
  operands.dtype = x.dtype();
  operands.ternary = weight;
  if (quantize_activation)
    operands.tokens = quantize_tokens(x);
  else
    operands.x = x.detach();
  return product(x, Tensor(), bias, std::move(operands));
}

const Ternary& detail::CachedTernary::of(const Tensor& weight) {
  if (!source_.is_of(weight)) {
    codes_ = ternarize(weight);
    source_ = TensorStamp(weight);
  }
  return codes_;
}

const Ternary& detail::CachedTernary::of(const Tensor& bytes, const Tensor& scale, int64_t in_features) {
  const double delta = scale.item();
  if (!source_.is_of(bytes) || codes_.scale != delta) {
    TERN_CHECK(delta > 0 && std::isfinite(delta), FormatError, "[BitLinear] expected a scale above 0, got ", delta);
    const packed::PackedWeight weight{.format = &packed::pack2_block128,
                                      .out_features = bytes.size(0),
                                      .in_features = in_features,
                                      .bytes = bytes,
                                      .scales = ones({})};
    codes_ = {packed::unpack(weight), delta};
    source_ = TensorStamp(bytes);
  }
  return codes_;
}

BitLinear::BitLinear(const Options& options)
    : options_(checked(options)),
      weight(this, "weight", empty({options.out_features, options.in_features})),
      bias(this, "bias", options.bias ? empty({options.out_features}) : Tensor()) {
  Tensor w = weight.latent(), b = bias.latent();
  nn::init::default_weight_(w);
  if (b.defined()) nn::init::default_bias_(b, w);
  if (options.subln)
    subln.emplace(
        this, "subln",
        nn::RMSNorm::Options{
            .dim = options.in_features, .eps = options.subln_eps, .elementwise_affine = options.subln_affine});
}

void BitLinear::set_lambda(double lambda) {
  check_lambda("BitLinear", lambda);
  options_.lambda = lambda;
}

const Ternary& BitLinear::ternary() {
  return codes_.of(weight());
}

Tensor BitLinear::forward(const Tensor& x) {
  const Options& o = options_;
  const Tensor normalized = subln.has_value() ? (*subln)(x) : x;
  const BitLinearOptions how{o.quantize_weight, o.quantize_activation, o.lambda};
  const bool needs_codes = o.quantize_weight && o.lambda > 0;
  return bit_linear(normalized, weight(), bias(), how, needs_codes ? &ternary() : nullptr);
}

std::string BitLinear::extra_text() const {
  const Options& o = options_;
  return concat(o.in_features, ", ", o.out_features, o.bias ? "" : ", bias=false", o.subln ? ", subln" : "",
                o.quantize_weight ? "" : ", quantize_weight=false",
                o.quantize_activation ? "" : ", quantize_activation=false",
                o.lambda == 1 ? std::string() : concat(", lambda=", o.lambda));
}

int64_t BitLinear::macs(const Shape&, const Shape& output) const {
  return numel_of(output) * options_.in_features;
}

}  // namespace tern::quant::bitnet
