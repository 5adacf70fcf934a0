// Losses, with PyTorch's names, defaults and meaning. Predictions are f32 or f64 (DTypeError); the loss has their
// dtype: a scalar, or with kNone a tensor. A mean over nothing is NaN.
#pragma once

#include <tern/core/tensor.h>

namespace tern {

/// What becomes of the losses of the single elements (or rows).
enum class Reduction {
  kMean,       ///< their mean; weighted losses divide by the sum of the weights
  kSum,        ///< their sum
  kNone,       ///< kept as they are
  kBatchMean,  ///< their sum divided by the size of axis 0 (kl_div alone; ValueError elsewhere)
};

/// Settings of cross_entropy.
struct CrossEntropyOptions {
  Tensor weight = {};           ///< [C], of logits' dtype: a factor a class; undefined means 1. Gets no gradient
  int64_t ignore_index = -100;  ///< rows with this label count for nothing, NaN in them neither (class labels alone)
  double label_smoothing = 0;   ///< in [0, 1]: the share of the target that is spread evenly over all classes
  Reduction reduction = Reduction::kMean;
};

/// Softmax and negative log-likelihood in one, p = softmax(logits) over the classes. logits: [N, C], [N, C, d1, ...] or
/// [C]; with kNone the result has their shape without the class axis. target is either
/// - class labels, i64, of logits' shape without the class axis, in [0, C) or ignore_index:
///   loss = (1 - s) w[y] (-log p[y]) + s / C sum_c w[c] (-log p[c]), s the label smoothing, and the mean divides by the
///   sum of w[y]; or
/// - class probabilities, of logits' shape and dtype: loss = sum_c ((1 - s) t[c] + s / C) w[c] (-log p[c]), and the
///   mean divides by the number of rows. The target gets a gradient if it asks for one.
/// A row whose largest logit is infinite has no softmax: its loss and gradient are NaN.
/// Throws ValueError naming a label out of range or for a label_smoothing outside [0, 1]; DTypeError for logits that
/// are not f32 or f64, labels that are neither i64 nor floating, and a weight or probabilities of another dtype than
/// the logits'; ShapeError where shapes do not fit the logits.
[[nodiscard]] Tensor cross_entropy(const Tensor& logits, const Tensor& target, const CrossEntropyOptions& options = {});

/// Settings of nll_loss.
struct NllLossOptions {
  Tensor weight = {};           ///< [C], as in CrossEntropyOptions
  int64_t ignore_index = -100;  ///< likewise
  Reduction reduction = Reduction::kMean;
};

/// -w[y] * log_probabilities[y] for each row. log_probabilities: [N, C], [N, C, d1, ...] or [C]; labels, mean and
/// errors as in cross_entropy.
[[nodiscard]] Tensor nll_loss(const Tensor& log_probabilities, const Tensor& labels,
                              const NllLossOptions& options = {});

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
