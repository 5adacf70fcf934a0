// Ternary weights times int8 activations, in exact integers, and the pass that makes the activations
// (quant/packed/linear.h has the formulas).
#pragma once

#include <tern/core/kernels/kernel.h>

namespace tern::kernels {

/// Weights of a block of pack2_block128: rows of codes and of packed weights are multiples of it.
inline constexpr int64_t kTernaryBlock = 128;

/// Tokens to quantize. x: [tokens, n] dense. With `norm`, rows are RMS-normalised first, with weight ([n] or null) and
/// eps. Written: codes [tokens, width], width being n rounded up to kTernaryBlock, zeros at the end; gamma [tokens],
/// NaN for a token with NaN or infinities; sums [tokens] of the codes.
struct TokenQuantizer {
  int64_t tokens = 0, n = 0, width = 0;
  float min_gamma = 0;
  bool norm = false;
  float eps = 0;
  const float *x = nullptr, *weight = nullptr;
  int8_t* codes = nullptr;
  float* gamma = nullptr;
  int32_t* sums = nullptr;
};

/// A product. x: [tokens, width] int8, x_sums: [tokens]; w: [rows, width / 4] in pack2_block128. Written is either
/// sums [tokens, rows], the integers, or y [tokens, rows] = sums * (gamma[t] / 127 * scale) + bias[r] (bias may be
/// null); the other one is null. width is at most 2^22, so that no sum leaves 32 bits.
struct TernaryProduct {
  int64_t tokens = 0, rows = 0, width = 0;
  const int8_t* x = nullptr;
  const int32_t* x_sums = nullptr;
  const uint8_t* w = nullptr;
  const float *gamma = nullptr, *bias = nullptr;
  float scale = 0;
  int32_t* sums = nullptr;
  float* y = nullptr;
};

}  // namespace tern::kernels

TERN_DECLARE_KERNELS(void quantize_tokens(const TokenQuantizer& p); void ternary_product(const TernaryProduct& p);)
