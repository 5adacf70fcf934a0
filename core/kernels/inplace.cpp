#include <tern/core/kernels/inplace.h>

namespace tern::kernels::TERN_ISA {

template <class T>
void add_in_place(const LoopPlan<2>& plan, T* x, const T* y, T alpha) {
  run_plan(plan, [=](const int64_t* at, int64_t n, const int64_t* step) {
    T* a = x + at[0];
    const T* b = y + at[1];
    if (step[0] == 1 && step[1] == 1) {
      for (int64_t i = 0; i < n; ++i) a[i] = static_cast<T>(a[i] + alpha * b[i]);
    } else {
      for (int64_t i = 0; i < n; ++i) a[i * step[0]] = static_cast<T>(a[i * step[0]] + alpha * b[i * step[1]]);
    }
  });
}

template <class T>
void mul_in_place(const LoopPlan<2>& plan, T* x, const T* y) {
  run_plan(plan, [=](const int64_t* at, int64_t n, const int64_t* step) {
    T* a = x + at[0];
    const T* b = y + at[1];
    if (step[0] == 1 && step[1] == 1) {
      for (int64_t i = 0; i < n; ++i) a[i] = static_cast<T>(a[i] * b[i]);
    } else {
      for (int64_t i = 0; i < n; ++i) a[i * step[0]] = static_cast<T>(a[i * step[0]] * b[i * step[1]]);
    }
  });
}

#define INSTANTIATE(T)                                             \
  template void add_in_place(const LoopPlan<2>&, T*, const T*, T); \
  template void mul_in_place(const LoopPlan<2>&, T*, const T*);
INSTANTIATE(float)
INSTANTIATE(double)
INSTANTIATE(int64_t)
INSTANTIATE(int32_t)
INSTANTIATE(int8_t)
INSTANTIATE(uint8_t)
#undef INSTANTIATE

}  // namespace tern::kernels::TERN_ISA
