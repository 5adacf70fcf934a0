// Losses of predictions and targets, element by element. The result is one element or, with Reduction::kNone, has the
// shape of x.
#pragma once

#include <tern/core/ops/loss.h>
#include <tern/core/tensor.h>

namespace tern {

/// (x - target)^2. Both of one shape (ShapeError) and dtype (DTypeError) here and below, without broadcasting;
/// both get gradients. With kNone the result has x's shape and memory format.
[[nodiscard]] Tensor mse_loss(const Tensor& x, const Tensor& target, Reduction reduction = Reduction::kMean);

/// |x - target|; the gradient where they are equal, or one is NaN, is 0.
[[nodiscard]] Tensor l1_loss(const Tensor& x, const Tensor& target, Reduction reduction = Reduction::kMean);

/// With d = |x - target|: d^2 / (2 beta) below beta, d - beta / 2 above. Throws ValueError unless beta > 0.
[[nodiscard]] Tensor smooth_l1_loss(const Tensor& x, const Tensor& target, double beta = 1,
                                    Reduction reduction = Reduction::kMean);

/// With d = |x - target|: d^2 / 2 below delta, delta (d - delta / 2) above. Throws ValueError unless delta > 0.
[[nodiscard]] Tensor huber_loss(const Tensor& x, const Tensor& target, double delta = 1,
                                Reduction reduction = Reduction::kMean);

/// Settings of bce_with_logits.
struct BceOptions {
  Tensor weight = {};      ///< broadcasts to x, of its dtype: a factor for each element. Gets no gradient
  Tensor pos_weight = {};  ///< likewise: a factor for the positive part. Gets no gradient
  Reduction reduction = Reduction::kMean;
};

/// Binary cross-entropy of sigmoid(x) with targets in [0, 1] (not checked):
/// -w (pos_weight t log sigmoid(x) + (1 - t) log(1 - sigmoid(x))), computed without overflow for any x. Throws
/// ShapeError or DTypeError for weights that do not fit x.
[[nodiscard]] Tensor bce_with_logits(const Tensor& x, const Tensor& target, const BceOptions& options = {});

/// Settings of binary_cross_entropy.
struct BinaryCrossEntropyOptions {
  Tensor weight = {};  ///< broadcasts to x, of its dtype: a factor for each element. Gets no gradient
  Reduction reduction = Reduction::kMean;
};

/// Binary cross-entropy of probabilities x: -w (t log x + (1 - t) log(1 - x)), where each logarithm is at least -100
/// and the gradient of x is w (x - t) / max(x (1 - x), 1e-12), as in PyTorch. bce_with_logits is more accurate where a
/// sigmoid comes before. Throws ValueError for an x outside [0, 1] or NaN.
[[nodiscard]] Tensor binary_cross_entropy(const Tensor& x, const Tensor& target,
                                          const BinaryCrossEntropyOptions& options = {});

/// log(1 + exp(-target x)), computed without overflow; targets are -1 or 1 (not checked).
[[nodiscard]] Tensor soft_margin_loss(const Tensor& x, const Tensor& target, Reduction reduction = Reduction::kMean);

/// x where target is 1, max(margin - x, 0) where it is -1, the sum of both for other targets, as in PyTorch. The
/// target gets no gradient; that of x at x = margin is -1.
[[nodiscard]] Tensor hinge_embedding_loss(const Tensor& x, const Tensor& target, double margin = 1,
                                          Reduction reduction = Reduction::kMean);

/// Settings of kl_div.
struct KlDivOptions {
  bool log_target = false;  ///< the target holds log-probabilities as well
  Reduction reduction = Reduction::kMean;
};

/// Kullback-Leibler divergence of x (log-probabilities) from target: t (log t - x), 0 where t is 0; with log_target
/// exp(t) (t - x). kMean divides by the number of elements, as in PyTorch; the divergence proper is kBatchMean, which
/// needs an axis (ValueError). The gradient of a target of 0 is its limit, -inf (PyTorch: NaN).
[[nodiscard]] Tensor kl_div(const Tensor& x, const Tensor& target, const KlDivOptions& options = {});

}  // namespace tern
