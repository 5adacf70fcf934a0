#include <tern/core/kernels/detail/simd.h>
#include <tern/core/kernels/matvec.h>

// One matrix element takes part in one multiply-add, so these loops run at the speed of memory: rows several at a time
// share the loads of x, and several independent sums hide the latency of the additions.

namespace tern::kernels::TERN_ISA {
namespace {

constexpr int64_t kLanes = 32;  // independent sums a row
template <class T>
constexpr int kSums = kLanes / Simd<T>::kWidth;  // vectors of them
template <class T>
constexpr int kRowsTogether = kSums<T> >= 8 ? 1 : 8 / kSums<T>;  // eight vectors of sums stay in registers
constexpr int64_t kAhead = 512;                                  // bytes of each row asked for in advance

// The sum of kLanes lanes, always in the same order.
template <class T>
T lane_sum(const T* lanes) {
  T s[kLanes];
  for (int64_t i = 0; i < kLanes; ++i) s[i] = lanes[i];
  for (int64_t half = kLanes / 2; half > 0; half /= 2)
    for (int64_t i = 0; i < half; ++i) s[i] += s[i + half];
  return s[0];
}

// out[r] = dot(a[r, :], x) for R rows; each sum in the same order for every R.
template <int R, class T>
[[gnu::noinline]] void dots(const T* a, int64_t lda, const T* x, int64_t n, T* out) {
  using S = Simd<T>;
  typename S::Vec sums[R][kSums<T>] = {};
  const T* rows[R];
#pragma GCC unroll 8
  for (int r = 0; r < R; ++r) rows[r] = a + r * lda;
  int64_t i = 0;
  for (; i + kLanes <= n; i += kLanes) {
#pragma GCC unroll 8
    for (int r = 0; r < R; ++r) __builtin_prefetch(reinterpret_cast<const char*>(rows[r] + i) + kAhead);
#pragma GCC unroll 8
    for (int v = 0; v < kSums<T>; ++v) {
      const typename S::Vec value = S::load(x + i + v * S::kWidth);
#pragma GCC unroll 8
      for (int r = 0; r < R; ++r) sums[r][v] += S::load(rows[r] + i + v * S::kWidth) * value;
    }
  }
  for (int r = 0; r < R; ++r) {
    T lanes[kLanes];
    for (int v = 0; v < kSums<T>; ++v) S::store(lanes + v * S::kWidth, sums[r][v]);
    for (int64_t l = 0; i + l < n; ++l) lanes[l] += rows[r][i + l] * x[i + l];
    out[r] = lane_sum(lanes);
  }
}

}  // namespace

template <class T>
void matvec_rows(const T* a, int64_t lda, const T* x, T* y, int64_t y_stride, int64_t rows, int64_t n,
                 bool accumulate) {
  constexpr int R = kRowsTogether<T>;
  T sums[R];
  for (int64_t i = 0; i < rows;) {
    const int64_t count = rows - i < R ? 1 : R;
    if (count == R)
      dots<R>(a + i * lda, lda, x, n, sums);
    else
      dots<1>(a + i * lda, lda, x, n, sums);
    for (int64_t r = 0; r < count; ++r) {
      T& to = y[(i + r) * y_stride];
      to = accumulate ? to + sums[r] : sums[r];
    }
    i += count;
  }
}

template <class T>
void matvec_columns(const T* a, int64_t lda, const T* x, T* y, int64_t n, int64_t k, bool accumulate) {
  if (!accumulate)
    for (int64_t j = 0; j < n; ++j) y[j] = T(0);
  int64_t i = 0;
  for (; i + 4 <= k; i += 4) {  // four rows a pass over y
    const T *a0 = a + i * lda, *a1 = a0 + lda, *a2 = a1 + lda, *a3 = a2 + lda;
    const T x0 = x[i], x1 = x[i + 1], x2 = x[i + 2], x3 = x[i + 3];
    for (int64_t j = 0; j < n; ++j) y[j] += (x0 * a0[j] + x1 * a1[j]) + (x2 * a2[j] + x3 * a3[j]);
  }
  for (; i < k; ++i)
    for (int64_t j = 0; j < n; ++j) y[j] += x[i] * a[i * lda + j];
}

template <class T>
void sum_partials(const T* partials, int64_t count, int64_t step, T* out, int64_t out_stride, int64_t m, int64_t n) {
  const int64_t rows = chunk_items(n * count);
  parallel_for(m, rows, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      T* o = out + i * out_stride;
      const T* p = partials + i * n;
      for (int64_t j = 0; j < n; ++j) o[j] = p[j];
      for (int64_t q = 1; q < count; ++q)
        for (int64_t j = 0; j < n; ++j) o[j] += p[q * step + j];
    }
  });
}

#define INSTANTIATE(T)                                                                         \
  template void matvec_rows(const T*, int64_t, const T*, T*, int64_t, int64_t, int64_t, bool); \
  template void matvec_columns(const T*, int64_t, const T*, T*, int64_t, int64_t, bool);       \
  template void sum_partials(const T*, int64_t, int64_t, T*, int64_t, int64_t, int64_t);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tern::kernels::TERN_ISA
