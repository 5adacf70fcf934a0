// Element-wise kernels of one operand: one loop over strided operands per call, the function chosen by an enumerator.
#pragma once

#include <cstdint>

#include <tern/core/kernels/detail/strided.h>
#include <tern/core/kernels/kernel.h>

namespace tern {

/// y = f(x; a, b). In brackets what the gradient is computed from: x, y or nothing.
enum class UnaryOp : uint8_t {
  // arithmetic dtypes
  kNeg,        ///< -x []
  kAbs,        ///< |x| [x]
  kSign,       ///< sign of x []
  kSquare,     ///< x^2 [x]
  kAddScalar,  ///< x + a []
  kSubFrom,    ///< a - x []
  kMulScalar,  ///< a x []
  kClamp,      ///< min(max(x, a), b) [x]
  // f32 and f64 from here on
  kDivScalar,    ///< x / a []
  kDivide,       ///< a / x [x]
  kPowScalar,    ///< x^a [x]
  kScalarPow,    ///< a^x [y]; gradient with b = log(a), 0 where a is 0 and x at least 0
  kExp,          ///< [y]
  kExpm1,        ///< [y]
  kLog,          ///< [x]
  kLog2,         ///< [x]
  kLog1p,        ///< [x]
  kSqrt,         ///< [y]
  kRsqrt,        ///< [y]
  kReciprocal,   ///< [y]
  kSin,          ///< [x]
  kCos,          ///< [x]
  kAtan,         ///< [x]
  kErf,          ///< [x]
  kFloor,        ///< []
  kCeil,         ///< []
  kTrunc,        ///< []
  kRound,        ///< []
  kRelu,         ///< [y]
  kHardTanh,     ///< min(max(x, a), b) [x]; unlike kClamp's, the gradient at a, b and NaN is 0
  kLeakyRelu,    ///< x > 0 ? x : a x [x]
  kElu,          ///< x > 0 ? b x : a b (e^x - 1) [x]
  kCelu,         ///< x > 0 ? x : a (e^(x / a) - 1) [x]
  kGeluErf,      ///< [x]
  kGeluTanh,     ///< [x]
  kSigmoid,      ///< [y]
  kLogSigmoid,   ///< [x]
  kTanh,         ///< [y]
  kSilu,         ///< [x]
  kMish,         ///< [x]
  kSoftSign,     ///< [x]
  kTanhShrink,   ///< [x]
  kHardShrink,   ///< x where |x| > a, else 0 [x]
  kSoftShrink,   ///< x - a sign(x) where |x| > a, else 0 [x]
  kThreshold,    ///< x <= a ? b : x [x]
  kHardSigmoid,  ///< [x]
  kHardSwish,    ///< [x]
  kSoftplus,     ///< log(1 + e^(a x)) / a, x where a x > b [x]
};

}  // namespace tern

TERN_DECLARE_KERNELS(
    /// plan: y, x. T: f32, f64 and, as far as kClamp, the integers.
    template <class T> void unary(UnaryOp op, const LoopPlan<2>& plan, T* y, const T* x, T a, T b);
    /// grad_input = grad_output * f'. plan: grad_input, grad_output, saved (x or y; grad_output again where nothing is
    /// needed).
    template <class T> void unary_backward(UnaryOp op, const LoopPlan<3>& plan, T* grad_input, const T* grad_output,
                                           const T* saved, T a, T b);)
