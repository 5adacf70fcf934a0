#include <limits>

#include <tern/core/autograd/autograd.h>
#include <tern/core/copy.h>
#include <tern/core/error.h>
#include <tern/core/reduce.h>
#include <tern/core/reduce_plan.h>
#include <tern/core/shape.h>

namespace tern {
namespace {

// The gradient of a sum is the incoming one, repeated; of a mean, that divided by the number of elements.
struct SumBackward {
  static constexpr const char* kName = "sum";
  Shape shape, kept;
  double factor = 1;
  Gradients backward(const Tensor& grad_output) const {
    Tensor g = reshape(grad_output, kept);
    if (factor != 1) g = g.clone().mul_(factor);
    return {expand(g, shape)};
  }
};

template <class T>
Tensor partial_results(const ReducePlan& plan) {
  return plan.parts > 1 ? empty({plan.parts, plan.kept}, dtype_of<T>()) : Tensor();
}

Tensor sum_over(const char* op, const Tensor& x, const Dims& wanted, bool keepdim, bool divide) {
  const Dims axes = normalize_axes(op, wanted, x.dim());
  TERN_CHECK(!divide || x.is_floating(), DTypeError, "[", op, "] expected f32 or f64, got ", x.dtype());
  Tensor out = empty_reduced(x, axes, keepdim, x.is_floating() ? x.dtype() : DType::kI64);
  const ReducePlan plan = make_reduce_plan(x, axes, out);
  dispatch_arithmetic(op, x.dtype(), [&]<class T>() {
    using O = std::conditional_t<std::is_floating_point_v<T>, T, int64_t>;
    Tensor partial = partial_results<Sum<T>>(plan);
    TERN_KERNEL(reduce_sum<T, O>)
    (plan, x.data<T>(), out.data<O>(), divide ? static_cast<double>(plan.reduced) : 1.0,
     partial.defined() ? partial.data<Sum<T>>() : nullptr);
  });
  if (!x.is_floating()) return out;
  return autograd::record<SumBackward>(out, {x},
                                       {.shape = x.shape(),
                                        .kept = reduced_shape(x.shape(), axes, true),
                                        .factor = divide ? 1.0 / static_cast<double>(plan.reduced) : 1.0});
}

}  // namespace

Tensor sum(const Tensor& x, const Dims& axes, bool keepdim) {
  return sum_over("sum", x, axes, keepdim, false);
}

Tensor mean(const Tensor& x, const Dims& axes, bool keepdim) {
  return sum_over("mean", x, axes, keepdim, true);
}

Tensor Tensor::sum(const Dims& axes, bool keepdim) const {
  return tern::sum(*this, axes, keepdim);
}
Tensor Tensor::mean(const Dims& axes, bool keepdim) const {
  return tern::mean(*this, axes, keepdim);
}

}  // namespace tern
