#include <cmath>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/quant/kernels/ternary_gemm.h>
#include <tern/quant/kernels/tokens.h>
#include <tern/quant/packed/tokens.h>

namespace tern::packed {
namespace {

constexpr const char* kQuantize = "quantize_tokens";

Shape without_last(const Shape& shape) {
  Shape rows;
  for (int64_t axis = 0; axis + 1 < shape.size(); ++axis) rows.push_back(shape[axis]);
  return rows;
}

void check_norm(const TokenNorm& norm, const Tensor& x) {
  TERN_CHECK(std::isfinite(norm.eps) && norm.eps >= 0, ValueError, "[", kQuantize,
             "] expected a norm's eps that is finite and at least 0, got ", norm.eps);
  if (!norm.weight.defined()) return;
  TERN_CHECK(norm.weight.dtype() == x.dtype(), DTypeError, "[", kQuantize, "] expected a norm's weight of dtype ",
             x.dtype(), ", got ", norm.weight.dtype());
  TERN_CHECK(norm.weight.shape() == Shape{x.size(-1)}, ShapeError, "[", kQuantize, "] expected a norm's weight ",
             Shape{x.size(-1)}, ", got ", norm.weight.shape());
}

// How far apart the rows of the last axis are, if it is dense and they are evenly apart; or -1.
int64_t row_step(const Tensor& x) {
  int64_t step = -1, next = -1;
  for (int64_t axis = x.dim() - 2; axis >= 0; --axis) {
    if (x.size(axis) == 1) continue;
    if (step < 0)
      step = x.strides()[axis];
    else if (x.strides()[axis] != next)
      return -1;
    next = x.strides()[axis] * x.size(axis);
  }
  return x.size(-1) > 1 && x.strides()[x.dim() - 1] != 1 ? -1 : step < 0 ? x.size(-1) : step;
}

// read(reader): a kernel that reads tokens.
template <class T, class F>
void read_tokens(const TokenCodes& tokens, F&& read) {
  Tensor codes = tokens.codes;
  if (row_step(codes) < 0) codes = codes.contiguous();
  const Tensor gamma = tokens.gamma.contiguous();
  read(kernels::TokenReader<T>{.tokens = gamma.numel(),
                               .n = codes.size(-1),
                               .width = row_step(codes),
                               .codes = codes.data<int8_t>(),
                               .gamma = gamma.data<T>()});
}

}  // namespace

bool TokenCodes::is_padded() const {
  const int64_t rows = gamma.numel(), width = kernels::padded_codes(features());
  return (rows <= 1 || row_step(codes) == width) && gamma.is_contiguous() && sums.is_contiguous() &&
         codes.offset() + rows * width <= static_cast<int64_t>(codes.storage()->bytes());
}

TokenCodes quantize_tokens(const Tensor& tokens, const std::optional<TokenNorm>& norm) {
  check_defined(kQuantize, tokens);
  const NoGradGuard no_grad;
  const Tensor x = tokens.contiguous();
  TERN_CHECK(x.dim() >= 1 && x.size(-1) >= 1, ShapeError, "[", kQuantize, "] expected [..., features], got ",
             x.shape());
  if (norm) check_norm(*norm, x);
  const Tensor weight = norm && norm->weight.defined() ? norm->weight.contiguous() : Tensor();
  const int64_t n = x.size(-1);
  Shape rows = x.shape();
  rows[rows.size() - 1] = kernels::padded_codes(n);
  TokenCodes out{empty(rows, DType::kI8), empty(without_last(x.shape()), x.dtype()),
                 empty(without_last(x.shape()), DType::kI32)};
  dispatch_float(kQuantize, x.dtype(), [&]<class T>() {
    T* const gamma = out.gamma.data<T>();
    TERN_KERNEL(quantize_tokens<T>)
    ({.tokens = out.gamma.numel(),
      .n = n,
      .width = kernels::padded_codes(n),
      .min_gamma = static_cast<T>(kMinScale),
      .norm = norm.has_value(),
      .eps = norm ? static_cast<T>(norm->eps) : T(0),
      .x = x.data<T>(),
      .weight = weight.defined() ? weight.data<T>() : nullptr,
      .codes = out.codes.data<int8_t>(),
      .gamma = gamma,
      .sums = out.sums.data<int32_t>()});
    for (int64_t i = 0; i < out.gamma.numel(); ++i)
      TERN_CHECK(!std::isnan(gamma[i]), NonFiniteError, "[", kQuantize,
                 "] expected finite activations, got NaN or infinity in token ", i, " of ", describe(x));
  });
  out.codes = out.codes.slice(x.dim() - 1, 0, n);
  return out;
}

Tensor dequantize(const TokenCodes& tokens) {
  Tensor out = empty(tokens.codes.shape(), tokens.gamma.dtype());
  dispatch_float("dequantize", out.dtype(), [&]<class T>() {
    read_tokens<T>(tokens, [&](const kernels::TokenReader<T>& reader) {
      TERN_KERNEL(token_values<T>)(reader, out.data<T>());
    });
  });
  return out;
}

Tensor blend(const Tensor& x, const TokenCodes& tokens, double lambda) {
  constexpr const char* kBlend = "blend";
  check_defined(kBlend, x);
  TERN_CHECK(x.dtype() == tokens.gamma.dtype(), DTypeError, "[", kBlend, "] expected tokens of dtype ",
             tokens.gamma.dtype(), ", got ", x.dtype());
  TERN_CHECK(x.shape() == tokens.codes.shape(), ShapeError, "[", kBlend, "] expected tokens ", tokens.codes.shape(),
             ", got ", x.shape());
  const NoGradGuard no_grad;
  const Tensor dense = x.contiguous();
  Tensor out = empty(x.shape(), x.dtype());
  dispatch_float(kBlend, x.dtype(), [&]<class T>() {
    read_tokens<T>(tokens, [&](const kernels::TokenReader<T>& reader) {
      TERN_KERNEL(token_blend<T>)(reader, dense.data<T>(), static_cast<T>(lambda), out.data<T>());
    });
  });
  return out;
}

}  // namespace tern::packed
