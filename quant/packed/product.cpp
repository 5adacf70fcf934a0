#include <algorithm>
#include <cmath>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/quant/kernels/ternary_gemm.h>
#include <tern/quant/packed/product.h>
#include <tern/quant/packed/ternary.h>

namespace tern::packed {
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

kernels::TernaryProduct product_of(const TokenCodes& tokens, const PackedWeight& w) {
  TERN_CHECK(w.format == &pack2_block128, ValueError, "[", kOp, "] expected a weight in ", pack2_block128.name,
             ", got ", w.format == nullptr ? "none" : w.format->name, " (repack() converts it)");
  check_defined(kOp, w.bytes);
  TERN_CHECK(w.bytes.dtype() == DType::kU8, DTypeError, "[", kOp, "] expected a weight of u8 bytes, got ",
             w.bytes.dtype());
  const Shape wanted{w.out_features, w.format->row_bytes(w.in_features)};
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

Tensor ternary_sums(const TokenCodes& tokens, const PackedWeight& weight) {
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

Tensor ternary_product_of(const TokenCodes& tokens, const PackedWeight& weight, const Tensor& bias) {
  const kernels::TernaryProduct product = product_of(tokens, weight);
  check_defined(kOp, weight.scales);
  TERN_CHECK(weight.scales.dtype() == DType::kF32 && weight.scales.dim() == 0 && weight.scale() > 0 &&
                 std::isfinite(weight.scale()),
             FormatError, "[", kOp, "] expected a scale f32 [], finite and above 0, got ", describe(weight.scales));
  return run_product(kOp, product, tokens, weight.scale(), bias);
}

Tensor packed_linear(const Tensor& x, const PackedWeight& weight, const Tensor& bias,
                     const std::optional<TokenNorm>& norm) {
  check_defined(kOp, x);
  check_no_gradient(x, "an input");
  check_no_gradient(bias, "a bias");
  if (norm) check_no_gradient(norm->weight, "a norm's weight");
  TERN_CHECK(x.dtype() == DType::kF32, DTypeError, "[", kOp, "] expected an input of dtype f32, got ", x.dtype());
  TERN_CHECK(weight.format != nullptr && weight.format->product != nullptr, ValueError, "[", kOp,
             "] expected a weight in a format with a product, got ",
             weight.format == nullptr
                 ? std::string("none")
                 : concat(weight.format->name, " (repack() to ", weight.format->execution().name, " converts it)"));
  return weight.format->product(quantize_tokens(x, norm), weight, bias);
}

}  // namespace tern::packed
