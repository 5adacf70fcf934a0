#include <algorithm>
#include <optional>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/shape.h>

namespace tern {
namespace {

// Gradients of the views that only reorder or regroup elements: the inverse view of the incoming gradient.
struct ReshapeBackward {
  static constexpr const char* kName = "reshape";
  Shape shape;
  Gradients backward(const Tensor& grad_output) const { return {reshape(grad_output, shape)}; }
};

struct PermuteBackward {
  static constexpr const char* kName = "permute";
  Dims inverse;
  Gradients backward(const Tensor& grad_output) const { return {permute(grad_output, inverse)}; }
};

struct SliceBackward {
  static constexpr const char* kName = "slice";
  Shape shape;
  int64_t axis = 0, begin = 0, end = 0, step = 1;
  Gradients backward(const Tensor& grad_output) const {
    Tensor grad_input =
        empty(shape, grad_output.dtype(), shape.size() == 4 ? grad_output.memory_format() : MemoryFormat::kContiguous);
    grad_input.zero_();
    slice(grad_input, axis, begin, end, step).copy_(grad_output);
    return {grad_input};
  }
};

struct DiagonalBackward {
  static constexpr const char* kName = "diagonal";
  Shape shape;
  int64_t offset = 0, axis0 = 0, axis1 = 1;
  Gradients backward(const Tensor& grad_output) const {
    const Tensor grad_input = empty(shape, grad_output.dtype()).zero_();
    diagonal(grad_input, offset, axis0, axis1).copy_(grad_output);
    return {grad_input};
  }
};

struct ExpandBackward {
  static constexpr const char* kName = "expand";
  Shape shape;
  Gradients backward(const Tensor& grad_output) const { return {sum_to(grad_output, shape)}; }
};

// Strides that give `shape` over x's elements without a copy, where there are any: both shapes are cut into the
// smallest groups of axes with equal products, and inside each group x's axes must lie densely one behind the other.
std::optional<Strides> view_strides(const Tensor& x, const Shape& shape) {
  if (x.numel() == 0) return dense_strides(shape);
  Dims sizes, steps;  // x's axes without those of size 1
  for (int64_t a = 0; a < x.dim(); ++a) {
    if (x.shape()[a] == 1) continue;
    sizes.push_back(x.shape()[a]);
    steps.push_back(x.strides()[a]);
  }
  Strides out(shape.size(), 1);
  int64_t old_first = 0, new_first = 0;
  while (old_first < sizes.size()) {
    int64_t old_last = old_first, new_last = new_first;
    int64_t old_product = sizes[old_first], new_product = shape[new_first];
    while (old_product != new_product) {
      if (new_product < old_product)
        new_product *= shape[++new_last];
      else
        old_product *= sizes[++old_last];
    }
    for (int64_t a = old_first; a < old_last; ++a)
      if (steps[a] != steps[a + 1] * sizes[a + 1]) return std::nullopt;
    int64_t step = steps[old_last];
    for (int64_t a = new_last; a >= new_first; --a) {
      out[a] = step;
      step *= shape[a];
    }
    old_first = old_last + 1;
    new_first = new_last + 1;
  }
  return out;
}

Shape resolve_shape(const char* op, const Tensor& x, const Shape& wanted) {
  check_defined(op, x);
  Shape shape = wanted;
  int64_t unknown = -1;
  for (int64_t i = 0; i < shape.size(); ++i) {
    if (shape[i] == -1) {
      TERN_CHECK(unknown < 0, ShapeError, "[", op, "] expected at most one size of -1, got ", wanted);
      unknown = i;
    } else {
      TERN_CHECK(shape[i] >= 0, ShapeError, "[", op, "] expected sizes of at least 0, or -1 once, got ", wanted);
    }
  }
  if (unknown >= 0) {
    shape[unknown] = 1;
    const int64_t known = numel_of(shape);
    TERN_CHECK(known > 0 && x.numel() % known == 0, ShapeError, "[", op, "] expected a shape for ", x.numel(),
               " elements (", x.shape(), "), got ", wanted);
    shape[unknown] = x.numel() / known;
  }
  TERN_CHECK(numel_of(shape) == x.numel(), ShapeError, "[", op, "] expected a shape for ", x.numel(), " elements (",
             x.shape(), "), got ", wanted);
  return shape;
}

}  // namespace

Tensor reshape(const Tensor& x, const Shape& wanted) {
  const Shape shape = resolve_shape("reshape", x, wanted);
  if (shape == x.shape()) return x;
  const auto strides = view_strides(x, shape);
  const Tensor source = strides ? x : contiguous(x);
  const Tensor out = alias_with(source, {shape, strides ? *strides : dense_strides(shape), source.offset()});
  return autograd::record<ReshapeBackward>(out, {source}, {.shape = x.shape()});
}

Tensor view(const Tensor& x, const Shape& wanted) {
  const Shape shape = resolve_shape("view", x, wanted);
  TERN_CHECK(view_strides(x, shape).has_value(), ShapeError, "[view] shape ", shape,
             " cannot share the memory of shape ", x.shape(), " with strides ", x.strides(),
             "; use reshape, which copies where it must");
  return reshape(x, shape);
}

Tensor permute(const Tensor& x, const Dims& axes) {
  check_defined("permute", x);
  TERN_CHECK(axes.size() == x.dim(), ShapeError, "[permute] expected ", x.dim(), " axes for shape ", x.shape(),
             ", got ", axes);
  Layout layout{x.shape(), x.strides(), x.offset()};
  Dims inverse(axes.size(), -1);
  for (int64_t i = 0; i < axes.size(); ++i) {
    const int64_t axis = normalize_axis("permute", axes[i], x.dim());
    TERN_CHECK(inverse[axis] < 0, ShapeError, "[permute] expected every axis once, got ", axes);
    inverse[axis] = i;
    layout.shape[i] = x.shape()[axis];
    layout.strides[i] = x.strides()[axis];
  }
  return autograd::record<PermuteBackward>(alias_with(x, layout), {x}, {.inverse = inverse});
}

Tensor transpose(const Tensor& x, int64_t axis0, int64_t axis1) {
  check_defined("transpose", x);
  const int64_t a = normalize_axis("transpose", axis0, x.dim()), b = normalize_axis("transpose", axis1, x.dim());
  Dims axes;
  for (int64_t i = 0; i < x.dim(); ++i) axes.push_back(i == a ? b : i == b ? a : i);
  return permute(x, axes);
}

Tensor slice(const Tensor& x, int64_t axis, int64_t begin, int64_t end, int64_t step) {
  check_defined("slice", x);
  TERN_CHECK(x.dim() > 0, ShapeError, "[slice] expected at least one axis, got a scalar");
  TERN_CHECK(step >= 1, ValueError, "[slice] expected a step of at least 1, got ", step);
  const int64_t a = normalize_axis("slice", axis, x.dim());
  const int64_t size = x.shape()[a];
  const auto bound = [&](int64_t i) { return std::clamp<int64_t>(i < 0 ? i + size : i, 0, size); };
  const int64_t first = bound(begin), last = std::max(bound(end), first);
  Layout layout{x.shape(), x.strides(), x.offset() + first * x.strides()[a]};
  layout.shape[a] = (last - first) / step + ((last - first) % step != 0);
  if (layout.shape[a] > 1) layout.strides[a] *= step;
  if (layout.shape[a] == 0) layout.offset = x.offset();
  return autograd::record<SliceBackward>(alias_with(x, layout), {x},
                                         {.shape = x.shape(), .axis = a, .begin = first, .end = last, .step = step});
}

Tensor select(const Tensor& x, int64_t axis, int64_t index) {
  check_defined("select", x);
  TERN_CHECK(x.dim() > 0, ShapeError, "[select] expected at least one axis, got a scalar");
  const int64_t a = normalize_axis("select", axis, x.dim());
  const int64_t size = x.shape()[a];
  TERN_CHECK(index >= -size && index < size, ShapeError, "[select] expected an index in [", -size, ", ", size - 1,
             "] along axis ", a, ", got ", index);
  const int64_t i = index < 0 ? index + size : index;
  return squeeze(slice(x, a, i, i + 1), a);
}

Tensor diagonal(const Tensor& x, int64_t wanted_offset, int64_t wanted_axis0, int64_t wanted_axis1) {
  constexpr const char* kOp = DiagonalBackward::kName;
  check_defined(kOp, x);
  TERN_CHECK(x.dim() >= 2, ShapeError, "[diagonal] expected at least 2 axes, got shape ", x.shape());
  const int64_t axis0 = normalize_axis(kOp, wanted_axis0, x.dim()), axis1 = normalize_axis(kOp, wanted_axis1, x.dim());
  TERN_CHECK(axis0 != axis1, ShapeError, "[diagonal] expected two different axes, got ", axis0, " twice");
  const int64_t rows = x.shape()[axis0], columns = x.shape()[axis1];
  const int64_t offset = std::clamp(wanted_offset, -rows, columns);  // none further out has elements
  const int64_t below = std::max<int64_t>(-offset, 0), right = std::max<int64_t>(offset, 0);
  const int64_t length = std::min(rows - below, columns - right);
  Layout layout{x.shape(), x.strides(), x.offset()};
  if (length > 0) layout.offset += below * x.strides()[axis0] + right * x.strides()[axis1];
  for (const int64_t axis : {std::max(axis0, axis1), std::min(axis0, axis1)}) {
    layout.shape.erase(axis);
    layout.strides.erase(axis);
  }
  layout.shape.push_back(length);
  layout.strides.push_back(x.strides()[axis0] + x.strides()[axis1]);
  return autograd::record<DiagonalBackward>(alias_with(x, layout), {x},
                                            {.shape = x.shape(), .offset = offset, .axis0 = axis0, .axis1 = axis1});
}

Tensor expand(const Tensor& x, const Shape& wanted) {
  check_defined("expand", x);
  const int64_t shift = wanted.size() - x.dim();
  TERN_CHECK(shift >= 0, ShapeError, "[expand] expected at least ", x.dim(), " axes, got ", wanted);
  Layout layout{wanted, Strides(wanted.size(), 0), x.offset()};
  for (int64_t i = 0; i < x.dim(); ++i) {
    int64_t& size = layout.shape[i + shift];
    if (size == -1) size = x.shape()[i];
    TERN_CHECK(size == x.shape()[i] || x.shape()[i] == 1, ShapeError, "[expand] expected a shape that ", x.shape(),
               " broadcasts to, got ", wanted);
    if (x.shape()[i] == size) layout.strides[i + shift] = x.strides()[i];
  }
  for (int64_t i = 0; i < shift; ++i)
    TERN_CHECK(layout.shape[i] >= 0, ShapeError, "[expand] expected a size for every new axis, got ", wanted);
  return autograd::record<ExpandBackward>(alias_with(x, layout), {x}, {.shape = x.shape()});
}

Tensor squeeze(const Tensor& x, int64_t axis) {
  check_defined("squeeze", x);
  const int64_t a = normalize_axis("squeeze", axis, x.dim());
  if (x.dim() == 0 || x.shape()[a] != 1) return x;
  Layout layout{x.shape(), x.strides(), x.offset()};
  layout.shape.erase(a);
  layout.strides.erase(a);
  return autograd::record<ReshapeBackward>(alias_with(x, layout), {x}, {.shape = x.shape()});
}

Tensor unsqueeze(const Tensor& x, int64_t axis) {
  check_defined("unsqueeze", x);
  const int64_t a = normalize_axis("unsqueeze", axis, x.dim() + 1);
  Layout layout{x.shape(), x.strides(), x.offset()};
  layout.strides.insert(a, a < x.dim() ? x.shape()[a] * x.strides()[a] : 1);
  layout.shape.insert(a, 1);
  return autograd::record<ReshapeBackward>(alias_with(x, layout), {x}, {.shape = x.shape()});
}

Tensor flatten(const Tensor& x, int64_t first, int64_t last) {
  check_defined("flatten", x);
  if (x.dim() == 0) return reshape(x, {1});
  const int64_t a = normalize_axis("flatten", first, x.dim()), b = normalize_axis("flatten", last, x.dim());
  TERN_CHECK(a <= b, ShapeError, "[flatten] expected the first axis before the last, got ", first, " and ", last);
  Shape shape;
  int64_t merged = 1;
  for (int64_t i = 0; i < x.dim(); ++i) {
    if (i < a || i > b)
      shape.push_back(x.shape()[i]);
    else
      merged *= x.shape()[i];
    if (i == b) shape.push_back(merged);
  }
  return reshape(x, shape);
}

Tensor sum_to(const Tensor& x, const Shape& shape) {
  check_defined("sum_to", x);
  if (x.shape() == shape) return x;
  const int64_t shift = x.dim() - shape.size();
  Dims axes;
  for (int64_t i = 0; i < x.dim(); ++i)
    if (i < shift || (shape[i - shift] == 1 && x.shape()[i] != 1)) axes.push_back(i);
  const Tensor summed = axes.empty() ? x : x.sum(axes, /*keepdim=*/true);
  return reshape(summed, shape);
}

Tensor Tensor::reshape(const Shape& s) const {
  return tern::reshape(*this, s);
}
Tensor Tensor::view(const Shape& s) const {
  return tern::view(*this, s);
}
Tensor Tensor::transpose(int64_t a, int64_t b) const {
  return tern::transpose(*this, a, b);
}
Tensor Tensor::permute(const Dims& axes) const {
  return tern::permute(*this, axes);
}
Tensor Tensor::slice(int64_t axis, int64_t b, int64_t e, int64_t step) const {
  return tern::slice(*this, axis, b, e, step);
}
Tensor Tensor::select(int64_t axis, int64_t index) const {
  return tern::select(*this, axis, index);
}
Tensor Tensor::expand(const Shape& s) const {
  return tern::expand(*this, s);
}
Tensor Tensor::squeeze(int64_t axis) const {
  return tern::squeeze(*this, axis);
}
Tensor Tensor::unsqueeze(int64_t axis) const {
  return tern::unsqueeze(*this, axis);
}
Tensor Tensor::flatten(int64_t first, int64_t last) const {
  return tern::flatten(*this, first, last);
}

}  // namespace tern
