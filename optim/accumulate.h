// Gradient accumulation: one optimizer step for several batches.
#pragma once

#include <cstdint>

#include <tern/core/tensor.h>
#include <tern/optim/optimizer.h>

namespace tern::optim {

/// Splits one update over several batches of equal size: the gradients are those of the mean of their losses.
///
///   GradAccumulator accumulate(opt, 4);
///   for (const auto& [images, labels] : loader) {
///     accumulate.backward(loss_of(images, labels));
///     if (accumulate.step()) schedule.step();          // true once every 4 batches
///   }
///   accumulate.flush();                                 // a rest of 1 to 3 batches
class GradAccumulator {
 public:
  /// batches: at least 1 (ValueError). The optimizer must outlive the object.
  GradAccumulator(Optimizer& optimizer, int64_t batches);
  /// Backward of loss / batches; loss has one element (ShapeError). Throws as Tensor::backward.
  void backward(const Tensor& loss);
  /// After the last of the batches: one step of the optimizer, gradients dropped, true. Before: false.
  bool step();
  /// A step with the batches gathered so far, their gradients averaged over them; false if there are none.
  bool flush();
  /// Batches whose gradients wait for a step.
  int64_t pending() const { return pending_; }

 private:
  Optimizer& optimizer_;
  int64_t batches_;
  int64_t pending_ = 0;
};

}  // namespace tern::optim
