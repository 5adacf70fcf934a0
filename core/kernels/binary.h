// Element-wise kernels of two and more operands, comparisons and choices: the functions are the structs of
// detail/binary_functions.h.
#pragma once

#include <cstdint>

#include <tern/core/kernels/detail/element_loop.h>
#include <tern/core/kernels/detail/strided.h>
#include <tern/core/kernels/kernel.h>

namespace tern {

struct BinaryTraits {
  const char* name;       ///< of the public function, for messages
  bool integers = false;  ///< takes integers beside f32 and f64
};

template <class T>
struct BinaryLoopsOf {
  BinaryLoop<T, T> forward = nullptr;
  TernaryLoop<T> first = nullptr, second = nullptr;  ///< of grad_output, a and b: the gradients of a and of b
};
using BinaryLoops = ForArithmetic<BinaryLoopsOf>;

template <class T>
struct CompareLoopsOf {
  BinaryLoop<uint8_t, T> forward = nullptr;
};
using CompareLoops = ForArithmetic<CompareLoopsOf>;

template <class T>
struct ClassifyLoopsOf {
  TruthLoop<T> forward = nullptr;
};
using ClassifyLoops = ForReal<ClassifyLoopsOf>;

}  // namespace tern

TERN_DECLARE_KERNELS(
    /// Op: a struct of binary_functions.h.
    template <class Op> const BinaryLoops& binary_loops(); template <class Op> const CompareLoops& compare_loops();
    template <class Op> const ClassifyLoops& classify_loops();
    /// plan: out, a, b
    template <class T> void binary(BinaryLoop<T, T> loop, const LoopPlan<3>& plan, T* out, const T* a, const T* b);
    /// plan: out, grad_output, a, b
    template <class T> void binary_gradient(TernaryLoop<T> loop, const LoopPlan<4>& plan, T* out, const T* grad_output,
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
    template <class T>
    void compare(BinaryLoop<uint8_t, T> loop, const LoopPlan<3>& plan, uint8_t* out, const T* a, const T* b);
    /// plan: out, x. T: f32 or f64.
    template <class T> void classify(TruthLoop<T> loop, const LoopPlan<2>& plan, uint8_t* out, const T* x);
    /// out = condition ? a : b. plan: out, condition, a, b
    template <class T> void select(const LoopPlan<4>& plan, T* out, const uint8_t* condition, const T* a, const T* b);)
