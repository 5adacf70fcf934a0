#include <cmath>

#include <tern/nn/layers/detail/loss.h>
#include <tern/nn/layers/margin_loss.h>

namespace tern::nn {

using detail::checked_loss;
using detail::LossText;

Tensor TripleLoss::operator()(const Tensor& first, const Tensor& second, const Tensor& third) {
  if (!has_hooks()) return forward(first, second, third);
  const Tensor inputs[] = {first, second, third};
  return with_hooks(inputs, [&] { return forward(first, second, third); });
}

MarginRankingLoss::MarginRankingLoss(const Options& options) : options_(checked_loss("MarginRankingLoss", options)) {}

std::string MarginRankingLoss::extra_text() const {
  return LossText().add("margin", options_.margin, 0.0).with(options_.reduction);
}

CosineEmbeddingLoss::CosineEmbeddingLoss(const Options& options)
    : options_(checked_loss("CosineEmbeddingLoss", options)) {}

std::string CosineEmbeddingLoss::extra_text() const {
  return LossText().add("margin", options_.margin, 0.0).with(options_.reduction);
}

TripletMarginLoss::TripletMarginLoss(const Options& options) : options_(checked_loss("TripletMarginLoss", options)) {
  TERN_CHECK(options.p == 1 || options.p == 2 || (std::isinf(options.p) && options.p > 0), ValueError,
             "[TripletMarginLoss] expected p of 1, 2 or infinity, got ", options.p);
}

std::string TripletMarginLoss::extra_text() const {
  return LossText()
      .add("margin", options_.margin, 1.0)
      .add("p", options_.p, 2.0)
      .add("eps", options_.eps, 1e-6)
      .add("swap", options_.swap, false)
      .with(options_.reduction);
}

}  // namespace tern::nn
