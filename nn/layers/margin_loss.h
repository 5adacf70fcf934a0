// Losses of three tensors as modules. Shapes, formulas and errors: tern/core/ops/margin_loss.h.
#pragma once

#include <tern/core/ops/margin_loss.h>
#include <tern/nn/module.h>

namespace tern::nn {

/// What may stand where a loss of three tensors stands.
struct TripleLossInterface {
  virtual ~TripleLossInterface() = default;
  /// A scalar unless nothing is reduced.
  virtual Tensor forward(const Tensor& first, const Tensor& second, const Tensor& third) = 0;
};

/// What these losses share. Each throws ValueError when it is made with settings that its function refuses.
class TripleLoss : public Module, public TripleLossInterface {
 public:
  using Interface = TripleLossInterface;
  using Module::forward;
  bool has_forward() const override { return false; }
  Tensor forward(const Tensor& first, const Tensor& second, const Tensor& third) override = 0;
  /// Runs forward between the hooks, which see all three tensors.
  Tensor operator()(const Tensor& first, const Tensor& second, const Tensor& third);
};

/// tern::margin_ranking_loss of two scores and a target.
class MarginRankingLoss : public TripleLoss {
 public:
  struct Options {
    double margin = 0;
    Reduction reduction = Reduction::kMean;
  };
  explicit MarginRankingLoss(const Options& options);
  const Options& options() const { return options_; }
  using TripleLoss::forward;
  Tensor forward(const Tensor& x1, const Tensor& x2, const Tensor& target) override {
    return margin_ranking_loss(x1, x2, target, options_.margin, options_.reduction);
  }
  std::string extra_text() const override;

 private:
  Options options_;
};

/// tern::cosine_embedding_loss of two batches of vectors and a target.
class CosineEmbeddingLoss : public TripleLoss {
 public:
  struct Options {
    double margin = 0;
    Reduction reduction = Reduction::kMean;
  };
  explicit CosineEmbeddingLoss(const Options& options);
  const Options& options() const { return options_; }
  using TripleLoss::forward;
  Tensor forward(const Tensor& x1, const Tensor& x2, const Tensor& target) override {
    return cosine_embedding_loss(x1, x2, target, options_.margin, options_.reduction);
  }
  std::string extra_text() const override;

 private:
  Options options_;
};

/// tern::triplet_margin_loss of anchors, positives and negatives.
class TripletMarginLoss : public TripleLoss {
 public:
  using Options = TripletMarginOptions;
  explicit TripletMarginLoss(const Options& options);
  const Options& options() const { return options_; }
  using TripleLoss::forward;
  Tensor forward(const Tensor& anchor, const Tensor& positive, const Tensor& negative) override {
    return triplet_margin_loss(anchor, positive, negative, options_);
  }
  std::string extra_text() const override;

 private:
  Options options_;
};

}  // namespace tern::nn
