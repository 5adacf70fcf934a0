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

}  // namespace tern
