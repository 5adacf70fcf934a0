#include <tern/core/rounding.h>
#include <tern/quant/kernels/bitnet.h>

namespace tern::kernels::TERN_ISA {
namespace {

template <class T>
struct BitsOf;
template <>
struct BitsOf<float> {
  using type = uint32_t;
};
template <>
struct BitsOf<double> {
  using type = uint64_t;
};

// Compared as integers without the sign, NaN and infinity are larger than every number.
template <class T>
T largest_magnitude(const T* x, int64_t n) {
  using Bits = typename BitsOf<T>::type;
  constexpr Bits kMagnitude = ~(Bits{1} << (8 * sizeof(Bits) - 1));
  Bits most = 0;
  for (int64_t i = 0; i < n; ++i) {
    const Bits bits = __builtin_bit_cast(Bits, x[i]) & kMagnitude;
    most = bits > most ? bits : most;
  }
  return __builtin_bit_cast(T, most);
}

template <class T>
T token_code(T x, T factor) {
  const T rounded = round_half_even(x * factor);
  return rounded < T(-128) ? T(-128) : rounded > T(127) ? T(127) : rounded;
}

int64_t rows_at_once(int64_t columns) {
  return chunk_items(columns);
}

}  // namespace

template <class T>
void abs_sums(const T* w, int64_t n, double* partial) {
  parallel_for(n, kAbsSumGrain, [=](int64_t begin, int64_t end) {
    double lanes[8] = {};
    int64_t i = begin;
    for (; i + 8 <= end; i += 8)
      for (int lane = 0; lane < 8; ++lane)
        lanes[lane] += static_cast<double>(w[i + lane] < T(0) ? -w[i + lane] : w[i + lane]);
    for (; i < end; ++i) lanes[0] += static_cast<double>(w[i] < T(0) ? -w[i] : w[i]);
    partial[begin / kAbsSumGrain] =
        ((lanes[0] + lanes[4]) + (lanes[1] + lanes[5])) + ((lanes[2] + lanes[6]) + (lanes[3] + lanes[7]));
  });
}

template <class T>
void ternary_codes(const T* w, int64_t n, T inverse, int8_t* codes) {
  parallel_for(n, kElementwiseGrain, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T rounded = round_half_even(w[i] * inverse);
      codes[i] = static_cast<int8_t>(rounded < T(-1) ? T(-1) : rounded > T(1) ? T(1) : rounded);
    }
  });
}

template <class T>
void ternary_values(const int8_t* codes, int64_t n, T scale, T* out) {
  parallel_for(n, kElementwiseGrain, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = scale * static_cast<T>(codes[i]);
  });
}

template <class T>
void ternary_blend(const T* w, const int8_t* codes, int64_t n, T scale, T lambda, T* out) {
  parallel_for(n, kElementwiseGrain, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) out[i] = w[i] + lambda * (scale * static_cast<T>(codes[i]) - w[i]);
  });
}

template <class T>
void token_codes(const T* x, int64_t rows, int64_t columns, T least, int8_t* codes, T* gamma) {
  parallel_for(rows, rows_at_once(columns), [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T* const row = x + r * columns;
      int8_t* const to = codes + r * columns;
      const T most = largest_magnitude(row, columns);
      const bool finite = most - most == T(0);
      gamma[r] = !finite || most > least ? most : least;
      const T factor = finite ? T(127) / gamma[r] : T(0);
      if (finite)
        for (int64_t i = 0; i < columns; ++i) to[i] = static_cast<int8_t>(token_code(row[i], factor));
      else
        __builtin_memset(to, 0, static_cast<size_t>(columns));
    }
  });
}

template <class T>
void token_values(const int8_t* codes, const T* gamma, int64_t rows, int64_t columns, T* out) {
  parallel_for(rows, rows_at_once(columns), [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T step = gamma[r] / T(127);
      for (int64_t i = r * columns; i < (r + 1) * columns; ++i) out[i] = static_cast<T>(codes[i]) * step;
    }
  });
}

template <class T>
void token_blend(const T* x, const int8_t* codes, const T* gamma, int64_t rows, int64_t columns, T lambda, T* out) {
  parallel_for(rows, rows_at_once(columns), [=](int64_t begin, int64_t end) {
    for (int64_t r = begin; r < end; ++r) {
      const T step = gamma[r] / T(127);
      for (int64_t i = r * columns; i < (r + 1) * columns; ++i)
        out[i] = x[i] + lambda * (static_cast<T>(codes[i]) * step - x[i]);
    }
  });
}

#define INSTANTIATE(T)                                                       \
  template void abs_sums(const T*, int64_t, double*);                        \
  template void ternary_codes(const T*, int64_t, T, int8_t*);                \
  template void ternary_values(const int8_t*, int64_t, T, T*);               \
  template void ternary_blend(const T*, const int8_t*, int64_t, T, T, T*);   \
  template void token_codes(const T*, int64_t, int64_t, T, int8_t*, T*);     \
  template void token_values(const int8_t*, const T*, int64_t, int64_t, T*); \
  template void token_blend(const T*, const int8_t*, const T*, int64_t, int64_t, T, T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tern::kernels::TERN_ISA
