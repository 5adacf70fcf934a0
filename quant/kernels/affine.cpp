#include <tern/core/rounding.h>
#include <tern/quant/kernels/affine.h>
#include <tern/quant/kernels/code_loop.h>

namespace tern::kernels::TERN_ISA {
namespace {

// What codes elements of one scale. A code is round_clamp(quotient(x), low, high) + shift.
template <class T>
struct Coder {
  T factor, bias, low, high, scale;
  int32_t zero, shift;
  bool multiply;

  T quotient(T x) const { return (multiply ? x * factor : x / factor) + bias; }
  // A code without the shift, less the zero point: what the scale multiplies.
  T level(T code) const { return code - bias; }
};

template <class T>
Coder<T> coder_at(const AffineScalars<T>& a, int64_t s) {
  const int32_t zero = a.zero != nullptr ? a.zero[s] : 0, shift = a.fused ? 0 : zero;
  const T offset = static_cast<T>(shift);
  return {a.multiply ? T(1) / a.scale[s] : a.scale[s],
          static_cast<T>(zero - shift),
          a.low - offset,
          a.high - offset,
          a.scale[s],
          zero,
          shift,
          a.multiply};
}

int64_t total_rows(const AffineLayout& layout) {
  return layout.outer * layout.rows;
}

// body(coder, begin, n) for runs of elements of one scale.
template <class T, class Body>
void for_each_run(const AffineScalars<T>& a, const Body& body) {
  const AffineLayout& layout = a.layout;
  parallel_for(total_rows(layout), chunk_items(layout.length), [&](int64_t first, int64_t last) {
    for (int64_t index = first; index < last; ++index) {
      const AffineRow row = row_of(layout, index);
      if (layout.element_stride == 0) {
        body(coder_at(a, row.scale), row.begin, row.n);
        continue;
      }
      for (int64_t i = 0; i < row.n; ++i) body(coder_at(a, row.scale + i), row.begin + i, int64_t{1});
    }
  });
}

template <class T>
bool has_nan(const T* x, int64_t n) {
  int32_t found = 0;
  for (int64_t i = 0; i < n; ++i) found |= x[i] != x[i];
  return found != 0;
}

// Set by any thread, read after all.
struct Flag {
  bool value = false;
  void set() { __atomic_store_n(&value, true, __ATOMIC_RELAXED); }
};

template <class T>
struct Extremes {
  T low, high;
  int32_t not_finite;
};

template <class T>
Extremes<T> extremes(const T* x, int64_t n) {
  Extremes<T> e{x[0], x[0], 0};
  for (int64_t i = 0; i < n; ++i) {
    e.low = x[i] < e.low ? x[i] : e.low;
    e.high = x[i] > e.high ? x[i] : e.high;
    e.not_finite |= !(x[i] - x[i] == T(0));
  }
  return e;
}

}  // namespace

// Cut by scales, so that the result does not depend on the threads: rows of a scale, or columns of elements of their
// own.
template <class T>
bool affine_ranges(const T* x, const AffineLayout& layout, int64_t scales, T* lows, T* highs) {
  const T infinity = static_cast<T>(__builtin_inff());
  for (int64_t s = 0; s < scales; ++s) lows[s] = infinity, highs[s] = -infinity;
  Flag not_finite;
  const int64_t total = total_rows(layout);
  if (layout.element_stride == 1) {
    constexpr int64_t kColumns = 64;
    parallel_for(layout.length, kColumns, [&](int64_t first, int64_t last) {
      int32_t bad = 0;
      for (int64_t index = 0; index < total; ++index) {
        const AffineRow row = row_of(layout, index);
        const T* const from = x + row.begin;
        T *const low = lows + row.scale, *const high = highs + row.scale;
        for (int64_t i = first; i < last; ++i) {
          low[i] = from[i] < low[i] ? from[i] : low[i];
          high[i] = from[i] > high[i] ? from[i] : high[i];
          bad |= !(from[i] - from[i] == T(0));
        }
      }
      if (bad != 0) not_finite.set();
    });
    return !not_finite.value;
  }
  const auto take = [&](int64_t index, T* low, T* high) {
    const AffineRow row = row_of(layout, index);
    if (row.n == 0) return;
    const Extremes<T> e = extremes(x + row.begin, row.n);
    *low = e.low < *low ? e.low : *low;
    *high = e.high > *high ? e.high : *high;
    if (e.not_finite != 0) not_finite.set();
  };
  if (layout.outer_stride == layout.rows && layout.row_stride == 1 && layout.rows_per_scale == 1) {  // groups
    parallel_for(total, chunk_items(layout.length), [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; ++r) take(r, lows + r, highs + r);
    });
  } else if (layout.row_stride == 1) {  // channels
    parallel_for(layout.rows, chunk_items(layout.length * layout.outer), [&](int64_t first, int64_t last) {
      for (int64_t r = first; r < last; ++r)
        for (int64_t o = 0; o < layout.outer; ++o) take(o * layout.rows + r, lows + r, highs + r);
    });
  } else {  // one scale
    for (int64_t r = 0; r < total; ++r) take(r, lows, highs);
  }
  return !not_finite.value;
}

template <class T, class Code>
bool affine_codes(const AffineScalars<T>& a, const T* x, Code* codes) {
  Flag nan;
  for_each_run(a, [&](const Coder<T>& coder, int64_t begin, int64_t n) {
    const T* const from = x + begin;
    if (has_nan(from, n)) nan.set();
    write_codes(n, coder.low, coder.high, coder.shift, codes + begin,
                [=](int64_t i) { return coder.quotient(from[i] == from[i] ? from[i] : T(0)); });
  });
  return !nan.value;
}

template <class T, class Code>
void affine_values(const AffineScalars<T>& a, const Code* codes, T* out) {
  for_each_run(a, [&](const Coder<T>& coder, int64_t begin, int64_t n) {
    for (int64_t i = begin; i < begin + n; ++i)
      out[i] = static_cast<T>(static_cast<int32_t>(codes[i]) - coder.zero) * coder.scale;
  });
}

template <class T>
bool affine_round_trip(const AffineScalars<T>& a, const T* x, T* out, uint8_t* inside) {
  Flag nan;
  for_each_run(a, [&](const Coder<T>& coder, int64_t begin, int64_t n) {
    const T* const from = x + begin;
    T* const to = out + begin;
    if (has_nan(from, n)) nan.set();
    for (int64_t i = 0; i < n; ++i)
      to[i] = coder.level(round_clamp(coder.quotient(from[i]), coder.low, coder.high)) * coder.scale;
    if (inside == nullptr) return;
    for (int64_t i = 0; i < n; ++i) {
      const T code = round_half_even(coder.quotient(from[i]));
      inside[begin + i] = code >= coder.low && code <= coder.high;
    }
  });
  return !nan.value;
}

#define INSTANTIATE_CODE(T, C)                                       \
  template bool affine_codes(const AffineScalars<T>&, const T*, C*); \
  template void affine_values(const AffineScalars<T>&, const C*, T*);
#define INSTANTIATE(T)                                                              \
  template bool affine_ranges(const T*, const AffineLayout&, int64_t, T*, T*);      \
  template bool affine_round_trip(const AffineScalars<T>&, const T*, T*, uint8_t*); \
  INSTANTIATE_CODE(T, int8_t)                                                       \
  INSTANTIATE_CODE(T, uint8_t)                                                      \
  INSTANTIATE_CODE(T, int32_t)
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE
#undef INSTANTIATE_CODE

}  // namespace tern::kernels::TERN_ISA
