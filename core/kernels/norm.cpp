#include <tern/core/kernels/detail/simd.h>
#include <tern/core/kernels/norm.h>

// Rows are short enough to stay in the first cache, so the passes over a row (mean, variance, result) cost one pass
// over memory. The variance is that of the centred values: sums of squares would lose it far from zero.

namespace tern::kernels::TERN_ISA {
namespace {

template <class T>
using Vec = typename Simd<T>::Vec;

// Sum of term(i) over i in [0, n): vector_term(i) gives the terms of a whole vector. Four running sums hide the latency
// of the additions; they and their lanes are added in a fixed order.
template <class T, class VectorTerm, class Term>
inline T sum_terms(int64_t n, const VectorTerm& vector_term, const Term& term) {
  constexpr int64_t w = Simd<T>::kWidth;
  Vec<T> s0{}, s1{}, s2{}, s3{};
  int64_t i = 0;
  for (; i + 4 * w <= n; i += 4 * w) {
    s0 += vector_term(i);
    s1 += vector_term(i + w);
    s2 += vector_term(i + 2 * w);
    s3 += vector_term(i + 3 * w);
  }
  for (; i + w <= n; i += w) s0 += vector_term(i);
  T sum = static_cast<T>(sum_of_lanes((s0 + s1) + (s2 + s3)));
  for (; i < n; ++i) sum += term(i);
  return sum;
}

template <class T>
T sum_of(const T* x, int64_t n) {
  return sum_terms<T>(
      n, [=](int64_t i) { return Simd<T>::load(x + i); }, [=](int64_t i) { return x[i]; });
}

template <class T>
T sum_of_squares(const T* x, T centre, int64_t n) {
  return sum_terms<T>(
      n,
      [=](int64_t i) {
        const Vec<T> d = Simd<T>::load(x + i) - centre;
        return d * d;
      },
      [=](int64_t i) { return (x[i] - centre) * (x[i] - centre); });
}

float reciprocal_root(float v) {
  return 1.0f / __builtin_sqrtf(v);
}
double reciprocal_root(double v) {
  return 1.0 / __builtin_sqrt(v);
}

// The scale and shift of one row with the affine parameters chosen outside the loop over its elements.
template <bool kWeight, bool kBias, class T>
void write_row(const T* x, T mean, T rstd, const T* weight, const T* bias, T* y, int64_t n) {
  for (int64_t j = 0; j < n; ++j) {
    T v = (x[j] - mean) * rstd;
    if constexpr (kWeight) v *= weight[j];
    if constexpr (kBias) v += bias[j];
    y[j] = v;
  }
}

// One row's input gradient, and its share of the gradients of weight and bias.
//   h = (x - mean) * rstd;  u = grad_y * weight
//   grad_x = rstd * (u - mean(u) - h * mean(u * h)),  without mean(u) where the norm does not centre
template <bool kWeight, class T>
void row_backward(const RowNormBackward<T>& p, int64_t i, T* grad_weight, T* grad_bias) {
  const int64_t n = p.n;
  const T *g = p.grad_y + i * n, *x = p.x + i * n, *w = p.weight;
  const T mean = p.mean != nullptr ? p.mean[i] : T(0), rstd = p.rstd[i];
  if (p.grad_x != nullptr) {
    T* out = p.grad_x + i * n;
    constexpr int64_t width = Simd<T>::kWidth;
    Vec<T> su{}, sh{}, su2{}, sh2{};
    const auto add = [&](int64_t j, Vec<T>& a, Vec<T>& b) {
      Vec<T> u = Simd<T>::load(g + j);
      if constexpr (kWeight) u *= Simd<T>::load(w + j);
      a += u;
      b += u * (Simd<T>::load(x + j) - mean);
    };
    int64_t j = 0;
    for (; j + 2 * width <= n; j += 2 * width) {
      add(j, su, sh);
      add(j + width, su2, sh2);
    }
    for (; j + width <= n; j += width) add(j, su, sh);
    T mean_u = static_cast<T>(sum_of_lanes(su + su2)), mean_uh = static_cast<T>(sum_of_lanes(sh + sh2));
    for (; j < n; ++j) {
      const T u = kWeight ? g[j] * w[j] : g[j];
      mean_u += u;
      mean_uh += u * (x[j] - mean);
    }
    mean_u = p.mean != nullptr ? mean_u / static_cast<T>(n) : T(0);
    const T slope = mean_uh / static_cast<T>(n) * rstd * rstd;
    if (p.grad_sum != nullptr) {
      const T* extra = p.grad_sum + i * n;
      for (int64_t l = 0; l < n; ++l)
        out[l] = ((kWeight ? g[l] * w[l] : g[l]) - mean_u - (x[l] - mean) * slope) * rstd + extra[l];
    } else {
      for (int64_t l = 0; l < n; ++l) out[l] = ((kWeight ? g[l] * w[l] : g[l]) - mean_u - (x[l] - mean) * slope) * rstd;
    }
  }
  if (grad_weight != nullptr)
    for (int64_t j = 0; j < n; ++j) {
      grad_weight[j] += g[j] * ((x[j] - mean) * rstd);
      grad_bias[j] += g[j];
    }
}

}  // namespace

template <class T>
void row_norm(const RowNorm<T>& p) {
  const int64_t n = p.n;
  parallel_for(p.rows, chunk_items(n), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T* x = p.x + i * n;
      T* y = p.y + i * n;
      if (p.residual != nullptr) {
        const T* r = p.residual + i * n;
        T* s = p.sum + i * n;
        for (int64_t j = 0; j < n; ++j) s[j] = x[j] + r[j];
        x = s;
      }
      const T mean = p.mean != nullptr ? sum_of(x, n) / static_cast<T>(n) : T(0);
      const T variance = sum_of_squares(x, mean, n) / static_cast<T>(n);
      const T rstd = reciprocal_root(variance + p.eps);
      if (p.mean != nullptr) p.mean[i] = mean;
      p.rstd[i] = rstd;
      if (p.weight != nullptr && p.bias != nullptr)
        write_row<true, true>(x, mean, rstd, p.weight, p.bias, y, n);
      else if (p.weight != nullptr)
        write_row<true, false>(x, mean, rstd, p.weight, p.bias, y, n);
      else if (p.bias != nullptr)
        write_row<false, true>(x, mean, rstd, p.weight, p.bias, y, n);
      else
        write_row<false, false>(x, mean, rstd, p.weight, p.bias, y, n);
    }
  });
}

template <class T>
void row_norm_backward(const RowNormBackward<T>& p) {
  const int64_t n = p.n, block = row_norm_block(p.rows, n), blocks = row_norm_blocks(p.rows, n);
  parallel_for(blocks, 1, [&](int64_t first, int64_t last) {
    for (int64_t b = first; b < last; ++b) {
      T* grad_weight = p.partials != nullptr ? p.partials + 2 * b * n : nullptr;
      T* grad_bias = p.partials != nullptr ? grad_weight + n : nullptr;
      for (int64_t j = 0; j < 2 * n && p.partials != nullptr; ++j) grad_weight[j] = T(0);
      const int64_t end = (b + 1) * block < p.rows ? (b + 1) * block : p.rows;
      for (int64_t i = b * block; i < end; ++i) {
        if (p.weight != nullptr)
          row_backward<true>(p, i, grad_weight, grad_bias);
        else
          row_backward<false>(p, i, grad_weight, grad_bias);
      }
    }
  });
  const auto add_up = [&](T* out, const T* partial) {
    for (int64_t j = 0; j < n; ++j) out[j] = T(0);
    for (int64_t b = 0; b < blocks; ++b)
      for (int64_t j = 0; j < n; ++j) out[j] += partial[2 * b * n + j];
  };
  if (p.grad_weight != nullptr) add_up(p.grad_weight, p.partials);
  if (p.grad_bias != nullptr) add_up(p.grad_bias, p.partials + n);
}

// In row-major memory the elements of a group are one run, and those of a channel as well. In channels-last memory a
// pixel's channels are, so sums run over pixels with a sum a channel, and a sample is one piece of work.

template <class T>
void group_norm(const GroupNorm<T>& p) {
  const int64_t channels = p.channels, pixels = p.pixels, width = channels / p.groups;
  const T count = static_cast<T>(width * pixels);
  if (p.pixel_step == 1) {
    parallel_for(p.samples * p.groups, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const T* x = p.x + i * width * pixels;
        T* y = p.y + i * width * pixels;
        const T mean = sum_of(x, width * pixels) / count;
        const T rstd = reciprocal_root(sum_of_squares(x, mean, width * pixels) / count + p.eps);
        p.mean[i] = mean;
        p.rstd[i] = rstd;
        for (int64_t k = 0; k < width; ++k) {
          const int64_t c = i % p.groups * width + k;
          const T scale = p.weight != nullptr ? rstd * p.weight[c] : rstd, shift = p.bias != nullptr ? p.bias[c] : T(0);
          for (int64_t s = k * pixels; s < (k + 1) * pixels; ++s) y[s] = (x[s] - mean) * scale + shift;
        }
      }
    });
    return;
  }
  parallel_for(p.samples, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T* x = p.x + i * channels * pixels;
      T *y = p.y + i * channels * pixels, *sums = p.scratch + i * channels;
      T *mean = p.mean + i * p.groups, *rstd = p.rstd + i * p.groups;
      for (int64_t c = 0; c < channels; ++c) sums[c] = T(0);
      for (int64_t s = 0; s < pixels; ++s)
        for (int64_t c = 0; c < channels; ++c) sums[c] += x[s * channels + c];
      for (int64_t g = 0; g < p.groups; ++g) {
        T sum = T(0);
        for (int64_t c = g * width; c < (g + 1) * width; ++c) sum += sums[c], sums[c] = T(0);
        mean[g] = sum / count;
      }
      for (int64_t s = 0; s < pixels; ++s)
        for (int64_t g = 0; g < p.groups; ++g)
          for (int64_t c = g * width; c < (g + 1) * width; ++c) {
            const T d = x[s * channels + c] - mean[g];
            sums[c] += d * d;
          }
      for (int64_t g = 0; g < p.groups; ++g) {
        T sum = T(0);
        for (int64_t c = g * width; c < (g + 1) * width; ++c) sum += sums[c];
        rstd[g] = reciprocal_root(sum / count + p.eps);
        for (int64_t c = g * width; c < (g + 1) * width; ++c)
          sums[c] = p.weight != nullptr ? rstd[g] * p.weight[c] : rstd[g];
      }
      for (int64_t s = 0; s < pixels; ++s)
        for (int64_t g = 0; g < p.groups; ++g)
          for (int64_t c = g * width; c < (g + 1) * width; ++c) {
            const T shift = p.bias != nullptr ? p.bias[c] : T(0);
            y[s * channels + c] = (x[s * channels + c] - mean[g]) * sums[c] + shift;
          }
    }
  });
}

// With h the normalised x and u = grad_y * weight, over the elements of a group:
//   grad_x = rstd * (u - mean(u) - h * mean(u * h));
// the sums over pixels of grad_y and grad_y * h give both means, and the gradients of bias and weight.
template <class T>
void group_norm_backward(const GroupNormBackward<T>& p) {
  const int64_t channels = p.channels, pixels = p.pixels, width = channels / p.groups, size = channels * pixels;
  const bool channels_last = p.pixel_step != 1;
  T *sums_g = p.sums, *sums_gh = p.sums + p.samples * channels;
  parallel_for(p.samples, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const T *g = p.grad_y + i * size, *x = p.x + i * size;
      const T *mean = p.mean + i * p.groups, *rstd = p.rstd + i * p.groups;
      T *a = sums_g + i * channels, *b = sums_gh + i * channels;
      if (channels_last) {
        for (int64_t c = 0; c < channels; ++c) a[c] = b[c] = T(0);
        for (int64_t s = 0; s < pixels; ++s)
          for (int64_t k = 0; k < p.groups; ++k)
            for (int64_t c = k * width; c < (k + 1) * width; ++c) {
              a[c] += g[s * channels + c];
              b[c] += g[s * channels + c] * ((x[s * channels + c] - mean[k]) * rstd[k]);
            }
      } else {
        for (int64_t c = 0; c < channels; ++c) {
          const T *gc = g + c * pixels, *xc = x + c * pixels;
          const T m = mean[c / width], r = rstd[c / width];
          a[c] = sum_of(gc, pixels);
          b[c] = sum_terms<T>(
              pixels, [=](int64_t s) { return Simd<T>::load(gc + s) * ((Simd<T>::load(xc + s) - m) * r); },
              [=](int64_t s) { return gc[s] * ((xc[s] - m) * r); });
        }
      }
      if (p.grad_x == nullptr) continue;
      T* out = p.grad_x + i * size;
      for (int64_t k = 0; k < p.groups; ++k) {
        T mean_u = T(0), mean_uh = T(0);
        for (int64_t c = k * width; c < (k + 1) * width; ++c) {
          const T w = p.weight != nullptr ? p.weight[c] : T(1);
          mean_u += w * a[c];
          mean_uh += w * b[c];
        }
        mean_u /= static_cast<T>(width * pixels);
        mean_uh /= static_cast<T>(width * pixels);
        const T m = mean[k], r = rstd[k], slope = mean_uh * r;
        if (channels_last) {
          for (int64_t s = 0; s < pixels; ++s)
            for (int64_t c = k * width; c < (k + 1) * width; ++c) {
              const int64_t at = s * channels + c;
              const T w = p.weight != nullptr ? p.weight[c] : T(1);
              out[at] = (g[at] * w - mean_u - (x[at] - m) * slope) * r;
            }
        } else {
          for (int64_t c = k * width; c < (k + 1) * width; ++c) {
            const T w = p.weight != nullptr ? p.weight[c] : T(1);
            for (int64_t at = c * pixels; at < (c + 1) * pixels; ++at)
              out[at] = (g[at] * w - mean_u - (x[at] - m) * slope) * r;
          }
        }
      }
    }
  });
  const auto over_samples = [&](T* out, const T* sums) {
    for (int64_t c = 0; c < channels; ++c) out[c] = T(0);
    for (int64_t i = 0; i < p.samples; ++i)
      for (int64_t c = 0; c < channels; ++c) out[c] += sums[i * channels + c];
  };
  if (p.grad_weight != nullptr) over_samples(p.grad_weight, sums_gh);
  if (p.grad_bias != nullptr) over_samples(p.grad_bias, sums_g);
}

#define INSTANTIATE(T)                                        \
  template void row_norm(const RowNorm<T>&);                  \
  template void row_norm_backward(const RowNormBackward<T>&); \
  template void group_norm(const GroupNorm<T>&);              \
  template void group_norm_backward(const GroupNormBackward<T>&);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tern::kernels::TERN_ISA
