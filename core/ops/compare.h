// Comparisons and truth values: u8 tensors of 0 and 1. Nothing here has a gradient.
#pragma once

#include <tern/core/tensor.h>

namespace tern {

/// a == b, a != b, a < b, a <= b, a > b, a >= b, element by element, with broadcasting and promotion. A comparison with
/// NaN is 0, except that NaN != anything is 1. dtypes: f32, f64 and integers. A number beside an integer tensor is
/// compared as it is: 2 < 2.5.
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

/// 1 where x is NaN; is an infinity; is neither. dtypes as above.
[[nodiscard]] Tensor isnan(const Tensor& x);
[[nodiscard]] Tensor isinf(const Tensor& x);
[[nodiscard]] Tensor isfinite(const Tensor& x);

/// Same shape, dtype and elements (NaN differs from itself).
[[nodiscard]] bool equal(const Tensor& a, const Tensor& b);
/// |a - b| <= atol + rtol |b| at every element; infinities must be equal, NaN meets NaN only if equal_nan. a and b
/// broadcast.
[[nodiscard]] bool allclose(const Tensor& a, const Tensor& b, double rtol = 1e-5, double atol = 1e-8,
                            bool equal_nan = false);

}  // namespace tern
