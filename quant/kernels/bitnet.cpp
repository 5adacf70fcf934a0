#include <tern/quant/kernels/bitnet.h>
#include <tern/quant/kernels/code_loop.h>

namespace tern::kernels::TERN_ISA {

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
    write_codes(end - begin, T(-1), T(1), 0, codes + begin, [=](int64_t i) { return w[begin + i] * inverse; });
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

#define INSTANTIATE(T)                                         \
  template void abs_sums(const T*, int64_t, double*);          \
  template void ternary_codes(const T*, int64_t, T, int8_t*);  \
  template void ternary_values(const int8_t*, int64_t, T, T*); \
  template void ternary_blend(const T*, const int8_t*, int64_t, T, T, T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tern::kernels::TERN_ISA
