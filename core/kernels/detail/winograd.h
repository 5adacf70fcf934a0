// Winograd's minimal filtering for kernels of three taps, for kernel sources only.
//
// Along one axis, F(m, 3) computes m outputs of a correlation with 3 taps from m + 2 products instead of 3 m: with p_k
// the points (the last one at infinity), g the taps, d the m + 2 inputs and M(x) the product of all (x - p_k),
//   y_i = sum_k p_k^i  *  (sum_j p_k^j g_j) / N_k  *  (coefficients of M(x) / (x - p_k)) . d,     N_k = M'(p_k)
// (S. Winograd, Arithmetic Complexity of Computations, 1980; A. Lavin and S. Gray, arXiv 1509.09308). The gradient of
// the taps is the same bilinear form with other roles: 3 outputs, the m gradients as its "taps". In two dimensions each
// step is done along both axes: (m + 2)^2 products instead of 9 m^2, that is 2.25 times fewer for m = 2, 4 for m = 4.
//
// Points: m = 2: 0, 1, -1; m = 4: 0, +-sqrt(1/2), +-sqrt(2). The usual 0, +-1, +-2 have coefficients up to 8 and twice
// the rounding error. All 1 / N_k are applied to the weights, or to the sums of the gradient: once a call.
#pragma once

#include <tern/core/kernels/detail/simd.h>

namespace tern::kernels::TERN_ISA {
namespace {

template <int M>
struct Winograd;

template <>
struct Winograd<2> {
  static constexpr int kOut = 2, kIn = 4;
  using V = Simd<float>::Vec;

  struct Data {
    static constexpr int kFrom = 4, kTo = 4;
    [[gnu::always_inline]] static void run(const V* d, V* t) {
      t[0] = d[0] - d[2];
      t[1] = d[1] + d[2];
      t[2] = d[2] - d[1];
      t[3] = d[3] - d[1];
    }
  };
  struct Weights {
    static constexpr int kFrom = 3, kTo = 4;
    [[gnu::always_inline]] static void run(const V* g, V* t) {
      const V even = 0.5f * (g[0] + g[2]), odd = 0.5f * g[1];
      t[0] = g[0];
      t[1] = even + odd;
      t[2] = even - odd;
      t[3] = g[2];
    }
  };
  struct Result {
    static constexpr int kFrom = 4, kTo = 2;
    [[gnu::always_inline]] static void run(const V* m, V* y) {
      y[0] = m[0] + (m[1] + m[2]);
      y[1] = (m[1] - m[2]) + m[3];
    }
  };
  struct Gradient {
    static constexpr int kFrom = 2, kTo = 4;
    [[gnu::always_inline]] static void run(const V* g, V* t) {
      t[0] = g[0];
      t[1] = g[0] + g[1];
      t[2] = g[0] - g[1];
      t[3] = g[1];
    }
  };
  struct Taps {
    static constexpr int kFrom = 4, kTo = 3;
    [[gnu::always_inline]] static void run(const V* s, V* w) {
      const V even = 0.5f * (s[1] + s[2]);
      w[0] = s[0] + even;
      w[1] = 0.5f * (s[1] - s[2]);
      w[2] = even + s[3];
    }
  };
};

template <>
struct Winograd<4> {
  static constexpr int kOut = 4, kIn = 6;
  using V = Simd<float>::Vec;
  // Points +-a and +-b with a^2 = 1/2, b^2 = 2, b = 2 a; N = 1, +-a: 2 a^2 (a^2 - b^2), +-b: 2 b^2 (b^2 - a^2).
  static constexpr float kA = 0.70710678118654752f, kB = 1.41421356237309505f;
  static constexpr float kPerNa = -2.0f / 3, kPerNb = 1.0f / 6;

  struct Data {
    static constexpr int kFrom = 6, kTo = 6;
    [[gnu::always_inline]] static void run(const V* d, V* t) {
      const V even_a = d[4] - 2.0f * d[2], odd_a = d[3] - 2.0f * d[1];
      const V even_b = d[4] - 0.5f * d[2], odd_b = d[3] - 0.5f * d[1];
      t[0] = (d[0] + d[4]) - 2.5f * d[2];
      t[1] = even_a + kA * odd_a;
      t[2] = even_a - kA * odd_a;
      t[3] = even_b + kB * odd_b;
      t[4] = even_b - kB * odd_b;
      t[5] = (d[1] + d[5]) - 2.5f * d[3];
    }
  };
  struct Weights {
    static constexpr int kFrom = 3, kTo = 6;
    [[gnu::always_inline]] static void run(const V* g, V* t) {
      const V even_a = kPerNa * g[0] + (0.5f * kPerNa) * g[2], odd_a = (kA * kPerNa) * g[1];
      const V even_b = kPerNb * g[0] + (2.0f * kPerNb) * g[2], odd_b = (kB * kPerNb) * g[1];
      t[0] = g[0];
      t[1] = even_a + odd_a;
      t[2] = even_a - odd_a;
      t[3] = even_b + odd_b;
      t[4] = even_b - odd_b;
      t[5] = g[2];
    }
  };
  struct Result {
    static constexpr int kFrom = 6, kTo = 4;
    [[gnu::always_inline]] static void run(const V* m, V* y) {
      const V even_a = m[1] + m[2], odd_a = m[1] - m[2];
      const V even_b = m[3] + m[4], odd_b = m[3] - m[4];
      y[0] = m[0] + (even_a + even_b);
      y[1] = kA * odd_a + kB * odd_b;
      y[2] = 0.5f * even_a + 2.0f * even_b;
      y[3] = (m[5] + (0.5f * kA) * odd_a) + (2.0f * kB) * odd_b;
    }
  };
  struct Gradient {
    static constexpr int kFrom = 4, kTo = 6;
    [[gnu::always_inline]] static void run(const V* g, V* t) {
      const V even_a = g[0] + 0.5f * g[2], odd_a = g[1] + 0.5f * g[3];
      const V even_b = g[0] + 2.0f * g[2], odd_b = g[1] + 2.0f * g[3];
      t[0] = g[0];
      t[1] = even_a + kA * odd_a;
      t[2] = even_a - kA * odd_a;
      t[3] = even_b + kB * odd_b;
      t[4] = even_b - kB * odd_b;
      t[5] = g[3];
    }
  };
  struct Taps {
    static constexpr int kFrom = 6, kTo = 3;
    [[gnu::always_inline]] static void run(const V* s, V* w) {
      const V even_a = kPerNa * (s[1] + s[2]), odd_a = (kA * kPerNa) * (s[1] - s[2]);
      const V even_b = kPerNb * (s[3] + s[4]), odd_b = (kB * kPerNb) * (s[3] - s[4]);
      w[0] = s[0] + (even_a + even_b);
      w[1] = odd_a + odd_b;
      w[2] = (0.5f * even_a + 2.0f * even_b) + s[5];
    }
  };
};

// Step along the columns and then along the rows of a square of vectors: row r starts at rows[r] + first, its vectors
// lie `column` elements apart. Columns outside of [left, right) count as zero. Value (i, j) of the result goes to
// to + (i kTo + j) step. The half done square waits in memory: it would not fit the registers in any case.
template <class Step>
[[gnu::always_inline]] inline void expand(const float* const (&rows)[Step::kFrom], int64_t first, int64_t column,
                                          int64_t left, int64_t right, float* to, int64_t step) {
  using S = Simd<float>;
  using V = S::Vec;
  constexpr int F = Step::kFrom, T = Step::kTo;
  V half[T][F];
#pragma GCC unroll 1
  for (int s = 0; s < F; ++s) {
    V d[F], t[T];
    if (s >= left && s < right) {
      const int64_t at = first + s * column;
#pragma GCC unroll 8
      for (int r = 0; r < F; ++r) d[r] = S::load(rows[r] + at);
      Step::run(d, t);
#pragma GCC unroll 8
      for (int i = 0; i < T; ++i) half[i][s] = t[i];
    } else {
#pragma GCC unroll 8
      for (int i = 0; i < T; ++i) half[i][s] = V{};
    }
  }
#pragma GCC unroll 1
  for (int i = 0; i < T; ++i) {
    V t[T];
    Step::run(half[i], t);
#pragma GCC unroll 8
    for (int j = 0; j < T; ++j) S::store(to + j * step, t[j]);
    to += T * step;
  }
}

}  // namespace
}  // namespace tern::kernels::TERN_ISA
