// What the element-wise functions (unary_functions.h, binary_functions.h) compute with, as compiled for an instruction
// set. For kernel sources only.
#pragma once

#include <tern/core/kernels/detail/activation_math.h>
#include <tern/core/kernels/detail/vec_math.h>
#include <tern/core/rounding.h>

namespace tern::kernels::TERN_ISA {

template <class T>
constexpr bool kIsFloat = T(0.5) != T(0);

#define TERN_ELEMENT \
  template <class T> \
  [[gnu::always_inline]] static T

struct Math {
  static constexpr float kTrigonometricLimit = vec::kTrigonometricLimit;  ///< of |x| in sin and cos of f32

  TERN_ELEMENT exp(T x) { return vec::exp(x); }
  TERN_ELEMENT expm1(T x) { return vec::expm1(x); }
  TERN_ELEMENT log(T x) { return vec::log(x); }
  TERN_ELEMENT log2(T x) { return vec::log2(x); }
  TERN_ELEMENT log1p(T x) { return vec::log1p(x); }
  TERN_ELEMENT sqrt(T x) { return vec::sqrt(x); }
  TERN_ELEMENT sin(T x) { return vec::sin(x); }
  TERN_ELEMENT cos(T x) { return vec::cos(x); }
  TERN_ELEMENT erf(T x) { return vec::erf(x); }
  TERN_ELEMENT tanh(T x) { return vec::tanh(x); }
  TERN_ELEMENT sigmoid(T x) { return vec::sigmoid(x); }
  TERN_ELEMENT silu(T x) { return vec::silu(x); }
  TERN_ELEMENT silu_slope(T x) { return vec::silu_slope(x); }
  TERN_ELEMENT mish(T x) { return vec::mish(x); }
  TERN_ELEMENT mish_slope(T x) { return vec::mish_slope(x); }
  TERN_ELEMENT gelu_erf(T x) { return vec::gelu_erf(x); }
  TERN_ELEMENT gelu_erf_slope(T x) { return vec::gelu_erf_slope(x); }
  TERN_ELEMENT gelu_tanh(T x) { return vec::gelu_tanh(x); }
  TERN_ELEMENT gelu_tanh_slope(T x) { return vec::gelu_tanh_slope(x); }

  TERN_ELEMENT absolute(T x) {
    if constexpr (kIsFloat<T>)
      return vec::fabs(x);
    else
      return static_cast<T>(x < T(0) ? -x : x);
  }
  TERN_ELEMENT power(T x, T a) {  // f32 through f64
    return static_cast<T>(__builtin_pow(static_cast<double>(x), static_cast<double>(a)));
  }
  TERN_ELEMENT atan(T x) {
    if constexpr (sizeof(T) == sizeof(float))
      return __builtin_atanf(x);
    else
      return __builtin_atan(x);
  }
  TERN_ELEMENT floor(T x) {
    if constexpr (sizeof(T) == sizeof(float))
      return __builtin_floorf(x);
    else
      return __builtin_floor(x);
  }
  TERN_ELEMENT ceil(T x) {
    if constexpr (sizeof(T) == sizeof(float))
      return __builtin_ceilf(x);
    else
      return __builtin_ceil(x);
  }
  TERN_ELEMENT trunc(T x) {
    if constexpr (sizeof(T) == sizeof(float))
      return __builtin_truncf(x);
    else
      return __builtin_trunc(x);
  }
  TERN_ELEMENT round(T x) { return round_half_even(x); }
};

#undef TERN_ELEMENT

}  // namespace tern::kernels::TERN_ISA
