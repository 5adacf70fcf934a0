#include <tern/core/kernels/detail/vec_math.h>
#include <tern/core/kernels/reduce.h>
#include <tern/core/kernels/reduce_gradient.h>

namespace tern::kernels::TERN_ISA {
namespace {

template <class T>
T sign_of(T v) {
  return v > T(0) ? T(1) : v < T(0) ? T(-1) : T(0);  // as PyTorch, for NaN too
}
template <class T>
T magnitude(T v) {
  return v < T(0) ? -v : v;
}

// dx = f(x, y, g) over the plan.
template <class T, class F>
void over_plan(const LoopPlan<4>& plan, T* dx, const T* x, const T* y, const T* g, const F& f) {
  run_plan(plan, [=](const int64_t* at, int64_t n, const int64_t* step) {
    T* to = dx + at[0];
    const T *a = x + at[1], *b = y + at[2], *c = g + at[3];
    if (step[0] == 1 && step[1] == 1 && step[2] == 0 && step[3] == 0) {
      const T y0 = *b, g0 = *c;
      for (int64_t i = 0; i < n; ++i) to[i] = f(a[i], y0, g0);
    } else if (step[0] == 1 && step[1] == 1 && step[2] == 1 && step[3] == 1) {
      for (int64_t i = 0; i < n; ++i) to[i] = f(a[i], b[i], c[i]);
    } else {
      for (int64_t i = 0; i < n; ++i) to[i * step[0]] = f(a[i * step[1]], b[i * step[2]], c[i * step[3]]);
    }
  });
}

}  // namespace

template <class T>
void reduce_gradient(ReduceGradient kind, const LoopPlan<4>& plan, T* dx, const T* x, const T* y, const T* g,
                     T factor) {
  switch (kind) {
    case ReduceGradient::kVariance:
      return over_plan(plan, dx, x, y, g, [=](T a, T b, T c) { return (a - b) * (c * factor); });
    case ReduceGradient::kEqual:
      return over_plan(plan, dx, x, y, g, [](T a, T b, T c) { return a == b ? c : b == b ? T(0) : b; });
    case ReduceGradient::kLogSumExp:
      return over_plan(plan, dx, x, y, g, [](T a, T b, T c) { return c * vec::exp(a - b); });
    case ReduceGradient::kAbsSum:
      return over_plan(plan, dx, x, y, g, [](T a, T, T c) { return c * sign_of(a); });
    case ReduceGradient::kNorm:
      return over_plan(plan, dx, x, y, g, [](T a, T b, T c) { return b == T(0) ? T(0) : c * (a / b); });
    case ReduceGradient::kAbsEqual:
      return over_plan(plan, dx, x, y, g, [](T a, T b, T c) { return magnitude(a) == b ? c * sign_of(a) : T(0); });
  }
}

template <class T>
void product_gradient(const T* x, const T* g, T* dx, int64_t rows, int64_t n) {
  parallel_for(rows, chunk_items(n), [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T* row = x + r * n;
      T* to = dx + r * n;
      double before = static_cast<double>(g[r]);  // times the product of what lies before i, then after it
      for (int64_t i = 0; i < n; ++i) to[i] = static_cast<T>(before), before *= static_cast<double>(row[i]);
      double after = 1;
      for (int64_t i = n - 1; i >= 0; --i) {
        to[i] = static_cast<T>(static_cast<double>(to[i]) * after);
        after *= static_cast<double>(row[i]);
      }
    }
  });
}

template <class T, class O>
void cumulate(const T* x, O* y, int64_t outer, int64_t n, int64_t inner, bool reverse) {
  constexpr int64_t kTile = 64;
  const int64_t tiles = (inner + kTile - 1) / kTile, work = n * (inner < kTile ? inner : kTile);
  parallel_for(outer * tiles, chunk_items(work + 1), [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i % tiles * kTile, count = inner - first < kTile ? inner - first : kTile;
      if (inner == 1) {
        const T* from = x + i * n;
        O* to = y + i * n;
        Wide<T> total = 0;
        for (int64_t k = 0; k < n; ++k) {
          const int64_t at = reverse ? n - 1 - k : k;
          total += static_cast<Wide<T>>(from[at]);
          to[at] = static_cast<O>(total);
        }
        continue;
      }
      Wide<T> sum[kTile] = {};
      for (int64_t k = 0; k < n; ++k) {
        const int64_t at = (i / tiles * n + (reverse ? n - 1 - k : k)) * inner + first;
        for (int64_t j = 0; j < count; ++j) {
          sum[j] += static_cast<Wide<T>>(x[at + j]);
          y[at + j] = static_cast<O>(sum[j]);
        }
      }
    }
  });
}

#define INSTANTIATE(T)                                                                                    \
  template void reduce_gradient(ReduceGradient, const LoopPlan<4>&, T*, const T*, const T*, const T*, T); \
  template void product_gradient(const T*, const T*, T*, int64_t, int64_t);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE
template void cumulate(const float*, float*, int64_t, int64_t, int64_t, bool);
template void cumulate(const double*, double*, int64_t, int64_t, int64_t, bool);
template void cumulate(const int64_t*, int64_t*, int64_t, int64_t, int64_t, bool);
template void cumulate(const int32_t*, int64_t*, int64_t, int64_t, int64_t, bool);
template void cumulate(const int8_t*, int64_t*, int64_t, int64_t, int64_t, bool);
template void cumulate(const uint8_t*, int64_t*, int64_t, int64_t, int64_t, bool);

}  // namespace tern::kernels::TERN_ISA
