// Arithmetic and functions, element by element.
//
// Operands of different shapes broadcast (NumPy's rules), operands of different dtypes are promoted (dtype.h). Results
// keep the memory format of the first operand that has the result's shape and is dense, and are row-major otherwise.
// Functions of real numbers take f32 or f64; what is marked "arithmetic dtypes" takes integers too. Where a derivative
// does not exist, the gradient is PyTorch's; each such point is named. Errors: ShapeError for shapes that do not
// broadcast, DTypeError for other dtypes (bf16 and f16 store; convert them with to() first, unless another float beside
// them does).
#pragma once

#include <optional>

#include <tern/core/tensor.h>

namespace tern {

/// a + b, a - b, a * b. Arithmetic dtypes. A number given beside an integer tensor must be whole and within its
/// dtype (ValueError), here and below; clamp's bounds may be infinite as well. Overflow of integers is not noticed.
[[nodiscard]] Tensor add(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor add(const Tensor& a, double b);
[[nodiscard]] Tensor sub(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor sub(const Tensor& a, double b);
[[nodiscard]] Tensor sub(double a, const Tensor& b);
[[nodiscard]] Tensor mul(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor mul(const Tensor& a, double b);
/// a / b. Integers are converted to f32 first.
[[nodiscard]] Tensor div(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor div(const Tensor& a, double b);
[[nodiscard]] Tensor div(double a, const Tensor& b);

/// a to the power b. The gradient with respect to a is b a^(b-1), 0 where b is 0; with respect to b it is a^b log a, 0
/// where a is 0 and b at least 0.
[[nodiscard]] Tensor pow(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor pow(const Tensor& a, double b);
[[nodiscard]] Tensor pow(double a, const Tensor& b);

/// The larger and the smaller of a and b; NaN if either is. Equal elements share the gradient by halves. Arithmetic
/// dtypes.
[[nodiscard]] Tensor maximum(const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor minimum(const Tensor& a, const Tensor& b);

/// a + weight (b - a), computed from the nearer end as torch.lerp does, so that weights 0 and 1 give a and b exactly.
/// All three broadcast, are f32 or f64 and of one dtype (DTypeError), and get gradients.
[[nodiscard]] Tensor lerp(const Tensor& a, const Tensor& b, const Tensor& weight);
[[nodiscard]] Tensor lerp(const Tensor& a, const Tensor& b, double weight);

/// -x. Arithmetic dtypes.
[[nodiscard]] Tensor neg(const Tensor& x);
/// |x|; the gradient at 0, and at NaN, is 0. Arithmetic dtypes.
[[nodiscard]] Tensor abs(const Tensor& x);
/// -1, 0 or 1 (0 for NaN, as in PyTorch); the gradient is 0. Arithmetic dtypes.
[[nodiscard]] Tensor sign(const Tensor& x);
/// x * x. Arithmetic dtypes.
[[nodiscard]] Tensor square(const Tensor& x);
/// e^x, and e^x - 1 without loss of digits near 0.
[[nodiscard]] Tensor exp(const Tensor& x);
[[nodiscard]] Tensor expm1(const Tensor& x);
/// Natural logarithm (-inf at 0, NaN below), logarithm to base 2, and log(1 + x) without loss of digits near 0.
[[nodiscard]] Tensor log(const Tensor& x);
[[nodiscard]] Tensor log2(const Tensor& x);
[[nodiscard]] Tensor log1p(const Tensor& x);
/// Square root (NaN below 0), 1 / sqrt(x), 1 / x.
[[nodiscard]] Tensor sqrt(const Tensor& x);
[[nodiscard]] Tensor rsqrt(const Tensor& x);
[[nodiscard]] Tensor reciprocal(const Tensor& x);
/// Sine and cosine of an angle in radians, arc tangent.
[[nodiscard]] Tensor sin(const Tensor& x);
[[nodiscard]] Tensor cos(const Tensor& x);
[[nodiscard]] Tensor atan(const Tensor& x);
/// The error function, 2 / sqrt(pi) times the integral of exp(-t^2) from 0 to x.
[[nodiscard]] Tensor erf(const Tensor& x);

/// The largest integer not above x, the smallest not below, x without its fraction, the nearest (halves to even). The
/// gradient is 0.
[[nodiscard]] Tensor floor(const Tensor& x);
[[nodiscard]] Tensor ceil(const Tensor& x);
[[nodiscard]] Tensor trunc(const Tensor& x);
[[nodiscard]] Tensor round(const Tensor& x);

/// min(max(x, low), high); either bound may be absent, not both, and none is NaN (ValueError); NaN in x stays. The
/// gradient passes where low <= x <= high, the bounds included, and is 0 elsewhere, at NaN too. Arithmetic dtypes.
[[nodiscard]] Tensor clamp(const Tensor& x, std::optional<double> low, std::optional<double> high);
[[nodiscard]] Tensor clamp_min(const Tensor& x, double low);
[[nodiscard]] Tensor clamp_max(const Tensor& x, double high);

/// a where condition is not 0, else b; all three broadcast. condition: u8 (DTypeError), without gradient. Arithmetic
/// dtypes.
[[nodiscard]] Tensor where(const Tensor& condition, const Tensor& a, const Tensor& b);
[[nodiscard]] Tensor where(const Tensor& condition, const Tensor& a, double b);
[[nodiscard]] Tensor where(const Tensor& condition, double a, const Tensor& b);
/// `value` where mask (u8) is not 0, else x; both broadcast. Arithmetic dtypes.
[[nodiscard]] Tensor masked_fill(const Tensor& x, const Tensor& mask, double value);

}  // namespace tern
