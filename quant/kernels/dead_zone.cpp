#include <tern/core/rounding.h>
#include <tern/quant/kernels/dead_zone.h>

namespace tern::kernels::TERN_ISA {
namespace {

template <class T>
struct Code {
  T u;        // companded weight, not rounded
  T rounded;  // before the clamp
  T q;
};

template <class T>
T sign(T v) {
  return static_cast<T>(v > T(0)) - static_cast<T>(v < T(0));
}

// Division, not multiplication by 1/s: the codes must be those of the formula where u is close to a half.
template <class T>
Code<T> encode(T w, T s, T delta, T top) {
  const T magnitude = (w < T(0) ? -w : w) - delta;
  const T u = sign(w) * (magnitude > T(0) ? magnitude : T(0)) / s;
  return {u, round_half_even(u), round_clamp(u, -top, top)};
}

}  // namespace

template <class T>
void dead_zone_forward(const T* w, T* w_hat, int64_t n, DeadZoneScalars z) {
  const T s = static_cast<T>(z.step), delta = static_cast<T>(z.shift), top = static_cast<T>(z.top_code);
  parallel_for(n, kElementwiseGrain, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T q = encode(w[i], s, delta, top).q;
      w_hat[i] = s * q + delta * sign(q);
    }
  });
}

template <class T>
void dead_zone_codes(const T* w, int32_t* codes, int64_t n, DeadZoneScalars z) {
  const T s = static_cast<T>(z.step), delta = static_cast<T>(z.shift), top = static_cast<T>(z.top_code);
  parallel_for(n, kElementwiseGrain, [=](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) codes[i] = static_cast<int32_t>(encode(w[i], s, delta, top).q);
  });
}

template <class T>
void dead_zone_count(const T* w, int64_t n, DeadZoneScalars z, int64_t* zeros, int64_t* clamped) {
  const T s = static_cast<T>(z.step), delta = static_cast<T>(z.shift), top = static_cast<T>(z.top_code);
  *zeros = *clamped = 0;
  for (int64_t i = 0; i < n; ++i) {
    const Code<T> code = encode(w[i], s, delta, top);
    *zeros += code.q == T(0);
    *clamped += code.rounded > top || code.rounded < -top;
  }
}

template <class T>
void dead_zone_backward(const T* w, const T* g, T* dw, DeadZoneSums* partial, int64_t n, DeadZoneScalars z,
                        bool mask_clamped, bool mask_weight) {
  const T s = static_cast<T>(z.step), delta = static_cast<T>(z.shift), top = static_cast<T>(z.top_code);
  parallel_for(n, kDeadZoneGrain, [=](int64_t begin, int64_t end) {
    double e1 = 0, e2 = 0;
    for (int64_t i = begin; i < end; ++i) {
      const Code<T> code = encode(w[i], s, delta, top);
      const bool is_clamped = code.rounded > top || code.rounded < -top;
      const double residual = static_cast<double>(code.q) - static_cast<double>(code.u);
      e1 += static_cast<double>(g[i]) * (mask_clamped && is_clamped ? 0.0 : residual);
      e2 += static_cast<double>(g[i]) * static_cast<double>(sign(code.q) - sign(w[i]));
      if (dw != nullptr) dw[i] = w[i] == T(0) || (mask_weight && is_clamped) ? T(0) : g[i];
    }
    partial[begin / kDeadZoneGrain] = {e1, e2};
  });
}

#define INSTANTIATE(T)                                                                   \
  template void dead_zone_forward(const T*, T*, int64_t, DeadZoneScalars);               \
  template void dead_zone_codes(const T*, int32_t*, int64_t, DeadZoneScalars);           \
  template void dead_zone_count(const T*, int64_t, DeadZoneScalars, int64_t*, int64_t*); \
  template void dead_zone_backward(const T*, const T*, T*, DeadZoneSums*, int64_t, DeadZoneScalars, bool, bool);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tern::kernels::TERN_ISA
