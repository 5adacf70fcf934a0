// Normalisation over the elements of a row (layer norm, RMS norm) and over groups of channels.
#pragma once

#include <tern/core/kernels/kernel.h>

namespace tern::kernels {

/// Rows normalised by one call. x, y: [rows, n] dense. mean and rstd: [rows], kept for the backward; mean is null for
/// RMS norm, which does not centre. weight, bias: [n] or null. With `residual` ([rows, n]) the row is x + residual,
/// which goes to `sum`.
template <class T>
struct RowNorm {
  int64_t rows = 0, n = 0;
  T eps = T(0);
  const T *x = nullptr, *residual = nullptr, *weight = nullptr, *bias = nullptr;
  T *sum = nullptr, *y = nullptr, *mean = nullptr, *rstd = nullptr;
};

/// Its backward. x is what was normalised (the sum, with a residual). grad_x may be null; grad_sum ([rows, n]) is added
/// to it where not null. partials: [row_norm_blocks(rows, n), 2, n] for the gradients of weight and bias, or null.
template <class T>
struct RowNormBackward {
  int64_t rows = 0, n = 0;
  const T *grad_y = nullptr, *grad_sum = nullptr, *x = nullptr, *weight = nullptr, *mean = nullptr, *rstd = nullptr;
  T *grad_x = nullptr, *partials = nullptr, *grad_weight = nullptr, *grad_bias = nullptr;
};

inline int64_t row_norm_block(int64_t rows, int64_t n) {
  const int64_t by_work = kElementwiseGrain / (n > 0 ? n : 1), by_count = (rows + 63) / 64;
  return by_work > by_count ? by_work : (by_count > 0 ? by_count : 1);
}
inline int64_t row_norm_blocks(int64_t rows, int64_t n) {
  return chunk_count(rows, row_norm_block(rows, n));
}

/// Group norm. Element (i, c, s) of x, y and their gradients is at i * channels * pixels + c * channel_step + s *
/// pixel_step: steps (pixels, 1) for row-major memory, (1, channels) for channels-last. mean, rstd: [samples, groups].
/// weight, bias: [channels] or null. scratch: [samples, channels].
template <class T>
struct GroupNorm {
  int64_t samples = 0, channels = 0, pixels = 0, groups = 1, channel_step = 0, pixel_step = 0;
  T eps = T(0);
  const T *x = nullptr, *weight = nullptr, *bias = nullptr;
  T *y = nullptr, *mean = nullptr, *rstd = nullptr, *scratch = nullptr;
};

/// Its backward. sums: [2, samples, channels], the sums over pixels of grad_y and grad_y * normalised x. grad_x,
/// grad_weight and grad_bias may be null.
template <class T>
struct GroupNormBackward {
  int64_t samples = 0, channels = 0, pixels = 0, groups = 1, channel_step = 0, pixel_step = 0;
  const T *grad_y = nullptr, *x = nullptr, *weight = nullptr, *mean = nullptr, *rstd = nullptr;
  T *sums = nullptr, *grad_x = nullptr, *grad_weight = nullptr, *grad_bias = nullptr;
};

}  // namespace tern::kernels

TERN_DECLARE_KERNELS(template <class T> void row_norm(const RowNorm<T>& p);
                     template <class T> void row_norm_backward(const RowNormBackward<T>& p);
                     template <class T> void group_norm(const GroupNorm<T>& p);
                     template <class T> void group_norm_backward(const GroupNormBackward<T>& p);)
