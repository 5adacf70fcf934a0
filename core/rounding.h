// Rounding for quantization, in one place.
#pragma once

#include <cmath>

namespace tern {

/// Rounds to the nearest integer, halves to the even one (2.5 -> 2, 3.5 -> 4), as torch.round does. Every quantizer in
/// Tern uses this function. It relies on the default floating-point rounding mode, which Tern never changes.
[[gnu::always_inline]] inline float round_half_even(float v) {
  return __builtin_nearbyintf(v);
}
[[gnu::always_inline]] inline double round_half_even(double v) {
  return __builtin_nearbyint(v);
}

/// The code of v: v rounded half to even, then clamped to [low, high]. NaN stays NaN. Every quantizer in Tern makes its
/// codes with this function; quant/kernels/code_loop.h has the loop over an array.
template <class T>
[[gnu::always_inline]] inline T round_clamp(T v, T low, T high) {
  const T rounded = round_half_even(v);
  return rounded < low ? low : rounded > high ? high : rounded;
}

}  // namespace tern
