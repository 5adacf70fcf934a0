// Loops of the affine quantizer (quant/affine.h has the formulas). Arrays are row-major and dense.
#pragma once

#include <tern/core/kernels/kernel.h>

namespace tern::kernels {

/// How scales lie over an array of `outer` parts of `part` elements: a part is cut into `rows` rows of `length`
/// elements, the last of which may be shorter. Row r of part o starts at scale o * outer_stride + r / rows_per_scale *
/// row_stride; its element i takes the scale i * element_stride (0 or 1) after that one.
struct AffineLayout {
  int64_t outer = 0, part = 0, rows = 0, length = 0;
  int64_t outer_stride = 0, rows_per_scale = 1, row_stride = 0, element_stride = 0;
};

/// A row of a layout: n elements from `begin` on, with the scales from `scale` on.
struct AffineRow {
  int64_t begin, n, scale;
};
inline AffineRow row_of(const AffineLayout& a, int64_t index) {
  const int64_t o = index / a.rows, r = index % a.rows, left = a.part - r * a.length;
  return {o * a.part + r * a.length, left < a.length ? left : a.length,
          o * a.outer_stride + r / a.rows_per_scale * a.row_stride};
}

/// An affine quantizer: codes from low to high; zero: one per scale, or null for zeros. The quotient is x / scale, or
/// with `multiply` x * (1 / scale); with `fused` the zero point is added before rounding, else after it.
template <class T>
struct AffineScalars {
  AffineLayout layout;
  bool multiply = false, fused = false;
  T low = 0, high = 0;
  const T* scale = nullptr;
  const int32_t* zero = nullptr;
};

}  // namespace tern::kernels

TERN_DECLARE_KERNELS(
    /// lows and highs: [scales], the extremes of the elements of each scale. Returns whether every element is finite.
    template <class T> bool affine_ranges(const T* x, const AffineLayout& layout, int64_t scales, T* lows, T* highs);
    /// codes[i] = q. Returns whether no element is NaN; the code of NaN is that of 0.
    template <class T, class Code> bool affine_codes(const AffineScalars<T>& a, const T* x, Code* codes);
    /// out[i] = (codes[i] - zero) * scale
    template <class T, class Code> void affine_values(const AffineScalars<T>& a, const Code* codes, T* out);
    /// out[i] = (q - zero) * scale; inside[i] is 1 where q was not clamped, else 0 (inside may be null). Returns
    /// whether no element is NaN.
    template <class T> bool affine_round_trip(const AffineScalars<T>& a, const T* x, T* out, uint8_t* inside);)
