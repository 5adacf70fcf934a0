// Pooling windows over images, channels-last or row-major.
#pragma once

#include <tern/core/kernels/kernel.h>

namespace tern {

struct PoolImages {
  int64_t batch = 0, channels = 0;
  int64_t in_h = 0, in_w = 0, out_h = 0, out_w = 0;
  bool channels_last = false;  ///< of input and output alike
};

/// Windows of one axis, [out] each: input positions begin + t * dilation below end; `divisor` for means.
struct PoolAxis {
  const int64_t* begin = nullptr;
  const int64_t* end = nullptr;
  const int64_t* divisor = nullptr;
  int64_t dilation = 1;
};

}  // namespace tern

TERN_DECLARE_KERNELS(
    /// index: position (row * in_w + column) of each maximum; first of equals, NaN before all. A window without
    /// positions gives -inf and the index -1.
    template <class T> void max_pool(const PoolImages& images, const PoolAxis& rows, const PoolAxis& columns,
                                     const T* x, T* y, int32_t* index);
    /// grad_x: overwritten; indices of -1 pass nothing on
    template <class T> void max_pool_grad(const PoolImages& images, const T* grad_y, const int32_t* index, T* grad_x);
    /// y = sum over the window / (row divisor * column divisor)
    template <class T>
    void mean_pool(const PoolImages& images, const PoolAxis& rows, const PoolAxis& columns, const T* x, T* y);
    /// grad_x: overwritten
    template <class T> void mean_pool_grad(const PoolImages& images, const PoolAxis& rows, const PoolAxis& columns,
                                           const T* grad_y, T* grad_x);
    /// y: [batch, out_channels, out_h, out_w], input pixel (i stride, j stride) between `before` zero channels and as
    /// many as are missing after
    template <class T>
    void subsample(const PoolImages& images, int64_t stride, int64_t out_channels, int64_t before, const T* x, T* y);
    /// grad_x: overwritten, 0 where nothing was taken
    template <class T> void subsample_grad(const PoolImages& images, int64_t stride, int64_t out_channels,
                                           int64_t before, const T* grad_y, T* grad_x);)
