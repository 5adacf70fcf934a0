#include <tern/core/autograd/autograd.h>
#include <tern/core/kernels/reduce.h>
#include <tern/core/kernels/reduce_gradient.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/detail/same_layout.h>
#include <tern/core/ops/scan.h>

namespace tern {
namespace {

Tensor cumulated(const Tensor& input, int64_t axis, bool reverse) {
  const Tensor x = dense(input);
  Tensor y = empty_like(x, x.is_floating() ? x.dtype() : DType::kI64);
  const AxisBlocks b = axis_blocks(x, axis);
  dispatch_arithmetic("cumsum", x.dtype(), [&]<class T>() {
    using O = std::conditional_t<std::is_floating_point_v<T>, T, int64_t>;
    TERN_KERNEL(cumulate<T, O>)(x.data<T>(), y.data<O>(), b.outer, b.n, b.inner, reverse);
  });
  return y;
}

struct CumsumBackward {
  static constexpr const char* kName = "cumsum";
  int64_t axis = 0;
  Gradients backward(const Tensor& grad_output) const { return {cumulated(grad_output, axis, true)}; }
};

}  // namespace

Tensor cumsum(const Tensor& x, int64_t wanted_axis) {
  check_defined("cumsum", x);
  const int64_t axis = normalize_axis("cumsum", wanted_axis, x.dim());
  const Tensor y = cumulated(x.detach(), axis, false);
  if (!x.is_floating()) return y;
  return autograd::record<CumsumBackward>(y, {x}, {.axis = axis});
}

}  // namespace tern
