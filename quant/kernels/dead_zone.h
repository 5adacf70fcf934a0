// Loops of the dead-zone quantizer (quant/codeq/dead_zone.h has the formulas). All arrays: [n].
#pragma once

#include <tern/core/kernels/kernel.h>

namespace tern::kernels {

struct DeadZoneScalars {
  double step, shift, top_code;
};
struct DeadZoneSums {
  double e1, e2;
};

/// Elements a partial sum of the backward covers. Fixed, so that sums do not depend on the number of threads.
inline constexpr int64_t kDeadZoneGrain = 8192;

}  // namespace tern::kernels

TERN_DECLARE_KERNELS(
    /// w_hat[i] = s q + delta sign(q)
    template <class T> void dead_zone_forward(const T* w, T* w_hat, int64_t n, DeadZoneScalars z);
    /// codes[i] = q
    template <class T> void dead_zone_codes(const T* w, int32_t* codes, int64_t n, DeadZoneScalars z);
    /// zeros and clamped: counts over all entries
    template <class T> void dead_zone_count(const T* w, int64_t n, DeadZoneScalars z, int64_t* zeros, int64_t* clamped);
    /// dw[i] = g[i] where w[i] != 0 (and, if mask_weight, where the code is not clamped); partial[c] holds the sums of
    /// chunk c of kDeadZoneGrain entries. dw may be null.
    template <class T> void dead_zone_backward(const T* w, const T* g, T* dw, DeadZoneSums* partial, int64_t n,
                                               DeadZoneScalars z, bool mask_clamped, bool mask_weight);)
