// Scaled dot-product attention, fused: nothing of size queries x keys is kept (but see masks that want a gradient).
#pragma once

#include <optional>

#include <tern/core/tensor.h>

namespace tern {

/// Settings of both functions below.
struct AttentionOptions {
  /// Broadcasts to [B, H, Tq, Tk]. u8: 1 where a query may attend to a key (PyTorch's boolean meaning). Of q's dtype:
  /// added to the scores; it may want a gradient, which alone takes memory for all scores.
  Tensor mask = {};
  bool is_causal = false;            ///< query i attends to keys j <= i + causal_offset; may be combined with a mask
  int64_t causal_offset = 0;         ///< 0 as in PyTorch; Tk - Tq where the keys start with those of a cache
  std::optional<double> scale = {};  ///< of the scores; 1 / sqrt(D) unless given
  double dropout = 0;                ///< probability, in [0, 1), with which weights are dropped; 0 outside training
};

/// softmax(scale q k^T + mask) v, head by head, as PyTorch's function. q: [B, H, Tq, D]; k: [B, Hkv, Tk, D];
/// v: [B, Hkv, Tk, Dv]; H a multiple of Hkv, query head h uses key head h / (H / Hkv). Without B ([H, T, D]) or without
/// B and H ([T, D]) too. All f32 or all f64. The result is [B, H, Tq, Dv], in memory [B, Tq, H, Dv] where q is, so that
/// transpose(1, 2).reshape({B, Tq, H * Dv}) copies nothing. Inputs may be strided views; they are read in place if
/// their last axis is dense. A query that may attend to no key gives zeros and no gradient (as PyTorch since 2.5;
/// before, NaN). What a query may not attend to, by causality, a u8 mask of 0 or an added mask of -inf, reaches neither
/// its row nor its gradients, NaN and infinities included (padding and caches may hold anything; PyTorch multiplies it
/// by 0, which NaN survives). Throws ShapeError for sizes that disagree or a mask that does not broadcast, DTypeError
/// for other or mixed dtypes, ValueError for a dropout outside [0, 1).
[[nodiscard]] Tensor scaled_dot_product_attention(const Tensor& q, const Tensor& k, const Tensor& v,
                                                  const AttentionOptions& options = {});

/// The same for queries, keys and values that one linear layer makes. qkv: [B, T, 3 H D], per token all queries, all
/// keys, all values, f32 or f64; heads: H; the result is [B, T, H D], what the output projection takes. Same as
/// splitting, transposing, attending and transposing back, but the gradient is written in one piece. Throws as above,
/// and ValueError for heads below 1.
[[nodiscard]] Tensor packed_attention(const Tensor& qkv, int64_t heads, const AttentionOptions& options = {});

}  // namespace tern
