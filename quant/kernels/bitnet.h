// Loops of BitNet's two quantizers (quant/bitnet/bit_linear.h has the formulas).
#pragma once

#include <tern/core/kernels/kernel.h>

namespace tern::kernels {

/// Elements a partial sum covers. Fixed, so that sums do not depend on the number of threads.
inline constexpr int64_t kAbsSumGrain = 16384;

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
    /// gamma[r] = max(largest |x| of row r, least), not finite where an entry of the row is not;
    /// codes[r, i] = clip(round(x[r, i] 127 / gamma[r]), -128, 127), 0 in rows that are not finite.
    template <class T> void token_codes(const T* x, int64_t rows, int64_t columns, T least, int8_t* codes, T* gamma);
    /// out[r, i] = codes[r, i] gamma[r] / 127
    template <class T> void token_values(const int8_t* codes, const T* gamma, int64_t rows, int64_t columns, T* out);
    /// out[r, i] = x[r, i] + lambda (codes[r, i] gamma[r] / 127 - x[r, i])
    template <class T>
    void token_blend(const T* x, const int8_t* codes, const T* gamma, int64_t rows, int64_t columns, T lambda, T* out);)
