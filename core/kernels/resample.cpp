// As in pool.cpp, row-major planes are images of one channel, and the innermost loop runs over the channels of a pixel.
#include <tern/core/kernels/resample.h>

namespace tern::kernels::TERN_ISA {

template <class T>
void resample(const PoolImages& images, const ResampleAxis& rows, const ResampleAxis& columns, const T* x, T* y) {
  PoolImages p = images;
  if (!p.channels_last) p.batch *= p.channels, p.channels = 1;
  const int64_t channels = p.channels;
  parallel_for(p.batch * p.out_h, chunk_items(p.out_w * channels * 4), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t n = row / p.out_h, i = row % p.out_h;
      const T* image = x + n * p.in_h * p.in_w * channels;
      for (int64_t j = 0; j < p.out_w; ++j) {
        T* to = y + (row * p.out_w + j) * channels;
        for (int64_t c = 0; c < channels; ++c) to[c] = T(0);
        for (int64_t u = rows.begin[i]; u < rows.begin[i + 1]; ++u)
          for (int64_t v = columns.begin[j]; v < columns.begin[j + 1]; ++v) {
            const T weight = static_cast<T>(rows.weight[u] * columns.weight[v]);
            const T* from = image + (rows.index[u] * p.in_w + columns.index[v]) * channels;
#pragma GCC ivdep
            for (int64_t c = 0; c < channels; ++c) to[c] += weight * from[c];
          }
      }
    }
  });
}

#define INSTANTIATE(T) \
  template void resample(const PoolImages&, const ResampleAxis&, const ResampleAxis&, const T*, T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tern::kernels::TERN_ISA
