#include <tern/core/autograd/autograd.h>
#include <tern/core/kernels/softmax.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/detail/same_layout.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/softmax.h>

namespace tern {
namespace {

Tensor softmax_gradient(const Tensor& y, const Tensor& grad_output, int64_t axis, bool logarithm) {
  const Tensor g = same_layout(grad_output, y);
  Tensor grad_input = empty_like(y);
  const AxisBlocks b = axis_blocks(y, axis);
  dispatch_float("softmax", y.dtype(), [&]<class T>() {
    TERN_KERNEL(softmax_backward<T>)
    (y.data<T>(), g.data<T>(), grad_input.data<T>(), b.outer, b.n, b.inner, logarithm);
  });
  return grad_input;
}

struct SoftmaxBackward {
  static constexpr const char* kName = "softmax";
  SavedTensor y;
  int64_t axis = 0;
  Gradients backward(const Tensor& grad_output) const { return {softmax_gradient(*y, grad_output, axis, false)}; }
};

struct LogSoftmaxBackward {
  static constexpr const char* kName = "log_softmax";
  SavedTensor y;
  int64_t axis = 0;
  Gradients backward(const Tensor& grad_output) const { return {softmax_gradient(*y, grad_output, axis, true)}; }
};

template <class Backward>
Tensor softmax_along(const Tensor& input, int64_t wanted_axis, bool logarithm) {
  check_defined(Backward::kName, input);
  const int64_t axis = normalize_axis(Backward::kName, wanted_axis, input.dim());
  const Tensor x = dense(input);
  Tensor y = empty_like(x);
  const AxisBlocks b = axis_blocks(x, axis);
  dispatch_float(Backward::kName, x.dtype(), [&]<class T>() {
    TERN_KERNEL(softmax<T>)(x.data<T>(), y.data<T>(), b.outer, b.n, b.inner, logarithm);
  });
  return autograd::record<Backward>(y, {x}, {.y = y, .axis = axis});
}

}  // namespace

Tensor softmax(const Tensor& x, int64_t axis) {
  return softmax_along<SoftmaxBackward>(x, axis, false);
}

Tensor softmin(const Tensor& x, int64_t axis) {
  check_defined("softmin", x);
  dispatch_float("softmin", x.dtype(), []<class T>() {});
  return softmax(neg(x), normalize_axis("softmin", axis, x.dim()));
}

Tensor log_softmax(const Tensor& x, int64_t axis) {
  return softmax_along<LogSoftmaxBackward>(x, axis, true);
}

}  // namespace tern
