// Scaled dot-product attention without a matrix of all scores: see attention.cpp.
#pragma once

#include <tern/core/kernels/kernel.h>

namespace tern::kernels {

/// [batch, heads, rows, width] in memory: strides of the first three axes, the last one is dense.
template <class T>
struct Heads {
  T* data = nullptr;
  int64_t batch = 0, head = 0, row = 0;
  T* at(int64_t b, int64_t h, int64_t i) const { return data + b * batch + h * head + i * row; }
};

/// One attention, forward and backward.
template <class T>
struct Attention {
  int64_t batch = 0, heads = 0, kv_heads = 0, queries = 0, keys = 0, width = 0, value_width = 0;
  T scale = T(1);
  bool causal = false;
  int64_t causal_offset = 0;  ///< query i sees keys 0 .. i + causal_offset
  Heads<const T> q = {}, k = {}, v = {};
  const T* added_mask = nullptr;          ///< added to the scores
  const uint8_t* allowed_mask = nullptr;  ///< 1: may attend
  int64_t mask_stride[4] = {};            ///< of batch, head, query, key; 0 where broadcast
  /// The backward will follow: scores are computed as it computes them, however few the queries.
  bool recorded = false;
  Heads<T> out = {};
  /// [batch, heads, queries, 2], for the backward: the row's largest score m and 1 / sum of e^(score - m); both 0 where
  /// a query sees no key. (Their combination log-sum-exp would round weights by the size of the scores.)
  T* stats = nullptr;
  /// Dropout: writes the factors, 0 or 1 / (1 - p), of keys first .. first + n - 1 for a row of [batch * heads *
  /// queries].
  void (*dropout)(const void* context, int64_t row, int64_t first, int64_t n, T* factors) = nullptr;
  const void* dropout_context = nullptr;

  // the backward only
  Heads<const T> grad_out = {};
  Heads<T> grad_q = {}, grad_k = {},
           grad_v = {};    ///< data may be null; grad_k and grad_v are written for the heads of q
  T* grad_mask = nullptr;  ///< [batch, heads, queries, keys] or null
};

/// Keys that query i may attend to as far as causality goes: 0 .. n - 1.
template <class T>
inline int64_t visible_keys(const Attention<T>& p, int64_t i) {
  if (!p.causal) return p.keys;
  const int64_t n = i + p.causal_offset + 1;
  return n < 0 ? 0 : n < p.keys ? n : p.keys;
}

/// Whether the mask lets query i of a head attend to key j.
template <class T>
inline bool mask_allows(const Attention<T>& p, int64_t b, int64_t h, int64_t i, int64_t j) {
  const int64_t at = b * p.mask_stride[0] + h * p.mask_stride[1] + i * p.mask_stride[2] + j * p.mask_stride[3];
  if (p.allowed_mask != nullptr) return p.allowed_mask[at] != 0;
  return p.added_mask == nullptr || p.added_mask[at] != -static_cast<T>(__builtin_inf());
}

}  // namespace tern::kernels

TERN_DECLARE_KERNELS(
    /// Elements of scratch memory that a call of either needs.
    template <class T> int64_t attention_scratch(const Attention<T>& p, bool backward);
    /// Rows first .. last - 1 of out and stats for one head, on the calling thread.
    template <class T>
    void attention_forward(const Attention<T>& p, int64_t b, int64_t h, int64_t first, int64_t last, T* scratch);
    /// The gradients that queries first .. last - 1 of one head give. Their rows of grad_q are written; grad_k and
    /// grad_v get the sums over these queries alone.
    template <class T>
    void attention_backward(const Attention<T>& p, int64_t b, int64_t h, int64_t first, int64_t last, T* scratch);
    /// out[b, h, i, :] = sum over s of parts[s][b, h, i, :], parts dense, part_size elements apart.
    template <class T> void add_attention_parts(const T* parts, int64_t count, int64_t part_size, int64_t batch,
                                                int64_t heads, int64_t rows, int64_t width, Heads<T> out);)
