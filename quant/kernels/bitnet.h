// Loops of BitNet's quantizer of weights (quant/bitnet/bit_linear.h has the formulas).
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
    template <class T> void ternary_blend(const T* w, const int8_t* codes, int64_t n, T scale, T lambda, T* out);)
