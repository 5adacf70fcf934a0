#include <typeinfo>

#include <tern/core/error.h>
#include <tern/core/ops/activation.h>
#include <tern/core/ops/batch_norm.h>
#include <tern/core/ops/conv.h>
#include <tern/core/ops/detail/linear.h>
#include <tern/core/ops/elementwise.h>
#include <tern/nn/fused.h>
#include <tern/nn/layers/containers.h>

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

// Runs fn; an error that leaves it names the child, whose scope is not open meanwhile.
template <class T, class F>
void naming(const Child<T>& child, F&& fn) {
  try {
    fn();
  } catch (Error& error) {
    child.within([&] { error.set_module_path(autograd::current_module_path()); });
    throw;
  }
}

// The effective value of a child's parameter; what a parametrization does happens inside the child.
template <class T>
Tensor read(const Child<T>& child, const Parameter& parameter) {
  return parameter.is_parametrized() ? child.within([&] { return parameter(); }) : parameter();
}

// The fused additions do not broadcast; their compositions do not either.
template <class T>
void check_residual(const Child<T>& norm, const Tensor& x, const Tensor& residual) {
  naming(norm, [&] {
    check_defined("add_norm", x, residual);
    TERN_CHECK(residual.dtype() == x.dtype(), DTypeError, "[add_norm] expected a residual of ", x.dtype(), ", got ",
               residual.dtype());
    TERN_CHECK(residual.shape() == x.shape(), ShapeError, "[add_norm] expected a residual of shape ", x.shape(),
               ", got ", residual.shape());
  });
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
    const Tensor y =
        tern::bn_act(x, plain->running_mean(), plain->running_var(), plain->weight(), plain->bias(), residual,
                     {.training = plain->uses_batch_statistics(),
                      .momentum = plain->batch_share(),
                      .eps = plain->options().eps,
                      .relu = activate});
    plain->count_batch();
    return y;
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
  // The work counts for the module that runs both, so no scope is open; what one of the two is to blame for names it.
  const Tensor up_weight = read(up, first->weight), up_bias = read(up, first->bias);
  const Tensor down_weight = read(down, second->weight), down_bias = read(down, second->bias);
  constexpr const char* kOp = "feed_forward";
  naming(up, [&] { tern::detail::check_linear(kOp, x, up_weight, up_bias, "an up_weight", "an up_bias"); });
  naming(down, [&] { tern::detail::check_down(kOp, x, up_weight, down_weight, down_bias); });
  return tern::feed_forward(x, up_weight, up_bias, activation, down_weight, down_bias);
}

ResidualNorm add_norm(const Child<LayerNorm>& norm, const Tensor& x, const Tensor& residual) {
  LayerNorm* plain = fusion ? norm.plain() : nullptr;
  check_residual(norm, x, residual);
  if (plain == nullptr || plain->options().normalized_shape.size() != 1) {
    const Tensor sum = add(x, residual);
    return {sum, norm(sum)};
  }
  return norm.within([&] {
    plain->check_input(x);
    return residual_layer_norm(x, residual, plain->weight(), plain->bias(), plain->options().eps);
  });
}

ResidualNorm add_norm(const Child<RMSNorm>& norm, const Tensor& x, const Tensor& residual) {
  RMSNorm* plain = fusion ? norm.plain() : nullptr;
  check_residual(norm, x, residual);
  if (plain == nullptr) {
    const Tensor sum = add(x, residual);
    return {sum, norm(sum)};
  }
  return norm.within([&] {
    plain->check_input(x);
    return residual_rms_norm(x, residual, plain->weight(), plain->options().eps);
  });
}

}  // namespace tern::nn
