#include <tern/core/kernels/detail/reduce_loops.h>
#include <tern/core/kernels/reduce.h>

namespace tern::kernels::TERN_ISA {
namespace {

template <class T>
constexpr bool kIsFloat = T(0.5) != T(0);

template <class V>
V magnitude(V x) {
  return x < V{} ? -x : x + V{};  // +0 of -0 too
}
template <class V>
V one_where(V x, V y) {
  return x == y ? V{} + 1 : V{};
}

template <class T>
struct Adding {
  using Result = Wide<T>;
  using Element = Wide<T>;
  static constexpr bool kVector = kIsFloat<T>;
  static constexpr bool kShifted = false;
  static constexpr Result kStart = 0;
  template <class V>
  static V join(V a, V b) {
    return a + b;
  }
};
template <class T>
struct Sum : Adding<T> {
  template <class V>
  static V map(V x, V) {
    return x;
  }
};
template <class T>
struct AbsSum : Adding<T> {
  template <class V>
  static V map(V x, V) {
    return magnitude(x);
  }
};
template <class T>
struct SquareSum : Adding<T> {
  template <class V>
  static V map(V x, V) {
    return x * x;
  }
};

template <class T>
struct ShiftedAdding : Adding<T> {
  static constexpr bool kShifted = true;
};
template <class T>
struct SquareSumAround : ShiftedAdding<T> {
  template <class V>
  static V map(V x, V shift) {
    return (x - shift) * (x - shift);
  }
};
template <class T>
struct ExpSum : ShiftedAdding<T> {
  template <class V>
  static V map(V x, V shift) {
    return exponential(x - shift);
  }
};
template <class T>
struct CountEqual : ShiftedAdding<T> {
  template <class V>
  static V map(V x, V shift) {
    return one_where(x, shift);
  }
};
template <class T>
struct CountAbsEqual : ShiftedAdding<T> {
  template <class V>
  static V map(V x, V shift) {
    return one_where(magnitude(x), shift);
  }
};
template <class T>
struct CountNonzero {
  using Result = int64_t;
  using Element = T;
  static constexpr bool kVector = false;
  static constexpr bool kShifted = false;
  static constexpr Result kStart = 0;
  static Result map(T x, T) { return x != T(0); }
  static Result join(Result a, Result b) { return a + b; }
};

// Extremes stay what they are: T for floats, a wider integer for integers.
template <class T>
struct ExtremeOf : Adding<T> {
  struct IfFloat {
    using type = T;
    static constexpr T least = -__builtin_inf(), most = __builtin_inf();
  };
  struct IfInteger {
    using type = int64_t;
    static constexpr int64_t least = INT64_MIN, most = INT64_MAX;
  };
  template <bool kFloat, int kDummy = 0>
  struct Choose : IfFloat {};
  template <int kDummy>
  struct Choose<false, kDummy> : IfInteger {};
  using Limits = Choose<kIsFloat<T>>;
  using Result = typename Limits::type;
  using Element = Result;
  template <class V>
  static V map(V x, V) {
    return x;
  }
};
template <class T>
struct Max : ExtremeOf<T> {
  static constexpr typename ExtremeOf<T>::Result kStart = ExtremeOf<T>::Limits::least;
  template <class V>
  static V join(V a, V b) {
    return larger(a, b);
  }
};
template <class T>
struct Min : ExtremeOf<T> {
  static constexpr typename ExtremeOf<T>::Result kStart = ExtremeOf<T>::Limits::most;
  template <class V>
  static V join(V a, V b) {
    return smaller(a, b);
  }
};
template <class T>
struct AbsMax : Max<T> {
  static constexpr T kStart = 0;
  template <class V>
  static V map(V x, V) {
    return magnitude(x);
  }
};
template <class T>
struct Product : Adding<T> {
  static constexpr Wide<T> kStart = 1;
  template <class V>
  static V map(V x, V) {
    return x;
  }
  template <class V>
  static V join(V a, V b) {
    return a * b;
  }
};

// Whether `x` comes before `best` in the search for an extreme, with NaN before all numbers.
template <class T>
bool beats(T x, T best, bool largest) {
  return ((largest ? x > best : x < best) | ((x != x) & (best == best))) != 0;
}

template <class T>
int64_t place_in_row(const T* row, int64_t n, int64_t step, bool largest) {
  int64_t best = 0;
  if constexpr (kIsFloat<T>) {
    if (step == 1 && n >= 4 * Simd<T>::kWidth) {  // the extreme first, then where it is
      const T top =
          static_cast<T>(largest ? reduce_run<Max<T>, T>(row, n, 1, T(0)) : reduce_run<Min<T>, T>(row, n, 1, T(0)));
      if (top == top)
        while (!(row[best] == top)) ++best;
      else
        while (row[best] == row[best]) ++best;
      return best;
    }
  }
  T value = row[0];
  for (int64_t k = 1; k < n; ++k) {
    const T v = row[k * step];
    const bool better = beats(v, value, largest);
    value = better ? v : value;
    best = better ? k : best;
  }
  return best;
}

}  // namespace

template <class T>
void reduce(ReduceKind kind, const ReducePlan& p, const T* x, const T* shift, T* out, double divisor,
            Wide<T>* partial) {
  const auto as_is = [](Wide<T> result, int64_t) { return static_cast<T>(result); };
  switch (kind) {
    case ReduceKind::kMax:
      return run_reduction<Max<T>>(p, x, shift, out, partial, as_is);
    case ReduceKind::kMin:
      return run_reduction<Min<T>>(p, x, shift, out, partial, as_is);
    case ReduceKind::kProduct:
      return run_reduction<Product<T>>(p, x, shift, out, partial, as_is);
    case ReduceKind::kSum:
      if constexpr (!kIsFloat<T>) return run_reduction<Sum<T>>(p, x, shift, out, partial, as_is);
      break;
    default:
      break;
  }
  if constexpr (kIsFloat<T>) {
    const auto divided = [=](double result, int64_t) { return static_cast<T>(result / divisor); };
    switch (kind) {
      case ReduceKind::kSum:
        return run_reduction<Sum<T>>(p, x, shift, out, partial, divided);
      case ReduceKind::kAbsSum:
        return run_reduction<AbsSum<T>>(p, x, shift, out, partial, as_is);
      case ReduceKind::kNorm:
        return run_reduction<SquareSum<T>>(
            p, x, shift, out, partial, [](double result, int64_t) { return static_cast<T>(__builtin_sqrt(result)); });
      case ReduceKind::kVariance:
        return run_reduction<SquareSumAround<T>>(p, x, shift, out, partial, divided);
      case ReduceKind::kDeviation:
        return run_reduction<SquareSumAround<T>>(p, x, shift, out, partial, [=](double result, int64_t) {
          return static_cast<T>(__builtin_sqrt(result / divisor));
        });
      case ReduceKind::kLogSumExp:
        return run_reduction<ExpSum<T>>(p, x, shift, out, partial, [=](double result, int64_t o) {
          const T top = shift[o];
          const bool infinite = top - top != T(0) && top == top;
          return infinite ? top : static_cast<T>(static_cast<double>(top) + __builtin_log(result));
        });
      case ReduceKind::kCountEqual:
        return run_reduction<CountEqual<T>>(p, x, shift, out, partial, as_is);
      case ReduceKind::kCountAbsEqual:
        return run_reduction<CountAbsEqual<T>>(p, x, shift, out, partial, as_is);
      case ReduceKind::kAbsMax:
        return run_reduction<AbsMax<T>>(p, x, shift, out, partial, as_is);
      default:
        break;
    }
  }
}

template <class T>
void count_nonzero(const ReducePlan& p, const T* x, int64_t* out, int64_t* partial) {
  run_reduction<CountNonzero<T>>(p, x, static_cast<const T*>(nullptr), out, partial,
                                 [](int64_t result, int64_t) { return result; });
}

template <class T>
void extreme(const ReducePlan& p, const T* x, T* values, int64_t* indices, bool largest) {
  if (p.kept == 0) return;
  const int64_t n = p.reduced, step = p.reduced_axes == 0 ? 0 : p.reduced_stride[0];
  constexpr int64_t kTile = 128;
  if (!p.columns) {
    parallel_for(p.kept, chunk_items(n), [&](int64_t begin, int64_t end) {
      Walk<2> walk{p.kept_axes, p.kept_size, {p.kept_stride, p.out_stride}};
      walk.seek(begin);
      for (int64_t o = begin; o < end; ++o, walk.next()) {
        const T* row = x + walk.at[0];
        const int64_t best = place_in_row(row, n, step, largest);
        values[walk.at[1]] = row[best * step];
        indices[walk.at[1]] = best;
      }
    });
    return;
  }
  const int64_t inner = p.kept_size[0], tiles = (inner + kTile - 1) / kTile, work = n * kTile;
  parallel_for(p.kept / inner * tiles, chunk_items(work), [&](int64_t begin, int64_t end) {
    Walk<2> outer{p.kept_axes - 1, p.kept_size + 1, {p.kept_stride + 1, p.out_stride + 1}};
    T best[kTile];
    int64_t where[kTile];
    for (int64_t i = begin; i < end; ++i) {
      outer.seek(i / tiles);
      const int64_t first = i % tiles * kTile, count = inner - first < kTile ? inner - first : kTile;
      const T* column = x + outer.at[0] + first * p.kept_stride[0];
      for (int64_t j = 0; j < count; ++j) best[j] = column[j * p.kept_stride[0]], where[j] = 0;
      for (int64_t k = 1; k < n; ++k) {
        for (int64_t j = 0; j < count; ++j) {
          const T v = column[k * step + j * p.kept_stride[0]];
          const bool better = beats(v, best[j], largest);
          best[j] = better ? v : best[j];
          where[j] = better ? k : where[j];
        }
      }
      for (int64_t j = 0; j < count; ++j) {
        values[outer.at[1] + (first + j) * p.out_stride[0]] = best[j];
        indices[outer.at[1] + (first + j) * p.out_stride[0]] = where[j];
      }
    }
  });
}

#define INSTANTIATE(T)                                                                           \
  template void reduce(ReduceKind, const ReducePlan&, const T*, const T*, T*, double, Wide<T>*); \
  template void count_nonzero(const ReducePlan&, const T*, int64_t*, int64_t*);                  \
  template void extreme(const ReducePlan&, const T*, T*, int64_t*, bool);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(int64_t)
#undef INSTANTIATE

}  // namespace tern::kernels::TERN_ISA
