// Loops of the token quantizer (quant/packed/tokens.h has the formulas).
#pragma once

#include <tern/core/kernels/kernel.h>

namespace tern::kernels {

/// Tokens to quantize. x: [tokens, n] dense. With `norm`, rows are RMS-normalised first, with weight ([n] or null) and
/// eps. Written: codes [tokens, width], width being at least n, zeros at the end; gamma [tokens], NaN for a token with
/// NaN or infinities (its codes are zeros); sums [tokens] of the codes, if not null.
template <class T>
struct TokenQuantizer {
  int64_t tokens = 0, n = 0, width = 0;
  T min_gamma = 0;
  bool norm = false;
  T eps = 0;
  const T *x = nullptr, *weight = nullptr;
  int8_t* codes = nullptr;
  T* gamma = nullptr;
  int32_t* sums = nullptr;
};

/// Quantized tokens to read: codes [tokens, width], of which the first n of a row count; gamma [tokens].
template <class T>
struct TokenReader {
  int64_t tokens = 0, n = 0, width = 0;
  const int8_t* codes = nullptr;
  const T* gamma = nullptr;
};

}  // namespace tern::kernels

TERN_DECLARE_KERNELS(
    /// gamma = max(largest |x| of the row, min_gamma), codes = clip(round(x 127 / gamma), -128, 127)
    template <class T> void quantize_tokens(const TokenQuantizer<T>& p);
    /// out[r, i] = codes[r, i] gamma[r] / 127; out: [tokens, n]
    template <class T> void token_values(const TokenReader<T>& p, T* out);
    /// out[r, i] = x[r, i] + lambda (codes[r, i] gamma[r] / 127 - x[r, i])
    template <class T> void token_blend(const TokenReader<T>& p, const T* x, T lambda, T* out);)
