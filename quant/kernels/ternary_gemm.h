// Ternary weights times int8 activations, in exact integers (quant/packed/product.h has the formulas).
#pragma once

#include <tern/core/kernels/kernel.h>

namespace tern::kernels {

/// Weights of a block of pack2_block128: rows of codes and of packed weights are multiples of it.
inline constexpr int64_t kTernaryBlock = 128;

/// Bytes of a row of n activation codes as TernaryProduct reads it: n rounded up to kTernaryBlock.
constexpr int64_t padded_codes(int64_t n) {
  return (n + kTernaryBlock - 1) / kTernaryBlock * kTernaryBlock;
}

/// A product. x: [tokens, width] int8, rows being zero from n on, width a multiple of kTernaryBlock; x_sums: [tokens].
/// The weights are w, [rows, width / 4] in pack2_block128, or codes, [rows, n] int8; the other one is null. Written is
/// either sums [tokens, rows], the integers, or y [tokens, rows] = sums * (gamma[t] / 127 * scale) + bias[r] (bias may
/// be null); the other one is null. width is at most 2^22, so that no sum leaves 32 bits.
struct TernaryProduct {
  int64_t tokens = 0, rows = 0, n = 0, width = 0;
  const int8_t* x = nullptr;
  const int32_t* x_sums = nullptr;
  const uint8_t* w = nullptr;
  const int8_t* codes = nullptr;
  const float *gamma = nullptr, *bias = nullptr;
  float scale = 0;
  int32_t* sums = nullptr;
  float* y = nullptr;
};

}  // namespace tern::kernels

TERN_DECLARE_INT_KERNELS(void ternary_product(const TernaryProduct& p);)
