// The loops that element-wise kernels share. For kernel sources only.
#pragma once

#include <cstdint>

#include <tern/core/kernels/detail/element_loop.h>
#include <tern/core/kernels/detail/strided.h>

namespace tern::kernels::TERN_ISA {

/// The loops of an operation for every element type it takes: fill.operator()<T>(out) sets those for T.
template <class Loops, bool kIntegers, class Fill>
constexpr Loops loops_of_types(Fill fill) {
  Loops out;
  fill.template operator()<float>(out);
  fill.template operator()<double>(out);
  if constexpr (kIntegers) {
    fill.template operator()<int64_t>(out);
    fill.template operator()<int32_t>(out);
    fill.template operator()<int8_t>(out);
    fill.template operator()<uint8_t>(out);
  }
  return out;
}

/// The loop over y[i] = f(x[i], a, b). f: a lambda without captures, compiled into the loop.
template <class T, class F>
constexpr UnaryLoop<T> unary_loop(F) {
  return [](T* __restrict y, int64_t y_step, const T* __restrict x, int64_t x_step, int64_t n, T a, T b) {
    if (y_step == 1 && x_step == 1) {
      for (int64_t i = 0; i < n; ++i) y[i] = F{}(x[i], a, b);
    } else {
      for (int64_t i = 0; i < n; ++i) y[i * y_step] = F{}(x[i * x_step], a, b);
    }
  };
}

/// The loop over o[i] = f(x[i], y[i], a, b); contiguous operands and repeated ones have loops of their own.
template <class O, class T, class F>
constexpr BinaryLoop<O, T> binary_loop(F) {
  return
      [](O* __restrict o, int64_t o_step, const T* x, int64_t x_step, const T* y, int64_t y_step, int64_t n, T a, T b) {
        if (o_step == 1 && x_step == 1 && y_step == 1) {
          for (int64_t i = 0; i < n; ++i) o[i] = F{}(x[i], y[i], a, b);
        } else if (o_step == 1 && x_step == 1 && y_step == 0) {
          const T repeated = *y;
          for (int64_t i = 0; i < n; ++i) o[i] = F{}(x[i], repeated, a, b);
        } else if (o_step == 1 && x_step == 0 && y_step == 1) {
          const T repeated = *x;
          for (int64_t i = 0; i < n; ++i) o[i] = F{}(repeated, y[i], a, b);
        } else {
          for (int64_t i = 0; i < n; ++i) o[i * o_step] = F{}(x[i * x_step], y[i * y_step], a, b);
        }
      };
}

template <class O, class T>
void run_binary_loop(BinaryLoop<O, T> loop, const LoopPlan<3>& plan, O* o, const T* x, const T* y, T a, T b) {
  run_plan(plan, [=](const int64_t* at, int64_t n, const int64_t* step) {
    loop(o + at[0], step[0], x + at[1], step[1], y + at[2], step[2], n, a, b);
  });
}

}  // namespace tern::kernels::TERN_ISA
