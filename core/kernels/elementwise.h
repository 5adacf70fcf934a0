// Element-wise kernels: one loop over strided operands a call, the function chosen by an enumerator.
#pragma once

#include <cstdint>

#include <tern/core/kernels/kernel.h>
#include <tern/core/kernels/strided.h>

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

/// o = f(a, b)
enum class BinaryOp : uint8_t {
  kAdd,
  kSub,
  kMul,
  kMaximum,
  kMinimum,
  /* f32 and f64: */ kDiv,
  kPow,
  kSwiglu,
  kGlu,    ///< a sigmoid(b)
  kPrelu,  ///< a > 0 ? a : a b
  kAddRelu
};

/// The gradients of BinaryOp's functions with respect to their first and second operand.
enum class BinaryGradient : uint8_t {
  kMaximumFirst,
  kMinimumFirst,
  kDivSecond,
  kPowFirst,
  kPowSecond,
  kPreluFirst,
  kPreluSecond
};

enum class CompareOp : uint8_t { kEq, kNe, kLt, kLe, kGt, kGe, kAnd, kOr, kXor };
enum class ClassifyOp : uint8_t { kIsNan, kIsInf, kIsFinite };

}  // namespace tern

TERN_DECLARE_KERNELS(
    /// plan: y, x. T: f32, f64 and, as far as kClamp, the integers.
    template <class T> void unary(UnaryOp op, const LoopPlan<2>& plan, T* y, const T* x, T a, T b);
    /// grad_input = grad_output * f'. plan: grad_input, grad_output, saved (x or y; grad_output again where nothing is
    /// needed).
    template <class T> void unary_backward(UnaryOp op, const LoopPlan<3>& plan, T* grad_input, const T* grad_output,
                                           const T* saved, T a, T b);
    /// plan: out, a, b
    template <class T> void binary(BinaryOp op, const LoopPlan<3>& plan, T* out, const T* a, const T* b);
    /// plan: out, grad_output, a, b
    template <class T> void binary_gradient(BinaryGradient op, const LoopPlan<4>& plan, T* out, const T* grad_output,
                                            const T* a, const T* b);
    /// Both gradients of silu(gate) * up. plan: grad_gate, grad_up, grad_output, gate, up.
    template <class T> void swiglu_backward(const LoopPlan<5>& plan, T* grad_gate, T* grad_up, const T* grad_output,
                                            const T* gate, const T* up);
    /// Both gradients of a sigmoid(b). plan: grad_a, grad_b, grad_output, a, b.
    template <class T>
    void glu_backward(const LoopPlan<5>& plan, T* grad_a, T* grad_b, const T* grad_output, const T* a, const T* b);
    /// out = a + weight (b - a). plan: out, a, b, weight
    template <class T> void lerp(const LoopPlan<4>& plan, T* out, const T* a, const T* b, const T* weight);
    /// out is 0 or 1. plan: out, a, b
    template <class T> void compare(CompareOp op, const LoopPlan<3>& plan, uint8_t* out, const T* a, const T* b);
    /// plan: out, x. T: f32 or f64.
    template <class T> void classify(ClassifyOp op, const LoopPlan<2>& plan, uint8_t* out, const T* x);
    /// out = condition ? a : b. plan: out, condition, a, b
    template <class T> void select(const LoopPlan<4>& plan, T* out, const uint8_t* condition, const T* a, const T* b);)
