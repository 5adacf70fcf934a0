// Element-wise kernels of one operand: the functions are the structs of detail/unary_functions.h.
#pragma once

#include <cstdint>

#include <tern/core/kernels/detail/element_loop.h>
#include <tern/core/kernels/detail/strided.h>
#include <tern/core/kernels/kernel.h>

namespace tern {

/// What the gradient of a function of one operand is computed from.
enum class UnaryGradient : uint8_t {
  kFromInput,   ///< backward(g, x, a, b); the input is kept
  kFromOutput,  ///< backward(g, y, a, b); the output is kept
  kLinear,      ///< backward(g, a, b); nothing is kept
  kOne,         ///< it is g; no backward
  kZero,        ///< it is 0 everywhere; no backward
};

struct UnaryTraits {
  const char* name;       ///< of the public function, for messages
  bool integers = false;  ///< takes integers beside f32 and f64; settings must then be whole
  UnaryGradient gradient = UnaryGradient::kFromInput;
  bool infinite_settings = false;  ///< an infinite setting stands for the limit of an integer dtype
};

template <class T>
struct UnaryLoopsOf {
  UnaryLoop<T> forward = nullptr;
  UnaryLoop<T> linear_backward = nullptr;  ///< of grad_output
  BinaryLoop<T, T> backward = nullptr;     ///< of grad_output and what is kept
};
using UnaryLoops = ForArithmetic<UnaryLoopsOf>;

}  // namespace tern

TERN_DECLARE_KERNELS(
    /// Op: a struct of unary_functions.h.
    template <class Op> const UnaryLoops& unary_loops();
    /// plan: y, x
    template <class T> void unary(UnaryLoop<T> loop, const LoopPlan<2>& plan, T* y, const T* x, T a, T b);
    /// plan: grad_input, grad_output, saved (x or y)
    template <class T> void unary_backward(BinaryLoop<T, T> loop, const LoopPlan<3>& plan, T* grad_input,
                                           const T* grad_output, const T* saved, T a, T b);)
