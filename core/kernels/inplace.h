// In-place arithmetic with a broadcast second operand.
#pragma once

#include <tern/core/kernels/detail/strided.h>
#include <tern/core/kernels/kernel.h>

TERN_DECLARE_KERNELS(
    /// x += alpha * y; plan operands: x, y
    template <class T> void add_in_place(const LoopPlan<2>& plan, T* x, const T* y, T alpha);
    /// x *= y
    template <class T> void mul_in_place(const LoopPlan<2>& plan, T* x, const T* y);)
