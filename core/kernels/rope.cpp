#include <tern/core/kernels/rope.h>

namespace tern::kernels::TERN_ISA {
namespace {

template <bool kPairs, class T>
void rotate_row(const T* x, const T* cos, const T* sin, T sign, T* y, int64_t half) {
  for (int64_t i = 0; i < half; ++i) {
    const int64_t a = kPairs ? 2 * i : i, b = kPairs ? 2 * i + 1 : i + half;
    const T s = sign * sin[i], xa = x[a], xb = x[b];
    y[a] = xa * cos[i] - xb * s;
    y[b] = xa * s + xb * cos[i];
  }
}

}  // namespace

template <bool kPairs, class T>
void rotate(const Rotation<T>& p) {
  const int64_t grain = chunk_items(2 * p.half);
  parallel_for(p.rows, grain, [&](int64_t begin, int64_t end) {
    int64_t index[8], at = 0, table = 0;
    for (int64_t a = p.axes - 1, rest = begin; a >= 0; --a) {
      index[a] = rest % p.size[a];
      rest /= p.size[a];
      at += index[a] * p.x_stride[a];
      table += index[a] * p.table_step[a];
    }
    for (int64_t row = begin; row < end; ++row) {
      const int64_t r = p.table_rows[table];
      rotate_row<kPairs>(p.x + at, p.cos + r * p.half, p.sin + r * p.half, p.sign, p.y + row * 2 * p.half, p.half);
      for (int64_t a = p.axes - 1; a >= 0; --a) {  // the next row's place
        at += p.x_stride[a];
        table += p.table_step[a];
        if (++index[a] < p.size[a]) break;
        at -= p.size[a] * p.x_stride[a];
        table -= p.size[a] * p.table_step[a];
        index[a] = 0;
      }
    }
  });
}

#define INSTANTIATE(T)                                \
  template void rotate<false, T>(const Rotation<T>&); \
  template void rotate<true, T>(const Rotation<T>&);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tern::kernels::TERN_ISA
