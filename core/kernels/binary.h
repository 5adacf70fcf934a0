// Element-wise kernels of two and more operands, comparisons and choices: one loop over strided operands per call, the
// function chosen by an enumerator.
#pragma once

#include <cstdint>

#include <tern/core/kernels/detail/strided.h>
#include <tern/core/kernels/kernel.h>

namespace tern {

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
