// Every pass here walks memory in order, in stretches of up to a few hundred elements over which the channel of element
// j is the same in each: the parameters are repeated to that length once, and sums are kept in an array of that length.
// So the inner loops are plain loops over j that vectorise whatever the number of channels; with channels innermost a
// stretch is several pixels, with channels outside it lies in one plane and all its parameters are equal.
//
// Sums: single elements are added in T over a block of at most a few thousand elements a stretch position, blocks in
// double and in order. Moments take each block twice while it is in cache, first its mean and then the squares about
// it, so that a mean far from zero costs no digits.
#include <tern/core/kernels/batch_norm.h>
#include <tern/core/scratch.h>

namespace tern::kernels::TERN_ISA {
namespace {

constexpr int64_t kStretch = 256;

// Elements of a stretch: whole pixels, or a part of a plane.
int64_t stretch_of(const ChannelView& view) {
  if (view.inner > 1) return view.inner < kStretch ? view.inner : kStretch;
  return view.channels >= kStretch ? view.channels : kStretch / view.channels * view.channels;
}

// The thread's scratch as `count` arrays of a stretch each.
template <class T>
T* stretch_arrays(const ChannelView& view, int64_t count) {
  return static_cast<T*>(thread_scratch(count * stretch_of(view) * static_cast<int64_t>(sizeof(T))));
}

// to[j] = the parameter of element j of a stretch of `channel`'s plane, or of all channels.
template <class T>
void repeat_parameter(const ChannelView& view, int64_t stretch, int64_t channel, const T* parameter, T* to) {
  if (view.inner > 1) {
    for (int64_t j = 0; j < stretch; ++j) to[j] = parameter[channel];
  } else {
    for (int64_t j = 0; j < stretch; j += view.channels)
      for (int64_t c = 0; c < view.channels; ++c) to[j + c] = parameter[c];
  }
}

// Adds an array over a stretch to its channels' sums.
template <class T>
void fold(const ChannelView& view, int64_t stretch, int64_t channel, const T* from, double* sums) {
  if (view.inner > 1) {
    double sum = 0;
    for (int64_t j = 0; j < stretch; ++j) sum += static_cast<double>(from[j]);
    sums[channel] += sum;
  } else {
    for (int64_t j = 0; j < stretch; j += view.channels)
      for (int64_t c = 0; c < view.channels; ++c) sums[c] += static_cast<double>(from[j + c]);
  }
}

// Calls body(offset, n) for the stretches of elements [begin, end).
template <class Body>
[[gnu::always_inline]] inline void walk(int64_t begin, int64_t end, int64_t stretch, const Body& body) {
  for (int64_t i = begin; i < end; i += stretch) body(i, end - i < stretch ? end - i : stretch);
}

// Calls body(begin, end, channel) for the runs of elements of outer positions [first, last): one run, or one a plane.
template <class Body>
[[gnu::always_inline]] inline void runs(const ChannelView& view, int64_t first, int64_t last, const Body& body) {
  if (view.inner == 1) {
    body(first * view.channels, last * view.channels, int64_t{0});
    return;
  }
  for (int64_t n = first; n < last; ++n)
    for (int64_t c = 0; c < view.channels; ++c)
      body((n * view.channels + c) * view.inner, (n * view.channels + c + 1) * view.inner, c);
}

template <class T>
void zero(T* p, int64_t n) {
  for (int64_t i = 0; i < n; ++i) p[i] = T(0);
}

// to[c] = sum over blocks of partials[block][c], in order.
void add_blocks(int64_t blocks, int64_t pitch, int64_t n, const double* partials, double* to) {
  zero(to, n);
  for (int64_t b = 0; b < blocks; ++b)
    for (int64_t c = 0; c < n; ++c) to[c] += partials[b * pitch + c];
}

// Elements whose work is handed to a thread at once, in outer positions.
int64_t outer_grain(const ChannelView& view) {
  const int64_t grain = 2 * kElementwiseGrain / (view.channels * view.inner + (view.inner == 0));
  return grain < 1 ? 1 : grain;
}

template <ReluMask mask, class T>
[[gnu::always_inline]] inline T masked_gradient(T grad, T x, T mean, T scale, T bias, T output) {
  if constexpr (mask == ReluMask::kFromOutput) return output <= T(0) ? T(0) : grad;
  if constexpr (mask == ReluMask::kFromInput) return (x - mean) * scale + bias <= T(0) ? T(0) : grad;
  return grad;
}

template <ReluMask mask, bool write, class T>
void grad_sums(const ChannelView& view, const ChannelBlocks& blocks, const BatchNormGradArgs<T>& a, double* partials,
               T* masked) {
  const int64_t stretch = stretch_of(view), channels = view.channels;
  parallel_for(blocks.count, 1, [&](int64_t b, int64_t) {
    T* mean = stretch_arrays<T>(view, 5);
    T *scale = mean + stretch, *bias = scale + stretch, *sum_g = bias + stretch, *sum_gx = sum_g + stretch;
    double* partial = partials + b * 2 * channels;
    zero(partial, 2 * channels);
    const int64_t first = b * blocks.size, last = first + blocks.size < view.outer ? first + blocks.size : view.outer;
    runs(view, first, last, [&](int64_t begin, int64_t end, int64_t channel) {
      repeat_parameter(view, stretch, channel, a.mean, mean);
      if constexpr (mask == ReluMask::kFromInput) {
        repeat_parameter(view, stretch, channel, a.scale, scale);
        repeat_parameter(view, stretch, channel, a.bias, bias);
      }
      zero(sum_g, stretch);
      zero(sum_gx, stretch);
      walk(begin, end, stretch, [&](int64_t at, int64_t n) {
        const T *g_at = a.grad + at, *x_at = a.x + at, *y_at = mask == ReluMask::kFromOutput ? a.output + at : g_at;
        T* masked_at = write ? masked + at : nullptr;
#pragma GCC ivdep
        for (int64_t j = 0; j < n; ++j) {
          const T g = masked_gradient<mask>(g_at[j], x_at[j], mean[j], scale[j], bias[j], y_at[j]);
          sum_g[j] += g;
          sum_gx[j] += g * (x_at[j] - mean[j]);
          if constexpr (write) masked_at[j] = g;
        }
      });
      fold(view, stretch, channel, sum_g, partial);
      fold(view, stretch, channel, sum_gx, partial + channels);
    });
  });
}

// slopes and offsets: what the batch's own statistics add to the gradient; not read without them.
template <ReluMask mask, bool statistics, class T>
void grad_input(const ChannelView& view, const BatchNormGradArgs<T>& a, const T* slopes, const T* offsets, T* grad_x) {
  const int64_t stretch = stretch_of(view);
  parallel_for(view.outer, outer_grain(view), [&](int64_t first, int64_t last) {
    T* mean = stretch_arrays<T>(view, 5);
    T *scale = mean + stretch, *bias = scale + stretch, *slope = bias + stretch, *offset = slope + stretch;
    runs(view, first, last, [&](int64_t begin, int64_t end, int64_t channel) {
      repeat_parameter(view, stretch, channel, a.mean, mean);
      repeat_parameter(view, stretch, channel, a.scale, scale);
      if constexpr (mask == ReluMask::kFromInput) repeat_parameter(view, stretch, channel, a.bias, bias);
      if constexpr (statistics) {
        repeat_parameter(view, stretch, channel, slopes, slope);
        repeat_parameter(view, stretch, channel, offsets, offset);
      }
      walk(begin, end, stretch, [&](int64_t at, int64_t n) {
        const T *g_at = a.grad + at, *x_at = a.x + at, *y_at = mask == ReluMask::kFromOutput ? a.output + at : g_at;
        T* to = grad_x + at;
#pragma GCC ivdep
        for (int64_t j = 0; j < n; ++j) {
          const T g = masked_gradient<mask>(g_at[j], x_at[j], mean[j], scale[j], bias[j], y_at[j]);
          if constexpr (statistics)
            to[j] = g * scale[j] + ((x_at[j] - mean[j]) * slope[j] + offset[j]);
          else
            to[j] = g * scale[j];
        }
      });
    });
  });
}

template <bool residual, bool relu, class T>
void apply(const ChannelView& view, const T* x, const T* means, const T* scales, const T* biases, const T* added,
           T* y) {
  const int64_t stretch = stretch_of(view);
  parallel_for(view.outer, outer_grain(view), [&](int64_t first, int64_t last) {
    T* mean = stretch_arrays<T>(view, 3);
    T *scale = mean + stretch, *bias = scale + stretch;
    runs(view, first, last, [&](int64_t begin, int64_t end, int64_t channel) {
      repeat_parameter(view, stretch, channel, means, mean);
      repeat_parameter(view, stretch, channel, scales, scale);
      repeat_parameter(view, stretch, channel, biases, bias);
      walk(begin, end, stretch, [&](int64_t at, int64_t n) {
        const T *x_at = x + at, *added_at = residual ? added + at : x_at;
        T* to = y + at;
#pragma GCC ivdep
        for (int64_t j = 0; j < n; ++j) {
          T v = (x_at[j] - mean[j]) * scale[j] + bias[j];
          if constexpr (residual) v += added_at[j];
          if constexpr (relu) v = v < T(0) ? T(0) : v;
          to[j] = v;
        }
      });
    });
  });
}

}  // namespace

template <class T>
void channel_sums(const ChannelView& view, const ChannelBlocks& blocks, const T* x, double* partials, double* sums) {
  const int64_t stretch = stretch_of(view), channels = view.channels;
  parallel_for(blocks.count, 1, [&](int64_t b, int64_t) {
    T* sum = stretch_arrays<T>(view, 1);
    double* partial = partials + b * channels;
    zero(partial, channels);
    const int64_t first = b * blocks.size, last = first + blocks.size < view.outer ? first + blocks.size : view.outer;
    runs(view, first, last, [&](int64_t begin, int64_t end, int64_t channel) {
      zero(sum, stretch);
      walk(begin, end, stretch, [&](int64_t at, int64_t n) {
        const T* x_at = x + at;
#pragma GCC ivdep
        for (int64_t j = 0; j < n; ++j) sum[j] += x_at[j];
      });
      fold(view, stretch, channel, sum, partial);
    });
  });
  add_blocks(blocks.count, channels, channels, partials, sums);
}

template <class T>
void channel_moments(const ChannelView& view, const ChannelBlocks& blocks, const T* x, double* partials, double* mean,
                     double* var) {
  const int64_t stretch = stretch_of(view), channels = view.channels;
  const auto values = [&](int64_t b) {  // a channel's in block b
    const int64_t first = b * blocks.size, last = first + blocks.size < view.outer ? first + blocks.size : view.outer;
    return static_cast<double>((last - first) * view.inner);
  };
  parallel_for(blocks.count, 1, [&](int64_t b, int64_t) {
    T* sum = stretch_arrays<T>(view, 3);
    T *centre = sum + stretch, *block_mean = centre + stretch;  // block_mean: [channels], which is at most a stretch
    double *means = partials + b * 2 * channels, *squares = means + channels;
    zero(means, 2 * channels);
    const int64_t first = b * blocks.size, last = first + blocks.size < view.outer ? first + blocks.size : view.outer;
    for (int pass = 0; pass < 2; ++pass) {
      runs(view, first, last, [&](int64_t begin, int64_t end, int64_t channel) {
        zero(sum, stretch);
        if (pass == 0) {
          walk(begin, end, stretch, [&](int64_t at, int64_t n) {
            const T* x_at = x + at;
#pragma GCC ivdep
            for (int64_t j = 0; j < n; ++j) sum[j] += x_at[j];
          });
        } else {
          if (view.inner > 1) {
            for (int64_t j = 0; j < stretch; ++j) centre[j] = static_cast<T>(means[channel]);
          } else {
            for (int64_t c = 0; c < channels; ++c) block_mean[c] = static_cast<T>(means[c]);
            repeat_parameter(view, stretch, channel, block_mean, centre);
          }
          walk(begin, end, stretch, [&](int64_t at, int64_t n) {
            const T* x_at = x + at;
#pragma GCC ivdep
            for (int64_t j = 0; j < n; ++j) sum[j] += (x_at[j] - centre[j]) * (x_at[j] - centre[j]);
          });
        }
        fold(view, stretch, channel, sum, pass == 0 ? means : squares);
      });
      if (pass == 0)
        for (int64_t c = 0; c < channels; ++c) means[c] /= values(b);
    }
  });
  const double total = static_cast<double>(view.outer * view.inner);
  zero(mean, channels);
  zero(var, channels);
  for (int64_t b = 0; b < blocks.count; ++b) {
    const double n = values(b);
    for (int64_t c = 0; c < channels; ++c) mean[c] += n * partials[b * 2 * channels + c];
  }
  for (int64_t c = 0; c < channels; ++c) mean[c] /= total;
  for (int64_t b = 0; b < blocks.count; ++b) {
    const double n = values(b);
    const double *means = partials + b * 2 * channels, *squares = means + channels;
    for (int64_t c = 0; c < channels; ++c) var[c] += squares[c] + n * (means[c] - mean[c]) * (means[c] - mean[c]);
  }
  for (int64_t c = 0; c < channels; ++c) var[c] /= total;
}

template <class T>
void batch_norm_apply(const ChannelView& view, const T* x, const T* mean, const T* scale, const T* bias,
                      const T* residual, bool relu, T* y) {
  if (residual != nullptr) {
    if (relu) return apply<true, true>(view, x, mean, scale, bias, residual, y);
    return apply<true, false>(view, x, mean, scale, bias, residual, y);
  }
  if (relu) return apply<false, true>(view, x, mean, scale, bias, residual, y);
  apply<false, false>(view, x, mean, scale, bias, residual, y);
}

template <class T>
void batch_norm_grad_sums(const ChannelView& view, const ChannelBlocks& blocks, const BatchNormGradArgs<T>& a,
                          double* partials, double* sums, T* masked) {
  const auto run = [&]<bool write>() {
    switch (a.mask) {
      case ReluMask::kNone:
        return grad_sums<ReluMask::kNone, write>(view, blocks, a, partials, masked);
      case ReluMask::kFromOutput:
        return grad_sums<ReluMask::kFromOutput, write>(view, blocks, a, partials, masked);
      case ReluMask::kFromInput:
        return grad_sums<ReluMask::kFromInput, write>(view, blocks, a, partials, masked);
    }
  };
  if (masked != nullptr)
    run.template operator()<true>();
  else
    run.template operator()<false>();
  add_blocks(blocks.count, 2 * view.channels, 2 * view.channels, partials, sums);
}

template <class T>
void batch_norm_grad_input(const ChannelView& view, const BatchNormGradArgs<T>& a, const T* slope, const T* offset,
                           T* grad_x) {
  const auto run = [&]<bool statistics>() {
    switch (a.mask) {
      case ReluMask::kNone:
        return grad_input<ReluMask::kNone, statistics>(view, a, slope, offset, grad_x);
      case ReluMask::kFromOutput:
        return grad_input<ReluMask::kFromOutput, statistics>(view, a, slope, offset, grad_x);
      case ReluMask::kFromInput:
        return grad_input<ReluMask::kFromInput, statistics>(view, a, slope, offset, grad_x);
    }
  };
  if (slope != nullptr)
    run.template operator()<true>();
  else
    run.template operator()<false>();
}

#define INSTANTIATE(T)                                                                                               \
  template void channel_moments(const ChannelView&, const ChannelBlocks&, const T*, double*, double*, double*);      \
  template void channel_sums(const ChannelView&, const ChannelBlocks&, const T*, double*, double*);                  \
  template void batch_norm_apply(const ChannelView&, const T*, const T*, const T*, const T*, const T*, bool, T*);    \
  template void batch_norm_grad_sums(const ChannelView&, const ChannelBlocks&, const BatchNormGradArgs<T>&, double*, \
                                     double*, T*);                                                                   \
  template void batch_norm_grad_input(const ChannelView&, const BatchNormGradArgs<T>&, const T*, const T*, T*);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tern::kernels::TERN_ISA
