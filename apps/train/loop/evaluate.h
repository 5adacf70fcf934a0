// How well a model does: a classifier's accuracy, and what every measurement comes to.
#pragma once

#include <cstdint>
#include <functional>

#include <tern/core/tensor.h>
#include <tern/data/loader.h>
#include <tern/nn/module.h>
#include <tern/train/loop/metrics.h>

namespace tern::train {

/// Of one pass over examples (images, or the tokens of a text); zeros for none.
struct EvalResult {
  double top1 = 0;       ///< share of images whose label has the largest logit, a fraction; 0 for tokens
  double top5 = 0;       ///< share of images whose label is among the five largest; 0 for tokens
  double loss = 0;       ///< mean cross-entropy in nats
  int64_t n = 0;         ///< examples
  bool complete = true;  ///< false: stop() ended it before its end
};

/// Adds up accuracy and cross-entropy over batches, example by example in f64, so that the result does not depend on
/// how examples were grouped. A tie between logits counts for the lower class; a logit that is not a number makes its
/// example wrong.
class Accuracy {
 public:
  /// logits: [N, C], floating; labels: i64 [N] of classes, or floating [N, C] of class shares (the largest is then the
  /// label). Throws ShapeError for other shapes or dtypes, ValueError for a label outside [0, C).
  void add(const Tensor& logits, const Tensor& labels);
  EvalResult result() const;  ///< so far

  /// The sums, to save and restore.
  struct Sums {
    int64_t n = 0, top1 = 0, top5 = 0;
    double loss = 0;
  };
  const Sums& sums() const { return sums_; }
  void set_sums(const Sums& sums) { sums_ = sums; }

 private:
  Sums sums_;
};

/// Runs a model over everything a loader gives, in eval mode and without gradients; the model's mode is put back. stop,
/// if there is one, is asked after each batch: true ends it there. Throws what model and loader throw, and as
/// Accuracy::add.
EvalResult evaluate(nn::Module& model, data::DataLoader& loader, const std::function<bool()>& stop = {});

}  // namespace tern::train
