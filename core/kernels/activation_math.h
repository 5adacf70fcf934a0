// The smooth activations that fused kernels share with the element-wise ones: value and slope at x. For kernel sources
// only.
#pragma once

#include <tern/core/kernels/vec_math.h>

namespace tern::kernels::TERN_ISA::vec {

/// x Phi(x), Phi the normal distribution's function.
template <class T>
inline T gelu_erf(T x) {
  return T(0.5) * x * (T(1) + erf(x * T(0.70710678118654752)));
}
/// Phi(x) + x phi(x), phi the normal distribution's density.
template <class T>
inline T gelu_erf_slope(T x) {
  const T distribution = T(0.5) * (T(1) + erf(x * T(0.70710678118654752)));
  const T density = T(0.39894228040143268) * exp(T(-0.5) * x * x);
  return distribution + x * density;
}

/// (1 + tanh(u)) / 2 = sigmoid(2 u), which keeps its digits where tanh is near -1.
template <class T>
inline T gelu_tanh(T x) {
  return x * sigmoid(T(2 * 0.79788456080286536) * (x + T(0.044715) * x * x * x));
}
template <class T>
inline T gelu_tanh_slope(T x) {
  const T square = x * x;
  const T s = sigmoid(T(2 * 0.79788456080286536) * (x + T(0.044715) * square * x));
  const T inner = T(2 * 0.79788456080286536) * (T(1) + T(3 * 0.044715) * square);
  return s + x * (s * (T(1) - s)) * inner;
}

template <class T>
inline T silu(T x) {
  return x * sigmoid(x);
}
template <class T>
inline T silu_slope(T x) {
  const T s = sigmoid(x);
  return s * (T(1) + x * (T(1) - s));
}

}  // namespace tern::kernels::TERN_ISA::vec
