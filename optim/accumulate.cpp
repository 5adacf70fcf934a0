#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/optim/accumulate.h>

namespace tern::optim {

GradAccumulator::GradAccumulator(Optimizer& optimizer, int64_t batches) : optimizer_(optimizer), batches_(batches) {
  TERN_CHECK(batches >= 1, ValueError, "[grad_accumulator] expected at least 1 batch a step, got ", batches);
}

void GradAccumulator::backward(const Tensor& loss) {
  TERN_CHECK(loss.numel() == 1, ShapeError, "[grad_accumulator] expected a loss of one element, got shape ",
             loss.shape());
  loss.backward(empty(loss.shape(), loss.dtype()).fill_(1.0 / static_cast<double>(batches_)));
  ++pending_;
}

bool GradAccumulator::step() {
  if (pending_ < batches_) return false;
  optimizer_.step();
  optimizer_.zero_grad();
  pending_ = 0;
  return true;
}

bool GradAccumulator::flush() {
  if (pending_ == 0) return false;
  if (pending_ != batches_) {  // each was divided by the full number
    const NoGradGuard no_grad;
    for (const Tensor& param : optimizer_.all_params())
      if (Tensor gradient = param.grad(); gradient.defined())
        gradient.mul_(static_cast<double>(batches_) / static_cast<double>(pending_));
  }
  optimizer_.step();
  optimizer_.zero_grad();
  pending_ = 0;
  return true;
}

}  // namespace tern::optim
