// Comparisons and truth values: u8 tensors of 0 and 1. Nothing here has a gradient. Two tensors broadcast (ShapeError)
// and are promoted (dtype.h). Throws DTypeError for bf16 and f16, unless a wider float stands beside them.
#pragma once

#include <tern/core/tensor.h>

namespace tern {

/// a == b, a != b, a < b, a <= b, a > b, a >= b, element by element. A comparison with NaN is 0, except that NaN !=
/// anything is 1. dtypes: f32, f64 and integers. A number beside an integer tensor is compared in f64: 2 < 2.5; beside
/// f32 it is rounded to f32 first.
[[nodiscard]] Tensor eq(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor eq(const Tensor& a, double b);
[[nodiscard]] Tensor ne(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor ne(const Tensor& a, double b);
[[nodiscard]] Tensor lt(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor lt(const Tensor& a, double b);
[[nodiscard]] Tensor le(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor le(const Tensor& a, double b);
[[nodiscard]] Tensor gt(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor gt(const Tensor& a, double b);
[[nodiscard]] Tensor ge(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor ge(const Tensor& a, double b);

/// Truth values of elements: anything but 0 is true (NaN too).
[[nodiscard]] Tensor logical_and(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor logical_or(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor logical_xor(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor logical_not(const Tensor& x);

/// 1 where x is NaN; is an infinity; is neither. x: f32, f64 or integers.
[[nodiscard]] Tensor isnan(const Tensor& x);
[[nodiscard]] Tensor isinf(const Tensor& x);
[[nodiscard]] Tensor isfinite(const Tensor& x);

/// Same shape, dtype and elements (NaN differs from itself). Never throws for shapes or dtypes that differ.
[[nodiscard]] bool equal(const Tensor& a, const Tensor& b);
/// |a - b| <= atol + rtol |b| at every element, as numpy.allclose; infinities must be equal, NaN meets NaN only if
/// equal_nan. a and b: f32 or f64 (DTypeError), broadcast. Throws ValueError for a negative tolerance.
[[nodiscard]] bool allclose(const Tensor& a, const Tensor& b, double rtol = 1e-5, double atol = 1e-8,
                            bool equal_nan = false);

}  // namespace tern
