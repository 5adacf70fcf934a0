#include <cmath>
#include <vector>

#include <tern/core/autograd/autograd.h>
#include <tern/core/copy.h>
#include <tern/core/error.h>
#include <tern/core/linear.h>
#include <tern/core/matmul.h>
#include <tern/core/reduce.h>
#include <tern/nn/init.h>
#include <tern/quant/bitnet/bit_linear.h>
#include <tern/quant/kernels/bitnet.h>

namespace tern::quant::bitnet {
namespace {

constexpr const char* kOp = "bit_linear";

void check_lambda(const char* op, double lambda) {
  TERN_CHECK(lambda >= 0 && lambda <= 1, ValueError, "[", op, "] expected lambda in [0, 1], got ", lambda);
}

Shape without_last(const Shape& shape) {
  Shape rows;
  for (int64_t axis = 0; axis + 1 < shape.size(); ++axis) rows.push_back(shape[axis]);
  return rows;
}

// x + lambda (xq - x), or xq.
Tensor effective_tokens(const Tensor& x, const TokenCodes& tokens, double lambda) {
  if (lambda == 1) return dequantize(tokens);
  const Tensor dense = x.contiguous();
  Tensor out = empty(x.shape(), x.dtype());
  dispatch_float(kOp, x.dtype(), [&]<class T>() {
    TERN_KERNEL(token_blend<T>)
    (dense.data<T>(), tokens.codes.data<int8_t>(), tokens.gamma.data<T>(), tokens.gamma.numel(), x.size(-1),
     static_cast<T>(lambda), out.data<T>());
  });
  return out;
}

Tensor effective_weight(const Tensor& weight, const Ternary& ternary, double lambda, DType dtype) {
  if (lambda == 1) return dequantize(ternary, dtype);
  const Tensor dense = weight.contiguous();
  Tensor out = empty(weight.shape(), dtype);
  dispatch_float(kOp, dtype, [&]<class T>() {
    TERN_KERNEL(ternary_blend<T>)
    (dense.data<T>(), ternary.codes.data<int8_t>(), out.numel(), static_cast<T>(ternary.scale), static_cast<T>(lambda),
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
    return effective_tokens(options.lambda == 1 ? Tensor() : *x, tokens, options.lambda);
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

Tensor product(const Tensor& x, const Tensor& weight, const Tensor& bias, Operands operands) {
  Tensor y;
  {
    const NoGradGuard no_grad;
    y = linear(operands.left(), operands.right(), bias);
  }
  if (operands.options.quantize_activation && operands.options.lambda == 1) operands.x = {};
  return autograd::record<BitLinearBackward>(y, {x, weight, bias}, {.operands = std::move(operands)});
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
    const T scale = static_cast<T>(std::max(total / static_cast<double>(n), kLeastScale));
    out.scale = static_cast<double>(scale);
    TERN_KERNEL(ternary_codes<T>)(w.data<T>(), n, T(1) / scale, out.codes.data<int8_t>());
  });
  return out;
}

Tensor dequantize(const Ternary& weight, DType dtype) {
  Tensor out = empty(weight.codes.shape(), dtype);
  dispatch_float("dequantize", dtype, [&]<class T>() {
    TERN_KERNEL(ternary_values<T>)
    (weight.codes.data<int8_t>(), out.numel(), static_cast<T>(weight.scale), out.data<T>());
  });
  return out;
}

TokenCodes quantize_tokens(const Tensor& tokens) {
  constexpr const char* kName = "quantize_tokens";
  check_defined(kName, tokens);
  const NoGradGuard no_grad;
  const Tensor x = tokens.contiguous();
  TERN_CHECK(x.dim() >= 1 && x.size(-1) >= 1, ShapeError, "[", kName, "] expected [..., features], got ", x.shape());
  TokenCodes out{empty(x.shape(), DType::kI8), empty(without_last(x.shape()), x.dtype())};
  dispatch_float(kName, x.dtype(), [&]<class T>() {
    T* const gamma = out.gamma.data<T>();
    TERN_KERNEL(token_codes<T>)
    (x.data<T>(), out.gamma.numel(), x.size(-1), static_cast<T>(kLeastScale), out.codes.data<int8_t>(), gamma);
    for (int64_t i = 0; i < out.gamma.numel(); ++i)
      TERN_CHECK(std::isfinite(gamma[i]), NonFiniteError, "[", kName,
                 "] expected finite activations, got NaN or infinity in token ", i, " of ", describe(x));
  });
  return out;
}

Tensor dequantize(const TokenCodes& tokens) {
  Tensor out = empty(tokens.codes.shape(), tokens.gamma.dtype());
  dispatch_float("dequantize", out.dtype(), [&]<class T>() {
    TERN_KERNEL(token_values<T>)
    (tokens.codes.data<int8_t>(), tokens.gamma.data<T>(), tokens.gamma.numel(), out.size(-1), out.data<T>());
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

bool detail::CachedTernary::is_of(const Tensor& tensor) const {
  return source_.defined() && source_.storage() == tensor.storage() && version_ == tensor.version();
}

const Ternary& detail::CachedTernary::of(const Tensor& weight) {
  if (!is_of(weight)) {
    codes_ = ternarize(weight);
    source_ = weight.detach();
    version_ = weight.version();
  }
  return codes_;
}

const Ternary& detail::CachedTernary::of(const Tensor& codes, const Tensor& scale) {
  const double delta = scale.item();
  if (!is_of(codes) || codes_.scale != delta) {
    TERN_CHECK(delta > 0 && std::isfinite(delta), ValueError, "[BitLinear] expected a scale above 0, got ", delta);
    for (const int8_t code : codes.to_vector<int8_t>())
      TERN_CHECK(code >= -1 && code <= 1, ValueError, "[BitLinear] expected codes -1, 0 or 1, got ", int{code});
    codes_ = {codes, delta};
    source_ = codes;
    version_ = codes.version();
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
