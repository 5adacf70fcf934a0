#include <tern/core/kernels/norm.h>
#include <tern/core/scratch.h>
#include <tern/quant/kernels/code_loop.h>
#include <tern/quant/kernels/tokens.h>

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

int32_t sum_of_codes(const int8_t* codes, int64_t n) {
  int32_t sum = 0;
  for (int64_t i = 0; i < n; ++i) sum += codes[i];
  return sum;
}

}  // namespace

template <class T>
void quantize_tokens(const TokenQuantizer<T>& p) {
  parallel_for(p.tokens, chunk_items(p.n), [&](int64_t begin, int64_t end) {
    T* const normed = p.norm ? static_cast<T*>(thread_scratch(p.n * int64_t{sizeof(T)})) : nullptr;
    for (int64_t t = begin; t < end; ++t) {
      const T* x = p.x + t * p.n;
      if (p.norm) {
        T rstd = 0;
        RowNorm<T> row;
        row.rows = 1;
        row.n = p.n;
        row.eps = p.eps;
        row.x = x;
        row.weight = p.weight;
        row.y = normed;
        row.rstd = &rstd;
        row_norm(row);
        x = normed;
      }
      const T largest = largest_magnitude(x, p.n);
      const bool finite = largest - largest == T(0);
      p.gamma[t] = !finite ? static_cast<T>(__builtin_nanf("")) : largest < p.min_gamma ? p.min_gamma : largest;
      int8_t* const codes = p.codes + t * p.width;
      const int64_t written = finite ? p.n : 0;
      const T factor = finite ? T(127) / p.gamma[t] : T(0);
      write_codes(written, T(-128), T(127), 0, codes, [=](int64_t i) { return x[i] * factor; });
      __builtin_memset(codes + written, 0, static_cast<size_t>(p.width - written));
      if (p.sums != nullptr) p.sums[t] = sum_of_codes(codes, p.n);
    }
  });
}

template <class T>
void token_values(const TokenReader<T>& p, T* out) {
  parallel_for(p.tokens, chunk_items(p.n), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const T step = p.gamma[t] / T(127);
      const int8_t* const codes = p.codes + t * p.width;
      T* const to = out + t * p.n;
      for (int64_t i = 0; i < p.n; ++i) to[i] = static_cast<T>(codes[i]) * step;
    }
  });
}

template <class T>
void token_blend(const TokenReader<T>& p, const T* x, T lambda, T* out) {
  parallel_for(p.tokens, chunk_items(p.n), [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t) {
      const T step = p.gamma[t] / T(127);
      const int8_t* const codes = p.codes + t * p.width;
      const T* const from = x + t * p.n;
      T* const to = out + t * p.n;
      for (int64_t i = 0; i < p.n; ++i) to[i] = from[i] + lambda * (static_cast<T>(codes[i]) * step - from[i]);
    }
  });
}

#define INSTANTIATE(T)                                     \
  template void quantize_tokens(const TokenQuantizer<T>&); \
  template void token_values(const TokenReader<T>&, T*);   \
  template void token_blend(const TokenReader<T>&, const T*, T, T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tern::kernels::TERN_ISA
