// Losses of pairs and triples of vectors or scores, with PyTorch's names, defaults and meaning. Inputs are f32 or f64
// and of one dtype (DTypeError); all get gradients. Each throws ValueError for the reduction kBatchMean.
#pragma once

#include <tern/core/ops/loss.h>

namespace tern {

/// max(0, -target (x1 - x2) + margin): target 1 wants x1 above x2, -1 below it. All three broadcast and have the same
/// number of axes (ShapeError).
[[nodiscard]] Tensor margin_ranking_loss(const Tensor& x1, const Tensor& x2, const Tensor& target, double margin = 0,
                                         Reduction reduction = Reduction::kMean);

/// With c the cosine of the angle between x1 and x2: 1 - c where target is 1, max(0, c - margin) where it is -1, 0
/// elsewhere. c = sum(x1 x2) / sqrt((sum(x1^2) + 1e-12) (sum(x2^2) + 1e-12)). x1 and x2: [N, D] or [D], of one shape;
/// target: [N] or [], of their dtype (ShapeError). The target gets no gradient.
[[nodiscard]] Tensor cosine_embedding_loss(const Tensor& x1, const Tensor& x2, const Tensor& target, double margin = 0,
                                           Reduction reduction = Reduction::kMean);

/// Settings of triplet_margin_loss.
struct TripletMarginOptions {
  double margin = 1;
  double p = 2;       ///< of the norm: 1, 2 or infinity (ValueError)
  double eps = 1e-6;  ///< added to every difference
  bool swap = false;  ///< take the distance between positive and negative where it is the smaller one
  Reduction reduction = Reduction::kMean;
};

/// max(0, margin + d(anchor, positive) - d(anchor, negative)), d = pairwise_distance (distance.h) along the last axis
/// (Balntas et al., "Learning local feature descriptors with triplets", 2016). All three broadcast and have the same
/// number of axes, at least 1 (ShapeError).
[[nodiscard]] Tensor triplet_margin_loss(const Tensor& anchor, const Tensor& positive, const Tensor& negative,
                                         const TripletMarginOptions& options = {});

}  // namespace tern
