#include <tern/core/kernels/attention.h>
#include <tern/core/kernels/detail/tile.h>

// The scores of kQueryRows queries against a block of kKeyBlock keys are one tile that stays in the second cache, so no
// more of the matrix of scores ever exists. Forward: the tile becomes e^(score - m), m the row's largest score so far,
// and is multiplied by V into the output rows; when a later block raises m, sums and output rows are scaled down
// (Milakov and Gimelshein, "Online normalizer calculation for softmax", 2018; Dao et al., "FlashAttention", 2022). The
// backward makes each tile again from the saved m and 1 / sum of every row:
//   P = e^(S - m) / sum;  dP = dO V^T;  dS = P * (dP - rowsum(dO * O))
//   dQ = scale dS K;  dK += scale dS^T Q;  dV += P^T dO
// All products are tile.h's. K and V are brought into panels once a call, which serves many query tiles; K is scaled
// there, not the scores.

namespace tern::kernels::TERN_ISA {
namespace {

constexpr int64_t kQueryRows = 96;  // a multiple of every tile height, as its half is
constexpr int64_t kKeyBlock = 256;
constexpr int64_t kFewQueries = 4;

// e^x for x <= 0, exactly 0 below -87 (no subnormal numbers, which some processors are slow with); NaN stays NaN.
[[gnu::always_inline]] inline Simd<float>::Vec decay(Simd<float>::Vec x) {
  using S = Simd<float>;
  const float magic = 12582912.0f;  // 1.5 * 2^23: adding it rounds to an integer, left in the low bits
  const S::Vec shifted = x * 1.44269504088896341f + magic;
  const S::Vec n = shifted - magic;
  const S::Vec r = x - n * 0.693359375f - n * -2.12194440e-4f;
  S::Vec y = S::broadcast(1.9875691500e-4f);
  y = y * r + 1.3981999507e-3f;
  y = y * r + 8.3334519073e-3f;
  y = y * r + 4.1665795894e-2f;
  y = y * r + 1.6666665459e-1f;
  y = y * r + 5.0000001201e-1f;
  y = y * (r * r) + r + 1.0f;
  y = y * reinterpret_cast<S::Vec>((reinterpret_cast<S::Int>(shifted) + 127) << 23);
  return x < -87.0f ? S::Vec{} : y;
}
inline Simd<double>::Vec decay(Simd<double>::Vec x) {
  return exponential(x);
}

// Causal tiles are lower: less of them lies above the diagonal.
template <class T>
int64_t query_rows(const Attention<T>& p) {
  return p.causal ? kQueryRows / 2 : kQueryRows;
}

template <class T>
constexpr T kInfinity = static_cast<T>(__builtin_inf());

// Masks a row of scores of keys first .. first + n - 1 in place; elements from n to `padded` become -inf. So does the
// score of a masked key, whatever it is.
template <class T>
void mask_scores(const Attention<T>& p, int64_t b, int64_t h, int64_t i, int64_t first, int64_t n, int64_t padded,
                 T* s) {
  const int64_t at = b * p.mask_stride[0] + h * p.mask_stride[1] + i * p.mask_stride[2] + first * p.mask_stride[3];
  const int64_t step = p.mask_stride[3];
  if (p.added_mask != nullptr) {
    const T* mask = p.added_mask + at;
    const auto masked = [](T score, T m) { return m == -kInfinity<T> ? m : score + m; };
    if (step == 1)
      for (int64_t j = 0; j < n; ++j) s[j] = masked(s[j], mask[j]);
    else
      for (int64_t j = 0; j < n; ++j) s[j] = masked(s[j], mask[j * step]);
  } else if (p.allowed_mask != nullptr) {
    const uint8_t* mask = p.allowed_mask + at;
    for (int64_t j = 0; j < n; ++j) s[j] = mask[j * step] != 0 ? s[j] : -kInfinity<T>;
  }
  for (int64_t j = n; j < padded; ++j) s[j] = -kInfinity<T>;
}

// s = e^(s - shift) over `padded` elements; returns the sum.
template <class T>
T exponentiate(T* s, T shift, int64_t padded) {
  using S = Simd<T>;
  typename S::Vec sum0{}, sum1{};
  int64_t j = 0;
  for (; j + 2 * S::kWidth <= padded; j += 2 * S::kWidth) {
    const typename S::Vec e0 = decay(S::load(s + j) - shift), e1 = decay(S::load(s + j + S::kWidth) - shift);
    S::store(s + j, e0);
    S::store(s + j + S::kWidth, e1);
    sum0 += e0;
    sum1 += e1;
  }
  for (; j < padded; j += S::kWidth) {
    const typename S::Vec e = decay(S::load(s + j) - shift);
    S::store(s + j, e);
    sum0 += e;
  }
  return static_cast<T>(sum_of_lanes(sum0 + sum1));
}

// The largest of them; a NaN is passed over (it comes out of the sum of exponentials all the same).
template <class T>
T largest(const T* s, int64_t padded) {
  using S = Simd<T>;
  typename S::Vec best = S::load(s);
  for (int64_t j = S::kWidth; j < padded; j += S::kWidth) {
    const typename S::Vec x = S::load(s + j);
    best = x > best ? x : best;
  }
  T result = -kInfinity<T>;
  for (int l = 0; l < S::kWidth; ++l) result = best[l] > result ? best[l] : result;
  return result;
}

template <class T>
void scale_all(T* x, int64_t n, T factor) {
  for (int64_t i = 0; i < n; ++i) x[i] *= factor;
}

// Sizes and places that both directions share. Rows of a tile of scores lie one vector more than a block apart: at a
// power of two apart, a column of them would share few cache lines.
template <class T>
struct Plan {
  int64_t padded_keys, width, value_width, score_step;
  explicit Plan(const Attention<T>& p)
      : padded_keys(round_up(p.keys, kPanel<T>)),
        width(round_up(p.width, Simd<T>::kWidth)),
        value_width(round_up(p.value_width, Simd<T>::kWidth)),
        score_step((padded_keys < kKeyBlock ? padded_keys : kKeyBlock) + 2 * Simd<T>::kWidth) {}
};

template <class T>
struct ScratchCursor {
  T* next;
  T* take(int64_t elements) {
    T* here = next;
    next += round_up(elements, 64 / static_cast<int64_t>(sizeof(T)));
    return here;
  }
};

// One query against all keys, without panels: what generation does a token, where packing K and V would cost more than
// all the rest. s: [keys, rounded up].
template <class T>
void attend_alone(const Attention<T>& p, int64_t b, int64_t h, int64_t i, T* s, T* factors) {
  using S = Simd<T>;
  const int64_t kv = h / (p.heads / p.kv_heads), n = visible_keys(p, i), padded = round_up(n, S::kWidth);
  const T* q = p.q.at(b, h, i);
  for (int64_t j = 0; j < n; ++j) {
    const T* k = p.k.at(b, kv, j);
    typename S::Vec sum{};
    int64_t l = 0;
    for (; l + S::kWidth <= p.width; l += S::kWidth) sum += S::load(q + l) * S::load(k + l);
    T dot = static_cast<T>(sum_of_lanes(sum));
    for (; l < p.width; ++l) dot += q[l] * k[l];
    s[j] = dot * p.scale;
  }
  for (int64_t j = n; j < padded; ++j) s[j] = T(0);
  mask_scores(p, b, h, i, 0, n, padded, s);
  const T high = padded > 0 ? largest(s, padded) : -kInfinity<T>;
  const T total = exponentiate(s, high == -kInfinity<T> ? T(0) : high, padded);
  const bool blind = total == T(0);
  const T inverse = blind ? T(0) : T(1) / total;
  const int64_t row = (b * p.heads + h) * p.queries + i;
  for (int64_t k0 = 0; k0 < n && p.dropout != nullptr; k0 += kKeyBlock) {
    const int64_t count = n - k0 < kKeyBlock ? n - k0 : kKeyBlock;
    p.dropout(p.dropout_context, row, k0, count, factors);
    for (int64_t j = 0; j < count; ++j) s[k0 + j] *= factors[j];
  }
  T* o = p.out.at(b, h, i);
  for (int64_t l = 0; l < p.value_width; ++l) o[l] = T(0);
  for (int64_t j = 0; j < n; ++j) {
    if (s[j] == T(0) && !mask_allows(p, b, h, i, j)) continue;
    const T *v = p.v.at(b, kv, j), weight = s[j] * inverse;
    for (int64_t l = 0; l < p.value_width; ++l) o[l] += weight * v[l];
  }
  p.stats[2 * row] = blind ? T(0) : high;
  p.stats[2 * row + 1] = inverse;
}

}  // namespace

template <class T>
int64_t attention_scratch(const Attention<T>& p, bool backward) {
  const Plan<T> plan(p);
  const int64_t line = 64 / static_cast<int64_t>(sizeof(T));
  const auto whole = [=](int64_t n) { return round_up(n, line); };
  const int64_t by_key = whole(panel_elements<T>(p.width, p.keys)),
                by_key_v = whole(panel_elements<T>(p.value_width, p.keys));
  const int64_t scores = whole(kQueryRows * plan.score_step);
  if (!backward)
    return by_key + whole(panel_elements<T>(p.keys, p.value_width)) + scores + whole(kQueryRows * plan.value_width) +
           2 * whole(kQueryRows) + whole(plan.score_step);
  return by_key + by_key_v + whole(panel_elements<T>(p.keys, p.width)) + 2 * scores + whole(kQueryRows * plan.width) +
         whole(panel_elements<T>(kQueryRows, p.width)) + whole(panel_elements<T>(kQueryRows, p.value_width)) +
         whole(p.keys * plan.width) + whole(p.keys * plan.value_width) + whole(kQueryRows) + whole(plan.score_step);
}

template <class T>
void attention_forward(const Attention<T>& p, int64_t b, int64_t h, int64_t first, int64_t last, T* scratch) {
  using S = Simd<T>;
  const Plan<T> plan(p);
  const int64_t kv = h / (p.heads / p.kv_heads);
  ScratchCursor<T> cursor{scratch};
  T* k_panels = cursor.take(panel_elements<T>(p.width, p.keys));        // scale K^T: [width, keys]
  T* v_panels = cursor.take(panel_elements<T>(p.keys, p.value_width));  // V: [keys, value_width]
  T* scores = cursor.take(kQueryRows * plan.score_step);                // [rows, keys of a block]
  T* sums = cursor.take(kQueryRows * plan.value_width);                 // [rows, value_width]: P V
  T* high = cursor.take(kQueryRows);                                    // largest score of each row so far
  T* total = cursor.take(kQueryRows);                                   // sum of e^(score - high)
  T* factors = cursor.take(plan.score_step);

  if (last - first < kFewQueries && !p.recorded) {
    for (int64_t i = first; i < last; ++i) attend_alone(p, b, h, i, k_panels, factors);
    return;
  }
  const int64_t most_keys = visible_keys(p, last - 1);
  pack_panels_transposed(p.k.at(b, kv, 0), p.k.row, p.width, most_keys, k_panels);
  scale_all(k_panels, panel_elements<T>(p.width, most_keys), p.scale);
  pack_panels(p.v.at(b, kv, 0), p.v.row, most_keys, p.value_width, v_panels);

  for (int64_t i0 = first, step = query_rows(p); i0 < last; i0 += step) {
    const int64_t rows = last - i0 < step ? last - i0 : step;
    const int64_t keys = visible_keys(p, i0 + rows - 1);
    for (int64_t r = 0; r < rows; ++r) high[r] = -kInfinity<T>, total[r] = T(0);
    for (int64_t j = 0; j < rows * plan.value_width && keys == 0; ++j) sums[j] = T(0);
    for (int64_t k0 = 0; k0 < keys; k0 += kKeyBlock) {
      const int64_t n = keys - k0 < kKeyBlock ? keys - k0 : kKeyBlock, padded = round_up(n, S::kWidth);
      tile_product(rows, padded, p.width, p.q.at(b, h, i0), p.q.row, int64_t{1}, k_panels + k0 * p.width, p.width,
                   scores, plan.score_step, false);
      for (int64_t r = 0; r < rows; ++r) {
        T *s = scores + r * plan.score_step, *o = sums + r * plan.value_width;
        const int64_t seen = visible_keys(p, i0 + r) - k0;
        mask_scores(p, b, h, i0 + r, k0, seen < 0 ? 0 : seen < n ? seen : n, padded, s);
        const T block_high = largest(s, padded), old_high = high[r];
        const T new_high = block_high > old_high ? block_high : old_high;
        const T shift = new_high == -kInfinity<T> ? T(0) : new_high;  // nothing seen yet: all terms are 0
        const T block_total = exponentiate(s, shift, padded);
        high[r] = new_high;
        if (k0 == 0) {
          total[r] = block_total;
        } else if (new_high == old_high) {
          total[r] += block_total;
        } else {
          const T fade = old_high == -kInfinity<T> ? T(0) : exponential(old_high - shift);
          total[r] = total[r] * fade + block_total;
          for (int64_t j = 0; j < plan.value_width; ++j) o[j] *= fade;
        }
        if (p.dropout != nullptr) {
          p.dropout(p.dropout_context, (b * p.heads + h) * p.queries + i0 + r, k0, n, factors);
          for (int64_t j = 0; j < n; ++j) s[j] *= factors[j];
        }
      }
      // Panels of V are as long as all keys of this call.
      tile_product(rows, plan.value_width, n, scores, plan.score_step, int64_t{1}, v_panels + k0 * kPanel<T>, most_keys,
                   sums, plan.value_width, k0 > 0);
    }
    for (int64_t r = 0; r < rows; ++r) {
      T* o = p.out.at(b, h, i0 + r);
      const bool blind = total[r] == T(0);  // a query that sees no key gives zeros
      const T inverse = blind ? T(0) : T(1) / total[r];
      for (int64_t j = 0; j < p.value_width; ++j) o[j] = sums[r * plan.value_width + j] * inverse;
      T* stats = p.stats + 2 * ((b * p.heads + h) * p.queries + i0 + r);
      stats[0] = blind ? T(0) : high[r];
      stats[1] = inverse;
    }
  }
}

template <class T>
void attention_backward(const Attention<T>& p, int64_t b, int64_t h, int64_t first, int64_t last, T* scratch) {
  using S = Simd<T>;
  const Plan<T> plan(p);
  const int64_t kv = h / (p.heads / p.kv_heads);
  ScratchCursor<T> cursor{scratch};
  T* k_panels = cursor.take(panel_elements<T>(p.width, p.keys));            // K^T: [width, keys]
  T* v_panels = cursor.take(panel_elements<T>(p.value_width, p.keys));      // V^T: [value_width, keys]
  T* k_rows = cursor.take(panel_elements<T>(p.keys, p.width));              // K: [keys, width]
  T* scores = cursor.take(kQueryRows * plan.score_step);                    // S, then P, then P with dropout
  T* grad_scores = cursor.take(kQueryRows * plan.score_step);               // dP, then dS
  T* grad_q = cursor.take(kQueryRows * plan.width);                         // [rows, width]
  T* q_panels = cursor.take(panel_elements<T>(kQueryRows, p.width));        // Q: [rows, width]
  T* g_panels = cursor.take(panel_elements<T>(kQueryRows, p.value_width));  // dO: [rows, value_width]
  T* grad_k = cursor.take(p.keys * plan.width);                             // [keys, width]
  T* grad_v = cursor.take(p.keys * plan.value_width);                       // [keys, value_width]
  T* delta = cursor.take(kQueryRows);                                       // rowsum(dO * O)
  T* factors = cursor.take(plan.score_step);

  const int64_t most_keys = visible_keys(p, last - 1);
  pack_panels_transposed(p.k.at(b, kv, 0), p.k.row, p.width, most_keys, k_panels);
  scale_all(k_panels, panel_elements<T>(p.width, most_keys), p.scale);
  pack_panels_transposed(p.v.at(b, kv, 0), p.v.row, p.value_width, most_keys, v_panels);
  if (p.grad_q.data != nullptr) {
    pack_panels(p.k.at(b, kv, 0), p.k.row, most_keys, p.width, k_rows);
    scale_all(k_rows, panel_elements<T>(most_keys, p.width), p.scale);
  }
  for (int64_t j = 0; j < p.keys * plan.width; ++j) grad_k[j] = T(0);
  for (int64_t j = 0; j < p.keys * plan.value_width; ++j) grad_v[j] = T(0);

  for (int64_t i0 = first, step = query_rows(p); i0 < last; i0 += step) {
    const int64_t rows = last - i0 < step ? last - i0 : step;
    const int64_t keys = visible_keys(p, i0 + rows - 1);
    for (int64_t r = 0; r < rows && keys > kKeyBlock; ++r) {
      const T *g = p.grad_out.at(b, h, i0 + r), *o = p.out.at(b, h, i0 + r);
      delta[r] = T(0);
      for (int64_t j = 0; j < p.value_width; ++j) delta[r] += g[j] * o[j];
    }
    if (p.grad_k.data != nullptr) pack_panels(p.q.at(b, h, i0), p.q.row, rows, p.width, q_panels);
    if (p.grad_v.data != nullptr) pack_panels(p.grad_out.at(b, h, i0), p.grad_out.row, rows, p.value_width, g_panels);
    for (int64_t j = 0; j < rows * plan.width && keys == 0; ++j) grad_q[j] = T(0);
    for (int64_t k0 = 0; k0 < keys; k0 += kKeyBlock) {
      const int64_t n = keys - k0 < kKeyBlock ? keys - k0 : kKeyBlock, padded = round_up(n, S::kWidth);
      tile_product(rows, padded, p.width, p.q.at(b, h, i0), p.q.row, int64_t{1}, k_panels + k0 * p.width, p.width,
                   scores, plan.score_step, false);
      tile_product(rows, padded, p.value_width, p.grad_out.at(b, h, i0), p.grad_out.row, int64_t{1},
                   v_panels + k0 * p.value_width, p.value_width, grad_scores, plan.score_step, false);
      for (int64_t r = 0; r < rows; ++r) {
        T *s = scores + r * plan.score_step, *g = grad_scores + r * plan.score_step;
        const int64_t row = (b * p.heads + h) * p.queries + i0 + r, seen = visible_keys(p, i0 + r) - k0;
        mask_scores(p, b, h, i0 + r, k0, seen < 0 ? 0 : seen < n ? seen : n, padded, s);
        if (p.dropout != nullptr) {
          p.dropout(p.dropout_context, row, k0, n, factors);
          for (int64_t j = 0; j < n; ++j) g[j] *= factors[j];
        }
        const T shift = p.stats[2 * row], inverse = p.stats[2 * row + 1];
        typename S::Vec weighted{};
        for (int64_t j = 0; j < padded; j += S::kWidth) {
          const typename S::Vec e = decay(S::load(s + j) - shift) * inverse;
          S::store(s + j, e);
          weighted += e * S::load(g + j);
        }
        // rowsum(dO * O) = rowsum(P * dP): the latter, where the tile has the whole row, cancels better.
        const T mean = keys <= kKeyBlock ? static_cast<T>(sum_of_lanes(weighted)) : delta[r];
        if (p.grad_mask != nullptr)
          for (int64_t j = 0; j < n; ++j) p.grad_mask[row * p.keys + k0 + j] = s[j] * (g[j] - mean);
        for (int64_t j = 0; j < padded; j += S::kWidth) S::store(g + j, S::load(s + j) * (S::load(g + j) - mean));
        if (p.dropout != nullptr)
          for (int64_t j = 0; j < n; ++j) s[j] *= factors[j];
      }
      if (p.grad_q.data != nullptr)
        tile_product(rows, plan.width, n, grad_scores, plan.score_step, int64_t{1}, k_rows + k0 * kPanel<T>, most_keys,
                     grad_q, plan.width, k0 > 0);
      if (p.grad_k.data != nullptr)
        tile_product(n, plan.width, rows, grad_scores, int64_t{1}, plan.score_step, q_panels, rows,
                     grad_k + k0 * plan.width, plan.width, true);
      if (p.grad_v.data != nullptr)
        tile_product(n, plan.value_width, rows, scores, int64_t{1}, plan.score_step, g_panels, rows,
                     grad_v + k0 * plan.value_width, plan.value_width, true);
    }
    for (int64_t r = 0; r < rows && p.grad_q.data != nullptr; ++r) {
      T* out = p.grad_q.at(b, h, i0 + r);
      for (int64_t j = 0; j < p.width; ++j) out[j] = grad_q[r * plan.width + j];
    }
  }
  for (int64_t i = 0; i < p.keys; ++i) {
    if (p.grad_k.data != nullptr) {
      T* out = p.grad_k.at(b, h, i);
      for (int64_t j = 0; j < p.width; ++j) out[j] = grad_k[i * plan.width + j] * p.scale;
    }
    if (p.grad_v.data != nullptr) {
      T* out = p.grad_v.at(b, h, i);
      for (int64_t j = 0; j < p.value_width; ++j) out[j] = grad_v[i * plan.value_width + j];
    }
  }
}

template <class T>
void add_attention_parts(const T* parts, int64_t count, int64_t part_size, int64_t batch, int64_t heads, int64_t rows,
                         int64_t width, Heads<T> out) {
  parallel_for(batch * heads * rows, chunk_items(width * count), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      T* o = out.at(i / rows / heads, i / rows % heads, i % rows);
      const T* part = parts + i * width;
      for (int64_t j = 0; j < width; ++j) o[j] = part[j];
      for (int64_t s = 1; s < count; ++s)
        for (int64_t j = 0; j < width; ++j) o[j] += part[s * part_size + j];
    }
  });
}

#define INSTANTIATE(T)                                                                           \
  template int64_t attention_scratch(const Attention<T>&, bool);                                 \
  template void attention_forward(const Attention<T>&, int64_t, int64_t, int64_t, int64_t, T*);  \
  template void attention_backward(const Attention<T>&, int64_t, int64_t, int64_t, int64_t, T*); \
  template void add_attention_parts(const T*, int64_t, int64_t, int64_t, int64_t, int64_t, int64_t, Heads<T>);
INSTANTIATE(float)
INSTANTIATE(double)
#undef INSTANTIATE

}  // namespace tern::kernels::TERN_ISA
