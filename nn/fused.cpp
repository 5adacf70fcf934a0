#include <tern/core/activation.h>
#include <tern/core/batch_norm.h>
#include <tern/core/elementwise.h>
#include <tern/nn/fused.h>

namespace tern::nn {

Tensor bn_act(const Child<BatchNorm2d>& bn, const Tensor& x, const Tensor& residual, bool activate) {
  BatchNorm2d* layer = bn.plain();
  if (layer == nullptr) return bn_act_reference(bn, x, residual, activate);
  const autograd::ModuleScope scope(bn.name());
  try {
    return tern::bn_act(x, layer->running_mean(), layer->running_var(), layer->weight(), layer->bias(), residual,
                        {.training = layer->uses_batch_statistics(),
                         .momentum = layer->begin_batch(),
                         .eps = layer->options().eps,
                         .relu = activate});
  } catch (Error& error) {
    error.set_module_path(autograd::current_module_path());
    throw;
  }
}

Tensor bn_act_reference(const Child<BatchNorm2d>& bn, const Tensor& x, const Tensor& residual, bool activate) {
  Tensor y = bn(x);
  if (residual.defined()) y = add(y, residual);
  return activate ? relu(y) : y;
}

}  // namespace tern::nn
