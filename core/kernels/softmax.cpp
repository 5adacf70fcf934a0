#include <tern/core/kernels/detail/simd.h>
#include <tern/core/kernels/softmax.h>

namespace tern::kernels::TERN_ISA {
namespace {

constexpr int64_t kGrain = 8192;  // elements in a chunk
constexpr int64_t kBlock = 128;   // vectors added up in single precision before the sum moves on to f64

int64_t rows_at_once(int64_t n) {
  return n < kGrain ? kGrain / (n > 1 ? n : 1) : 1;
}

// Calls body(i, count) for the vectors of a row of n: count is kWidth, less for the last.
template <class T, class Body>
[[gnu::always_inline]] inline void for_vectors(int64_t n, const Body& body) {
  constexpr int64_t W = Simd<T>::kWidth;
  int64_t i = 0;
  for (; i + W <= n; i += W) body(i, W);
  if (i < n) body(i, n - i);
}

template <class T>
[[gnu::always_inline]] inline typename Simd<T>::Vec load_up_to(const T* p, int64_t count, T fill) {
  return count == Simd<T>::kWidth ? Simd<T>::load(p) : Simd<T>::load_first(p, count, fill);
}

template <class T>
[[gnu::always_inline]] inline void store_up_to(T* p, typename Simd<T>::Vec v, int64_t count) {
  if (count == Simd<T>::kWidth)
    Simd<T>::store(p, v);
  else
    Simd<T>::store_first(p, v, count);
}

// Sum over a row of term(i, count), whose lanes from `count` on are 0.
template <class T, class Term>
[[gnu::always_inline]] inline double sum_row(int64_t n, const Term& term) {
  typename Simd<T>::Vec lanes{};
  double total = 0;
  int64_t in_block = 0;
  for_vectors<T>(
      n, [&](int64_t i, int64_t count) __attribute__((always_inline)) {
        lanes += term(i, count);
        if (++in_block == kBlock) {
          total += sum_of_lanes(lanes);
          lanes = typename Simd<T>::Vec{};
          in_block = 0;
        }
      });
  return total + sum_of_lanes(lanes);
}

template <class T>
constexpr T kMinusInfinity = -__builtin_inf();

template <class T>
T largest(const T* x, int64_t n) {
  typename Simd<T>::Vec lanes = Simd<T>::broadcast(kMinusInfinity<T>);
  for_vectors<T>(
      n, [&](int64_t i, int64_t count)
             __attribute__((always_inline)) { lanes = larger(lanes, load_up_to(x + i, count, kMinusInfinity<T>)); });
  T m = lanes[0];
  for (int l = 1; l < Simd<T>::kWidth; ++l) m = larger(m, T(lanes[l]));
  return m;
}

// log(sum(exp(x))) of a row, as its largest element, left in *top, and what it lies above that: exact for logits of any
// size, of which the sum of the two would lose the second. NaN where the largest element is infinite: a softmax has no
// value there.
template <class T>
double log_sum_exp_above(const T* x, int64_t n, T* top) {
  const T m = largest(x, n);
  *top = m;
  if (m == kMinusInfinity<T> || m == -kMinusInfinity<T>) return __builtin_nan("");
  const double sum = sum_row<T>(
      n, [&](int64_t i, int64_t count)
             __attribute__((always_inline)) { return exponential(load_up_to(x + i, count, kMinusInfinity<T>) - m); });
  return __builtin_log(sum);
}

template <class T>
void softmax_row(const T* x, T* y, int64_t n, bool logarithm) {
  const T m = largest(x, n);
  const double sum = sum_row<T>(
      n, [&](int64_t i, int64_t count) __attribute__((always_inline)) {
        const auto e = exponential(load_up_to(x + i, count, kMinusInfinity<T>) - m);
        if (!logarithm) store_up_to(y + i, e, count);
        return e;
      });
  if (logarithm) {
    const T log_sum = static_cast<T>(__builtin_log(sum));
    for_vectors<T>(
        n, [&](int64_t i, int64_t count) __attribute__((always_inline)) {
          store_up_to(y + i, load_up_to(x + i, count, T(0)) - m - log_sum, count);
        });
  } else {
    const T factor = static_cast<T>(1 / sum);
    for_vectors<T>(
        n, [&](int64_t i, int64_t count)
               __attribute__((always_inline)) { store_up_to(y + i, load_up_to(y + i, count, T(0)) * factor, count); });
  }
}

template <class T>
void softmax_backward_row(const T* y, const T* dy, T* dx, int64_t n, bool logarithm) {
  const T dot = static_cast<T>(sum_row<T>(
      n, [&](int64_t i, int64_t count) __attribute__((always_inline)) {
        const auto g = load_up_to(dy + i, count, T(0));
        return logarithm ? g : g * load_up_to(y + i, count, T(0));
      }));
  for_vectors<T>(
      n, [&](int64_t i, int64_t count) __attribute__((always_inline)) {
        const auto p = load_up_to(y + i, count, T(0)), g = load_up_to(dy + i, count, T(0));
        store_up_to(dx + i, logarithm ? g - exponential(p) * dot : p * (g - dot), count);
      });
}

// One vector of neighbouring columns, `step` elements from row to row. Sums move on to f64 as in sum_row.
template <class T>
struct ColumnSum {
  typename Simd<T>::Vec lanes{};
  double total[Simd<T>::kWidth] = {};
  int64_t in_block = 0;
  void add(typename Simd<T>::Vec v) {
    lanes += v;
    if (++in_block == kBlock) flush();
  }
  void flush() {
    for (int l = 0; l < Simd<T>::kWidth; ++l) total[l] += static_cast<double>(lanes[l]);
    lanes = typename Simd<T>::Vec{};
    in_block = 0;
  }
};

template <class T>
void softmax_columns(const T* x, T* y, int64_t n, int64_t step, int64_t count, bool logarithm) {
  typename Simd<T>::Vec m = Simd<T>::broadcast(kMinusInfinity<T>);
  for (int64_t k = 0; k < n; ++k) m = larger(m, load_up_to(x + k * step, count, T(0)));
  ColumnSum<T> sum;
  for (int64_t k = 0; k < n; ++k) {
    const auto e = exponential(load_up_to(x + k * step, count, T(0)) - m);
    if (!logarithm) store_up_to(y + k * step, e, count);
    sum.add(e);
  }
  sum.flush();
  typename Simd<T>::Vec last;
  for (int l = 0; l < Simd<T>::kWidth; ++l)
    last[l] = static_cast<T>(logarithm ? __builtin_log(sum.total[l]) : 1 / sum.total[l]);
  for (int64_t k = 0; k < n; ++k) {
    if (logarithm)
      store_up_to(y + k * step, load_up_to(x + k * step, count, T(0)) - m - last, count);
    else
      store_up_to(y + k * step, load_up_to(y + k * step, count, T(0)) * last, count);
  }
}

template <class T>
void softmax_backward_columns(const T* y, const T* dy, T* dx, int64_t n, int64_t step, int64_t count, bool logarithm) {
  ColumnSum<T> sum;
  for (int64_t k = 0; k < n; ++k) {
    const auto g = load_up_to(dy + k * step, count, T(0));
    sum.add(logarithm ? g : g * load_up_to(y + k * step, count, T(0)));
  }
  sum.flush();
  typename Simd<T>::Vec dot;
  for (int l = 0; l < Simd<T>::kWidth; ++l) dot[l] = static_cast<T>(sum.total[l]);
  for (int64_t k = 0; k < n; ++k) {
    const auto p = load_up_to(y + k * step, count, T(0)), g = load_up_to(dy + k * step, count, T(0));
    store_up_to(dx + k * step, logarithm ? g - exponential(p) * dot : p * (g - dot), count);
  }
}

// Calls row(offset) for rows along a stride-1 axis, or columns(offset, count) for vectors of neighbouring columns.
template <class T, class Row, class Columns>
void over_axis(int64_t outer, int64_t n, int64_t inner, const Row& row, const Columns& columns) {
  if (inner == 1) {
    parallel_for(outer, rows_at_once(n), [&](int64_t begin, int64_t end) {
      for (int64_t r = begin; r < end; ++r) row(r * n);
    });
    return;
  }
  constexpr int64_t W = Simd<T>::kWidth;
  const int64_t strips = (inner + W - 1) / W;
  parallel_for(outer * strips, rows_at_once(n * W), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t first = i % strips * W;
      columns(i / strips * n * inner + first, inner - first < W ? inner - first : W);
    }
  });
}

}  // namespace

template <class T>
void softmax(const T* x, T* y, int64_t outer, int64_t n, int64_t inner, bool logarithm) {
  over_axis<T>(
      outer, n, inner, [=](int64_t at) { softmax_row(x + at, y + at, n, logarithm); },
      [=](int64_t at, int64_t count) { softmax_columns(x + at, y + at, n, inner, count, logarithm); });
}

template <class T>
void softmax_backward(const T* y, const T* dy, T* dx, int64_t outer, int64_t n, int64_t inner, bool logarithm) {
  over_axis<T>(
      outer, n, inner, [=](int64_t at) { softmax_backward_row(y + at, dy + at, dx + at, n, logarithm); },
      [=](int64_t at, int64_t count) {
        softmax_backward_columns(y + at, dy + at, dx + at, n, inner, count, logarithm);
      });
}

template <class T>
void cross_entropy(const T* x, const int64_t* label, const T* weight, int64_t rows, int64_t n, int64_t ignore,
                   double smoothing, T* lse, T* loss) {
  const double b = smoothing / static_cast<double>(n);
  double total_weight = static_cast<double>(n);
  if (weight != nullptr) {
    total_weight = 0;
    for (int64_t c = 0; c < n; ++c) total_weight += static_cast<double>(weight[c]);
  }
  parallel_for(rows, rows_at_once(n), [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T* row = x + r * n;
      T top;
      const double above = log_sum_exp_above(row, n, &top);
      lse[2 * r] = top, lse[2 * r + 1] = static_cast<T>(above);
      if (label[r] == ignore) {
        loss[r] = 0;
        continue;
      }
      const double w = weight == nullptr ? 1.0 : static_cast<double>(weight[label[r]]);
      double value = (1 - smoothing) * w * (static_cast<double>(top) - static_cast<double>(row[label[r]]) + above);
      if (smoothing != 0) {
        const double below_top = sum_row<T>(
            n, [&](int64_t i, int64_t count) __attribute__((always_inline)) {
              const auto d = top - load_up_to(row + i, count, top);
              return weight == nullptr ? d : d * load_up_to(weight + i, count, T(0));
            });
        value += b * (below_top + total_weight * above);
      }
      loss[r] = static_cast<T>(value);
    }
  });
}

template <class T>
void cross_entropy_backward(const T* x, const int64_t* label, const T* weight, const T* lse, const T* dloss,
                            double scale, int64_t rows, int64_t n, int64_t ignore, double smoothing, T* dx) {
  const double b = smoothing / static_cast<double>(n);
  double total_weight = static_cast<double>(n);
  if (weight != nullptr) {
    total_weight = 0;
    for (int64_t c = 0; c < n; ++c) total_weight += static_cast<double>(weight[c]);
  }
  parallel_for(rows, rows_at_once(n), [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T* row = x + r * n;
      T* out = dx + r * n;
      if (label[r] == ignore) {
        for (int64_t c = 0; c < n; ++c) out[c] = 0;
        continue;
      }
      const double g = dloss == nullptr ? scale : scale * static_cast<double>(dloss[r]);
      const double a = (1 - smoothing) * (weight == nullptr ? 1.0 : static_cast<double>(weight[label[r]]));
      const T of_softmax = static_cast<T>(g * (a + b * total_weight)), of_class = static_cast<T>(g * b);
      const T top = lse[2 * r], above = lse[2 * r + 1];
      for_vectors<T>(
          n, [&](int64_t i, int64_t count) __attribute__((always_inline)) {
            auto d = exponential(load_up_to(row + i, count, T(0)) - top - above) * of_softmax;
            if (weight == nullptr)
              d = d - of_class;
            else
              d = d - of_class * load_up_to(weight + i, count, T(0));
            store_up_to(out + i, d, count);
          });
      out[label[r]] -= static_cast<T>(g * a);
    }
  });
}

template <class T>
void cross_entropy_soft(const T* x, const T* t, const T* weight, int64_t rows, int64_t n, double smoothing, T* lse,
                        T* loss) {
  const T a = static_cast<T>(1 - smoothing), b = static_cast<T>(smoothing / static_cast<double>(n));
  parallel_for(rows, rows_at_once(n), [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T *row = x + r * n, *target = t + r * n;
      T top;
      const T above = static_cast<T>(log_sum_exp_above(row, n, &top));
      lse[2 * r] = top, lse[2 * r + 1] = above;
      loss[r] = static_cast<T>(sum_row<T>(
          n, [&](int64_t i, int64_t count) __attribute__((always_inline)) {
            auto term = (load_up_to(target + i, count, T(0)) * a + b) * (top - load_up_to(row + i, count, top) + above);
            if (weight != nullptr) term = term * load_up_to(weight + i, count, T(0));
            for (int64_t l = count; l < Simd<T>::kWidth; ++l) term[l] = 0;
            return term;
          }));
    }
  });
}

template <class T>
void cross_entropy_soft_backward(const T* x, const T* t, const T* weight, const T* lse, const T* dloss, double scale,
                                 int64_t rows, int64_t n, double smoothing, T* dx, T* dt) {
  const T a = static_cast<T>(1 - smoothing), b = static_cast<T>(smoothing / static_cast<double>(n));
  parallel_for(rows, rows_at_once(n), [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T *row = x + r * n, *target = t + r * n;
      const T g = static_cast<T>(dloss == nullptr ? scale : scale * static_cast<double>(dloss[r]));
      const T top = lse[2 * r], above = lse[2 * r + 1];
      if (dx != nullptr) {
        const auto weighted = [&](int64_t i, int64_t count) __attribute__((always_inline)) {
          const auto v = load_up_to(target + i, count, T(0)) * a + b;
          return weight == nullptr ? v : v * load_up_to(weight + i, count, T(0));
        };
        const T total = static_cast<T>(sum_row<T>(
            n, [&](int64_t i, int64_t count) __attribute__((always_inline)) {
              auto v = weighted(i, count);
              for (int64_t k = count; k < Simd<T>::kWidth; ++k) v[k] = 0;
              return v;
            }));
        for_vectors<T>(
            n, [&](int64_t i, int64_t count) __attribute__((always_inline)) {
              const auto p = exponential(load_up_to(row + i, count, T(0)) - top - above);
              store_up_to(dx + r * n + i, (p * total - weighted(i, count)) * g, count);
            });
      }
      if (dt != nullptr) {
        for_vectors<T>(
            n, [&](int64_t i, int64_t count) __attribute__((always_inline)) {
              auto d = (top - load_up_to(row + i, count, T(0)) + above) * (g * a);
              if (weight != nullptr) d = d * load_up_to(weight + i, count, T(0));
              store_up_to(dt + r * n + i, d, count);
            });
      }
    }
  });
}

#define INSTANTIATE(T)                                                                                          \
  template void softmax(const T*, T*, int64_t, int64_t, int64_t, bool);                                         \
  template void softmax_backward(const T*, const T*, T*, int64_t, int64_t, int64_t, bool);                      \
  template void cross_entropy(const T*, const int64_t*, const T*, int64_t, int64_t, int64_t, double, T*, T*);   \
  template void cross_entropy_backward(const T*, const int64_t*, const T*, const T*, const T*, double, int64_t, \
                                       int64_t, int64_t, double, T*);                                           \
  template void cross_entropy_soft(const T*, const T*, const T*, int64_t, int64_t, double, T*, T*);             \
  template void cross_entropy_soft_backward(const T*, const T*, const T*, const T*, const T*, double, int64_t,  \
                                            int64_t, double, T*, T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tern::kernels::TERN_ISA
