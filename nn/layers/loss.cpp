#include <tern/core/error.h>
#include <tern/nn/layers/detail/loss.h>
#include <tern/nn/layers/loss.h>

namespace tern::nn {

using detail::checked_loss;
using detail::LossText;

namespace {

Tensor copy_of(const Tensor& weight) {
  return weight.defined() ? weight.detach().clone() : weight;
}

}  // namespace

Tensor Loss::operator()(const Tensor& input, const Tensor& target) {
  if (!has_hooks()) return forward(input, target);
  const Tensor inputs[] = {input, target};
  return with_hooks(inputs, [&] { return forward(input, target); });
}

CrossEntropyLoss::CrossEntropyLoss(const Options& options)
    : options_(checked_loss("CrossEntropyLoss", options)), weight(this, "weight", copy_of(options.weight)) {
  TERN_CHECK(options.label_smoothing >= 0 && options.label_smoothing <= 1, ValueError,
             "[CrossEntropyLoss] expected label_smoothing in [0, 1], got ", options.label_smoothing);
}

Tensor CrossEntropyLoss::forward(const Tensor& logits, const Tensor& target) {
  Options options = options_;
  options.weight = weight();
  return cross_entropy(logits, target, options);
}

std::string CrossEntropyLoss::extra_text() const {
  return LossText()
      .add("ignore_index", options_.ignore_index, int64_t{-100})
      .add("label_smoothing", options_.label_smoothing, 0.0)
      .with(options_.reduction);
}

NLLLoss::NLLLoss(const Options& options)
    : options_(checked_loss("NLLLoss", options)), weight(this, "weight", copy_of(options.weight)) {}

Tensor NLLLoss::forward(const Tensor& log_probabilities, const Tensor& labels) {
  Options options = options_;
  options.weight = weight();
  return nll_loss(log_probabilities, labels, options);
}

std::string NLLLoss::extra_text() const {
  return LossText().add("ignore_index", options_.ignore_index, int64_t{-100}).with(options_.reduction);
}

BCEWithLogitsLoss::BCEWithLogitsLoss(const Options& options)
    : options_(checked_loss("BCEWithLogitsLoss", options)),
      weight(this, "weight", copy_of(options.weight)),
      pos_weight(this, "pos_weight", copy_of(options.pos_weight)) {}

Tensor BCEWithLogitsLoss::forward(const Tensor& logits, const Tensor& target) {
  return bce_with_logits(logits, target,
                         {.weight = weight(), .pos_weight = pos_weight(), .reduction = options_.reduction});
}

std::string BCEWithLogitsLoss::extra_text() const {
  return LossText().with(options_.reduction);
}

BCELoss::BCELoss(const Options& options)
    : options_(checked_loss("BCELoss", options)), weight(this, "weight", copy_of(options.weight)) {}

Tensor BCELoss::forward(const Tensor& probabilities, const Tensor& target) {
  return binary_cross_entropy(probabilities, target, {.weight = weight(), .reduction = options_.reduction});
}

std::string BCELoss::extra_text() const {
  return LossText().with(options_.reduction);
}

SoftMarginLoss::SoftMarginLoss(const Options& options) : options_(checked_loss("SoftMarginLoss", options)) {}

std::string SoftMarginLoss::extra_text() const {
  return LossText().with(options_.reduction);
}

HingeEmbeddingLoss::HingeEmbeddingLoss(const Options& options)
    : options_(checked_loss("HingeEmbeddingLoss", options)) {}

std::string HingeEmbeddingLoss::extra_text() const {
  return LossText().add("margin", options_.margin, 1.0).with(options_.reduction);
}

std::string KLDivLoss::extra_text() const {
  return LossText().add("log_target", options_.log_target, false).with(options_.reduction);
}

MSELoss::MSELoss(const Options& options) : options_(checked_loss("MSELoss", options)) {}

std::string MSELoss::extra_text() const {
  return LossText().with(options_.reduction);
}

L1Loss::L1Loss(const Options& options) : options_(checked_loss("L1Loss", options)) {}

std::string L1Loss::extra_text() const {
  return LossText().with(options_.reduction);
}

SmoothL1Loss::SmoothL1Loss(const Options& options) : options_(checked_loss("SmoothL1Loss", options)) {
  TERN_CHECK(options.beta > 0, ValueError, "[SmoothL1Loss] expected a beta above 0, got ", options.beta);
}

std::string SmoothL1Loss::extra_text() const {
  return LossText().add("beta", options_.beta, 1.0).with(options_.reduction);
}

HuberLoss::HuberLoss(const Options& options) : options_(checked_loss("HuberLoss", options)) {
  TERN_CHECK(options.delta > 0, ValueError, "[HuberLoss] expected a delta above 0, got ", options.delta);
}

std::string HuberLoss::extra_text() const {
  return LossText().add("delta", options_.delta, 1.0).with(options_.reduction);
}

}  // namespace tern::nn
