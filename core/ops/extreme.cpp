// The extremes of reduce.h along one axis, with their places.
#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/detail/index.h>
#include <tern/core/ops/detail/reduce_plan.h>
#include <tern/core/ops/extreme.h>
#include <tern/core/ops/shape.h>

namespace tern {
namespace {

template <bool kLargest>
struct ExtremeBackward {
  static constexpr const char* kName = kLargest ? "max" : "min";
  SavedTensor indices;
  Shape shape, kept;
  int64_t axis = 0;
  Gradients backward(const Tensor& grad_output) const {
    return {spread_along(shape, axis, reshape(*indices, kept), reshape(grad_output, kept))};
  }
};

ExtremeResult extreme(const char* op, const Tensor& x, int64_t axis, bool keepdim, bool largest) {
  if (!x.is_floating() && x.dtype() != DType::kI64) {  // the kernel knows one integer type
    const ExtremeResult found = extreme(op, cast(x, DType::kI64), axis, keepdim, largest);
    return {cast(found.values, x.dtype()), found.indices};
  }
  const Dims axes = x.dim() == 0 ? Dims{} : Dims{axis};
  Tensor values = empty_reduced(x, axes, keepdim, x.dtype()), indices = empty_like(values, DType::kI64);
  TERN_CHECK(values.numel() == 0 || x.numel() > 0, ShapeError, "[", op, "] expected at least one element along axis ",
             axis, ", got shape ", x.shape());
  const ReducePlan plan = make_reduce_plan(x, axes, values);
  dispatch_wide(op, x.dtype(), [&]<class T>() {
    if (values.numel() > 0)
      TERN_KERNEL(extreme<T>)(plan, x.data<T>(), values.data<T>(), indices.data<int64_t>(), largest);
  });
  return {values, indices};
}

template <bool kLargest>
ExtremeResult along(const Tensor& x, int64_t wanted_axis, bool keepdim) {
  using Backward = ExtremeBackward<kLargest>;
  check_defined(Backward::kName, x);
  const int64_t axis = normalize_axis(Backward::kName, wanted_axis, x.dim());
  const ExtremeResult found = extreme(Backward::kName, x.detach(), axis, keepdim, kLargest);
  if (!x.is_floating()) return found;
  const Shape kept = x.dim() == 0 ? Shape{} : reduced_shape(x.shape(), {axis}, true);
  return {autograd::record<Backward>(found.values, {x},
                                     {.indices = found.indices, .shape = x.shape(), .kept = kept, .axis = axis}),
          found.indices};
}

Tensor place(const char* op, const Tensor& input, std::optional<int64_t> axis, bool keepdim, bool largest) {
  check_defined(op, input);
  const Tensor x = input.detach();
  if (axis) return extreme(op, x, normalize_axis(op, *axis, x.dim()), keepdim, largest).indices;
  TERN_CHECK(x.numel() > 0, ShapeError, "[", op, "] expected at least one element, got shape ", x.shape());
  const Tensor first = extreme(op, reshape(contiguous(x), {x.numel()}), 0, false, largest).indices;
  return keepdim ? reshape(first, Shape(x.dim(), 1)) : first;
}

}  // namespace

ExtremeResult max(const Tensor& x, int64_t axis, bool keepdim) {
  return along<true>(x, axis, keepdim);
}

ExtremeResult min(const Tensor& x, int64_t axis, bool keepdim) {
  return along<false>(x, axis, keepdim);
}

Tensor argmax(const Tensor& x, std::optional<int64_t> axis, bool keepdim) {
  return place("argmax", x, axis, keepdim, true);
}

Tensor argmin(const Tensor& x, std::optional<int64_t> axis, bool keepdim) {
  return place("argmin", x, axis, keepdim, false);
}

}  // namespace tern
