#include <typeinfo>

#include <tern/core/activation.h>
#include <tern/core/batch_norm.h>
#include <tern/core/conv.h>
#include <tern/core/elementwise.h>
#include <tern/core/error.h>
#include <tern/nn/containers.h>
#include <tern/nn/fused.h>

namespace tern::nn {
namespace {

thread_local bool fusion = true;

Tensor activated(const Tensor& x, Activation activation) {
  switch (activation) {
    case Activation::kRelu:
      return relu(x);
    case Activation::kGelu:
      return gelu(x);
    case Activation::kGeluTanh:
      return gelu(x, Gelu::kTanh);
    case Activation::kSilu:
      return silu(x);
    default:
      return x;
  }
}

}  // namespace

NoFusionGuard::NoFusionGuard() : previous_(fusion) {
  fusion = false;
}
NoFusionGuard::~NoFusionGuard() {
  fusion = previous_;
}

bool fusion_enabled() {
  return fusion;
}

Tensor bn_act(const Child<BatchNorm2d>& bn, const Tensor& x, const Tensor& residual, bool activate) {
  BatchNorm2d* plain = fusion ? bn.plain() : nullptr;
  if (plain == nullptr) {
    Tensor y = bn(x);
    if (residual.defined()) y = add(y, residual);
    return activate ? relu(y) : y;
  }
  return bn.within([&] {
    plain->check_input(x);
    const double momentum = plain->begin_batch();
    return tern::bn_act(x, plain->running_mean(), plain->running_var(), plain->weight(), plain->bias(), residual,
                        {.training = plain->uses_batch_statistics(),
                         .momentum = momentum,
                         .eps = plain->options().eps,
                         .relu = activate});
  });
}

Tensor conv_bn_act(const Child<Conv2d>& conv, const Child<BatchNorm2d>& bn, const Tensor& x, const Tensor& residual,
                   bool activate) {
  Conv2d* plain = fusion ? conv.plain() : nullptr;
  const Module& after = *bn.module();
  if (plain == nullptr || typeid(after) != typeid(Identity) || after.has_hooks())
    return bn_act(bn, conv(x), residual, activate);
  return conv.within(
      [&] { return conv2d_act(x, plain->weight(), plain->bias(), residual, plain->conv2d_options(), activate); });
}

Tensor linear_act(const Child<Linear>& linear, const Tensor& x, Activation activation) {
  Linear* plain = fusion ? linear.plain() : nullptr;
  if (plain == nullptr) return activated(linear(x), activation);
  return linear.within([&] { return tern::linear_act(x, plain->weight(), plain->bias(), activation); });
}

Tensor feed_forward(const Child<Linear>& up, const Child<Linear>& down, const Tensor& x, Activation activation) {
  Linear *first = fusion ? up.plain() : nullptr, *second = fusion ? down.plain() : nullptr;
  if (first == nullptr || second == nullptr) return down(linear_act(up, x, activation));
  return tern::feed_forward(x, first->weight(), first->bias(), activation, second->weight(), second->bias());
}

ResidualNorm add_norm(const Child<LayerNorm>& norm, const Tensor& x, const Tensor& residual) {
  LayerNorm* plain = fusion ? norm.plain() : nullptr;
  if (plain == nullptr || plain->options().normalized_shape.size() != 1) {
    const Tensor sum = add(x, residual);
    return {sum, norm(sum)};
  }
  return norm.within(
      [&] { return residual_layer_norm(x, residual, plain->weight(), plain->bias(), plain->options().eps); });
}

ResidualNorm add_norm(const Child<RMSNorm>& norm, const Tensor& x, const Tensor& residual) {
  RMSNorm* plain = fusion ? norm.plain() : nullptr;
  if (plain == nullptr) {
    const Tensor sum = add(x, residual);
    return {sum, norm(sum)};
  }
  return norm.within([&] { return residual_rms_norm(x, residual, plain->weight(), plain->options().eps); });
}

}  // namespace tern::nn
