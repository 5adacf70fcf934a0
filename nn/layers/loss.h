// Losses as modules, called with predictions and targets. Shapes, formulas and errors: tern/core/ops/loss.h.
#pragma once

#include <tern/core/ops/loss.h>
#include <tern/core/ops/pair_loss.h>
#include <tern/nn/module.h>

namespace tern::nn {

/// What may stand where a loss stands.
struct LossInterface {
  virtual ~LossInterface() = default;
  /// The loss of predictions and targets, a scalar unless nothing is reduced.
  virtual Tensor forward(const Tensor& input, const Tensor& target) = 0;
};

/// What all losses share. Each throws ValueError when it is made with numbers or a reduction that its function refuses;
/// the shape of a weight is looked at when the loss is called.
class Loss : public Module, public LossInterface {
 public:
  using Interface = LossInterface;
  using Module::forward;
  bool has_forward() const override { return false; }
  Tensor forward(const Tensor& input, const Tensor& target) override = 0;
  /// Runs forward between the hooks, which see both tensors.
  Tensor operator()(const Tensor& input, const Tensor& target);
};

/// tern::cross_entropy. The weight is a copy, a buffer that converts and travels with the module; so are those below.
class CrossEntropyLoss : public Loss {
 public:
  using Options = CrossEntropyOptions;
  explicit CrossEntropyLoss(const Options& options);
  const Options& options() const { return options_; }
  using Loss::forward;
  Tensor forward(const Tensor& logits, const Tensor& target) override;
  std::string extra_text() const override;

 private:
  Options options_;

 public:
  Buffer weight;
};

/// tern::nll_loss, of log-probabilities and labels.
class NLLLoss : public Loss {
 public:
  using Options = NllLossOptions;
  explicit NLLLoss(const Options& options);
  const Options& options() const { return options_; }
  using Loss::forward;
  Tensor forward(const Tensor& log_probabilities, const Tensor& labels) override;
  std::string extra_text() const override;

 private:
  Options options_;

 public:
  Buffer weight;
};

/// tern::bce_with_logits.
class BCEWithLogitsLoss : public Loss {
 public:
  using Options = BceOptions;
  explicit BCEWithLogitsLoss(const Options& options);
  const Options& options() const { return options_; }
  using Loss::forward;
  Tensor forward(const Tensor& logits, const Tensor& target) override;
  std::string extra_text() const override;

 private:
  Options options_;

 public:
  Buffer weight;
  Buffer pos_weight;
};

/// tern::binary_cross_entropy, of probabilities.
class BCELoss : public Loss {
 public:
  using Options = BinaryCrossEntropyOptions;
  explicit BCELoss(const Options& options);
  const Options& options() const { return options_; }
  using Loss::forward;
  Tensor forward(const Tensor& probabilities, const Tensor& target) override;
  std::string extra_text() const override;

 private:
  Options options_;

 public:
  Buffer weight;
};

/// tern::soft_margin_loss, with targets of -1 and 1.
class SoftMarginLoss : public Loss {
 public:
  struct Options {
    Reduction reduction = Reduction::kMean;
  };
  explicit SoftMarginLoss(const Options& options);
  const Options& options() const { return options_; }
  using Loss::forward;
  Tensor forward(const Tensor& input, const Tensor& target) override {
    return soft_margin_loss(input, target, options_.reduction);
  }
  std::string extra_text() const override;

 private:
  Options options_;
};

/// tern::hinge_embedding_loss, with targets of -1 and 1.
class HingeEmbeddingLoss : public Loss {
 public:
  struct Options {
    double margin = 1;
    Reduction reduction = Reduction::kMean;
  };
  explicit HingeEmbeddingLoss(const Options& options);
  const Options& options() const { return options_; }
  using Loss::forward;
  Tensor forward(const Tensor& input, const Tensor& target) override {
    return hinge_embedding_loss(input, target, options_.margin, options_.reduction);
  }
  std::string extra_text() const override;

 private:
  Options options_;
};

/// tern::kl_div, of log-probabilities and a target distribution.
class KLDivLoss : public Loss {
 public:
  using Options = KlDivOptions;
  explicit KLDivLoss(const Options& options) : options_(options) {}
  const Options& options() const { return options_; }
  using Loss::forward;
  Tensor forward(const Tensor& input, const Tensor& target) override { return kl_div(input, target, options_); }
  std::string extra_text() const override;

 private:
  Options options_;
};

/// tern::mse_loss.
class MSELoss : public Loss {
 public:
  struct Options {
    Reduction reduction = Reduction::kMean;
  };
  explicit MSELoss(const Options& options);
  const Options& options() const { return options_; }
  using Loss::forward;
  Tensor forward(const Tensor& input, const Tensor& target) override {
    return mse_loss(input, target, options_.reduction);
  }
  std::string extra_text() const override;

 private:
  Options options_;
};

/// tern::l1_loss.
class L1Loss : public Loss {
 public:
  struct Options {
    Reduction reduction = Reduction::kMean;
  };
  explicit L1Loss(const Options& options);
  const Options& options() const { return options_; }
  using Loss::forward;
  Tensor forward(const Tensor& input, const Tensor& target) override {
    return l1_loss(input, target, options_.reduction);
  }
  std::string extra_text() const override;

 private:
  Options options_;
};

/// tern::smooth_l1_loss.
class SmoothL1Loss : public Loss {
 public:
  struct Options {
    double beta = 1;  ///< above 0
    Reduction reduction = Reduction::kMean;
  };
  explicit SmoothL1Loss(const Options& options);
  const Options& options() const { return options_; }
  using Loss::forward;
  Tensor forward(const Tensor& input, const Tensor& target) override {
    return smooth_l1_loss(input, target, options_.beta, options_.reduction);
  }
  std::string extra_text() const override;

 private:
  Options options_;
};

/// tern::huber_loss.
class HuberLoss : public Loss {
 public:
  struct Options {
    double delta = 1;  ///< above 0
    Reduction reduction = Reduction::kMean;
  };
  explicit HuberLoss(const Options& options);
  const Options& options() const { return options_; }
  using Loss::forward;
  Tensor forward(const Tensor& input, const Tensor& target) override {
    return huber_loss(input, target, options_.delta, options_.reduction);
  }
  std::string extra_text() const override;

 private:
  Options options_;
};

}  // namespace tern::nn
