// With channels innermost the loops run over the channels of a pixel, for each tap of a window in row-major order; with
// channels outside every plane is an image of one channel, so the same code serves (its innermost loop then has one
// step). Forward passes are cut by output rows, backward passes by images, so that no two threads add to one element.
#include <tern/core/kernels/pool.h>

namespace tern::kernels::TERN_ISA {
namespace {

// Row-major images as images of one channel.
PoolImages as_channels_last(const PoolImages& p) {
  if (p.channels_last) return p;
  PoolImages q = p;
  q.batch = p.batch * p.channels;
  q.channels = 1;
  return q;
}

int64_t rows_at_once(const PoolImages& p) {
  return chunk_items(p.out_w * p.channels * 4);
}

int64_t images_at_once(const PoolImages& p) {
  return chunk_items(p.in_h * p.in_w * p.channels);
}

template <class T>
void zero(T* p, int64_t n) {
  __builtin_memset(p, 0, static_cast<size_t>(n) * sizeof(T));
}

}  // namespace

template <class T>
void max_pool(const PoolImages& images, const PoolAxis& rows, const PoolAxis& columns, const T* x, T* y,
              int32_t* index) {
  const PoolImages p = as_channels_last(images);
  const int64_t channels = p.channels;
  parallel_for(p.batch * p.out_h, rows_at_once(p), [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t n = row / p.out_h, i = row % p.out_h;
      const T* image = x + n * p.in_h * p.in_w * channels;
      for (int64_t j = 0; j < p.out_w; ++j) {
        T* best = y + (row * p.out_w + j) * channels;
        int32_t* where = index + (row * p.out_w + j) * channels;
        const int64_t first = rows.begin[i] * p.in_w + columns.begin[j];
        // A window that lies in the padding altogether has no first element.
        const bool empty = rows.begin[i] >= rows.end[i] || columns.begin[j] >= columns.end[j];
        for (int64_t c = 0; c < channels; ++c) {
          best[c] = empty ? -static_cast<T>(__builtin_inf()) : image[first * channels + c];
          where[c] = empty ? -1 : static_cast<int32_t>(first);
        }
        for (int64_t u = rows.begin[i]; u < rows.end[i]; u += rows.dilation) {
          for (int64_t v = columns.begin[j]; v < columns.end[j]; v += columns.dilation) {
            const int32_t at = static_cast<int32_t>(u * p.in_w + v);
            const T* value = image + at * channels;
#pragma GCC ivdep
            for (int64_t c = 0; c < channels; ++c) {
              const bool take = value[c] > best[c] || value[c] != value[c];
              best[c] = take ? value[c] : best[c];
              where[c] = take ? at : where[c];
            }
          }
        }
      }
    }
  });
}

template <class T>
void max_pool_grad(const PoolImages& images, const T* grad_y, const int32_t* index, T* grad_x) {
  const PoolImages p = as_channels_last(images);
  const int64_t channels = p.channels, in_size = p.in_h * p.in_w * channels, out_size = p.out_h * p.out_w;
  parallel_for(p.batch, images_at_once(p), [&](int64_t begin, int64_t end) {
    zero(grad_x + begin * in_size, (end - begin) * in_size);
    for (int64_t n = begin; n < end; ++n) {
      T* image = grad_x + n * in_size;
      for (int64_t q = n * out_size; q < (n + 1) * out_size; ++q)
        for (int64_t c = 0; c < channels; ++c)
          if (const int64_t at = index[q * channels + c]; at >= 0) image[at * channels + c] += grad_y[q * channels + c];
    }
  });
}

template <class T>
void mean_pool(const PoolImages& images, const PoolAxis& rows, const PoolAxis& columns, const T* x, T* y) {
  const PoolImages p = as_channels_last(images);
  const int64_t channels = p.channels;
  const int64_t grain = 1 + kElementwiseGrain / (p.in_h * p.in_w / p.out_h * channels + 1);
  parallel_for(p.batch * p.out_h, grain, [&](int64_t begin, int64_t end) {
    for (int64_t row = begin; row < end; ++row) {
      const int64_t n = row / p.out_h, i = row % p.out_h;
      const T* image = x + n * p.in_h * p.in_w * channels;
      for (int64_t j = 0; j < p.out_w; ++j) {
        T* mean = y + (row * p.out_w + j) * channels;
        zero(mean, channels);
        for (int64_t u = rows.begin[i]; u < rows.end[i]; ++u) {
          for (int64_t v = columns.begin[j]; v < columns.end[j]; ++v) {
            const T* value = image + (u * p.in_w + v) * channels;
#pragma GCC ivdep
            for (int64_t c = 0; c < channels; ++c) mean[c] += value[c];
          }
        }
        const T divisor = static_cast<T>(rows.divisor[i] * columns.divisor[j]);
        for (int64_t c = 0; c < channels; ++c) mean[c] /= divisor;
      }
    }
  });
}

template <class T>
void mean_pool_grad(const PoolImages& images, const PoolAxis& rows, const PoolAxis& columns, const T* grad_y,
                    T* grad_x) {
  const PoolImages p = as_channels_last(images);
  const int64_t channels = p.channels, in_size = p.in_h * p.in_w * channels;
  parallel_for(p.batch, images_at_once(p), [&](int64_t begin, int64_t end) {
    zero(grad_x + begin * in_size, (end - begin) * in_size);
    for (int64_t n = begin; n < end; ++n) {
      T* image = grad_x + n * in_size;
      for (int64_t i = 0; i < p.out_h; ++i) {
        for (int64_t j = 0; j < p.out_w; ++j) {
          const T* g = grad_y + ((n * p.out_h + i) * p.out_w + j) * channels;
          const T divisor = static_cast<T>(rows.divisor[i] * columns.divisor[j]);
          for (int64_t u = rows.begin[i]; u < rows.end[i]; ++u) {
            for (int64_t v = columns.begin[j]; v < columns.end[j]; ++v) {
              T* to = image + (u * p.in_w + v) * channels;
#pragma GCC ivdep
              for (int64_t c = 0; c < channels; ++c) to[c] += g[c] / divisor;
            }
          }
        }
      }
    }
  });
}

template <class T>
void subsample(const PoolImages& p, int64_t stride, int64_t out_channels, int64_t before, const T* x, T* y) {
  const int64_t channels = p.channels, out_size = p.out_h * p.out_w;
  if (p.channels_last) {
    parallel_for(p.batch * p.out_h, rows_at_once(p), [&](int64_t begin, int64_t end) {
      for (int64_t row = begin; row < end; ++row) {
        const T* from = x + (row / p.out_h * p.in_h + row % p.out_h * stride) * p.in_w * channels;
        T* to = y + row * p.out_w * out_channels;
        for (int64_t j = 0; j < p.out_w; ++j, from += stride * channels, to += out_channels) {
          for (int64_t c = 0; c < before; ++c) to[c] = T(0);
          for (int64_t c = 0; c < channels; ++c) to[before + c] = from[c];
          for (int64_t c = before + channels; c < out_channels; ++c) to[c] = T(0);
        }
      }
    });
    return;
  }
  parallel_for(p.batch * out_channels, chunk_items(out_size), [&](int64_t begin, int64_t end) {
    for (int64_t plane = begin; plane < end; ++plane) {
      const int64_t n = plane / out_channels, c = plane % out_channels - before;
      T* to = y + plane * out_size;
      zero(to, out_size);
      if (c < 0 || c >= channels) continue;
      const T* from = x + (n * channels + c) * p.in_h * p.in_w;
      for (int64_t i = 0; i < p.out_h; ++i)
        for (int64_t j = 0; j < p.out_w; ++j) to[i * p.out_w + j] = from[i * stride * p.in_w + j * stride];
    }
  });
}

template <class T>
void subsample_grad(const PoolImages& p, int64_t stride, int64_t out_channels, int64_t before, const T* grad_y,
                    T* grad_x) {
  const int64_t channels = p.channels, in_size = p.in_h * p.in_w * channels, out_size = p.out_h * p.out_w;
  parallel_for(p.batch, images_at_once(p), [&](int64_t begin, int64_t end) {
    zero(grad_x + begin * in_size, (end - begin) * in_size);
    for (int64_t n = begin; n < end; ++n) {
      const T* g = grad_y + n * out_size * out_channels;
      T* to = grad_x + n * in_size;
      for (int64_t i = 0; i < p.out_h; ++i) {
        for (int64_t j = 0; j < p.out_w; ++j) {
          const int64_t at = i * stride * p.in_w + j * stride, from = i * p.out_w + j;
          if (p.channels_last) {
            for (int64_t c = 0; c < channels; ++c) to[at * channels + c] = g[from * out_channels + before + c];
          } else {
            for (int64_t c = 0; c < channels; ++c) to[c * p.in_h * p.in_w + at] = g[(before + c) * out_size + from];
          }
        }
      }
    }
  });
}

#define INSTANTIATE(T)                                                                                 \
  template void max_pool(const PoolImages&, const PoolAxis&, const PoolAxis&, const T*, T*, int32_t*); \
  template void max_pool_grad(const PoolImages&, const T*, const int32_t*, T*);                        \
  template void mean_pool(const PoolImages&, const PoolAxis&, const PoolAxis&, const T*, T*);          \
  template void mean_pool_grad(const PoolImages&, const PoolAxis&, const PoolAxis&, const T*, T*);     \
  template void subsample(const PoolImages&, int64_t, int64_t, int64_t, const T*, T*);                 \
  template void subsample_grad(const PoolImages&, int64_t, int64_t, int64_t, const T*, T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tern::kernels::TERN_ISA
