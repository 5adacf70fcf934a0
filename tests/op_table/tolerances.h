// Every tolerance of the op table and of the golden tests, named once, with its reason. A test that fails is not a
// reason to widen one.
#pragma once

namespace tern::test {

/// |got - want| <= relative * |want| + of_scale * (largest finite |want| of that output). The second term is for sums,
/// whose rounding errors are as large as their largest terms allow, however small the result. NaN must meet NaN, and an
/// infinity itself.
struct Tolerance {
  double relative = 0;
  double of_scale = 0;
};

namespace tol {

/// Copies, comparisons, roundings, indices: there is one right answer.
inline constexpr Tolerance kExact{0, 0};

/// One correctly rounded operation an element, or a few: 2^-53 and 2^-24 a step, some steps.
inline constexpr Tolerance kF64{1e-13, 1e-15};
inline constexpr Tolerance kF32{4e-7, 1e-7};

/// exp, log, tanh and their kind: our single-precision polynomials are within 4 ulp (2^-23 each) of the true value, and
/// formulas built on them add a few more.
inline constexpr Tolerance kF32Function{1e-6, 3e-7};

/// Derivatives of saturating functions from results or factors near 1: 1 - y is off by 2^-24, while the scale is well
/// below 1 (a quarter for the sigmoid).
inline constexpr Tolerance kF32Derivative{1e-6, 1e-6};

/// Sums over up to some ten thousand terms in any order: the error grows with the largest partial sum, not with the
/// result.
inline constexpr Tolerance kF64Sum{1e-12, 1e-13};
inline constexpr Tolerance kF32Sum{1e-5, 2e-6};

/// Spreads (x - mean) of numbers near `far` that differ by about 1: neighbouring numbers near `far` are far * 2^-52 (or
/// 2^-23) apart, and the mean is no more exact than that. Here far is 10^6 in f64, 10^3 in f32.
inline constexpr Tolerance kF64FarFromZero{1e-9, 1e-10};
inline constexpr Tolerance kF32FarFromZero{1e-4, 1e-4};

/// Results of transforms that trade rounding for arithmetic (Winograd's F(4, 3) multiplies by up to 8 and cancels).
inline constexpr Tolerance kF32Winograd{5e-5, 1e-5};

/// Golden values of PyTorch in f64: both sides round differently in every sum, nothing else differs.
inline constexpr Tolerance kGoldenF64{1e-10, 1e-12};

/// PyTorch 1.13 computes the gradient of hardsigmoid with a single-precision 1/6, that of celu with a single-precision
/// 1/alpha, in f64 too.
inline constexpr Tolerance kGoldenSingleConstant{1e-7, 0};

}  // namespace tol

/// Central differences in f64. With a step of eps the formula is off by about eps^2 f''' / 6 and rounding adds
/// 2^-53 |f| / eps: 1e-6 balances them near 1e-10 for values near 1, far below what is allowed, so only wrong formulas
/// fail.
struct GradcheckTolerance {
  double eps = 1e-6;
  double atol = 1e-6;
  double rtol = 1e-5;
};

}  // namespace tern::test
