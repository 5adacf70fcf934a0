// Loops of BitNet's two quantizers (quant/bitnet/bit_linear.h has the formulas).
#pragma once

#include <tern/core/kernels/kernel.h>

namespace tern::kernels {

/// Elements a partial sum covers. Fixed, so that sums do not depend on the number of threads.
inline constexpr int64_t kAbsSumGrain = 16384;

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
    /// partial[c]: sum of |w| over chunk c of kAbsSumGrain entries; not finite where an entry is not.
    template <class T> void abs_sums(const T* w, int64_t n, double* partial);
    /// codes[i] = clip(round(w[i] inverse), -1, 1)
    template <class T> void ternary_codes(const T* w, int64_t n, T inverse, int8_t* codes);
    /// out[i] = scale codes[i]
    template <class T> void ternary_values(const int8_t* codes, int64_t n, T scale, T* out);
    /// out[i] = w[i] + lambda (scale codes[i] - w[i])
    template <class T> void ternary_blend(const T* w, const int8_t* codes, int64_t n, T scale, T lambda, T* out);
    /// gamma = max(largest |x| of the row, min_gamma), codes = clip(round(x 127 / gamma), -128, 127)
    template <class T> void quantize_tokens(const TokenQuantizer<T>& p);
    /// out[r, i] = codes[r, i] gamma[r] / 127; out: [tokens, n]
    template <class T> void token_values(const TokenReader<T>& p, T* out);
    /// out[r, i] = x[r, i] + lambda (codes[r, i] gamma[r] / 127 - x[r, i])
    template <class T> void token_blend(const TokenReader<T>& p, const T* x, T lambda, T* out);)
