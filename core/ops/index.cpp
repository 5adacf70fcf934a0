#include <algorithm>
#include <cstring>
#include <vector>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/kernels/index.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/detail/index.h>
#include <tern/core/ops/detail/loop_plan.h>
#include <tern/core/ops/index.h>
#include <tern/core/ops/shape.h>

namespace tern {

void check_indices(const char* op, const Tensor& index, int64_t size) {
  check_defined(op, index);
  TERN_CHECK(index.dtype() == DType::kI64, DTypeError, "[", op, "] expected indices of i64, got ", index.dtype());
  const Tensor flat = index.contiguous();
  const int64_t* v = flat.data<int64_t>();
  for (int64_t i = 0; i < flat.numel(); ++i)
    TERN_CHECK(v[i] >= 0 && v[i] < size, ValueError, "[", op, "] expected indices in [0, ", size, "), got ", v[i],
               " at position ", i);
}

namespace {

// The lines along `axis` of x (indexed), index, and y, which has index's shape.
IndexLines index_lines(const Tensor& x, int64_t axis, const Tensor& index, const Tensor& y) {
  IndexLines in;
  if (index.dim() == 0) {
    in.lines.numel = 1;
    in.count = 1;
    return in;
  }
  Shape shape = index.shape();
  shape[axis] = std::min<int64_t>(shape[axis], 1);
  const auto line_heads = [&](const Tensor& t) { return alias_with(t, {shape, t.strides(), t.offset()}); };
  const Tensor heads[] = {line_heads(x), line_heads(index), line_heads(y)};
  in.lines = make_plan<3>(shape, {&heads[0], &heads[1], &heads[2]});
  in.count = index.shape()[axis];
  in.step[0] = x.strides()[axis];
  in.step[1] = index.strides()[axis];
  in.step[2] = y.strides()[axis];
  return in;
}

int64_t check_lines(const char* op, const Tensor& x, int64_t wanted_axis, const Tensor& index) {
  check_defined(op, x, index);
  const int64_t axis = normalize_axis(op, wanted_axis, x.dim());
  bool fits = index.dim() == x.dim();
  for (int64_t a = 0; fits && a < x.dim(); ++a) fits = a == axis || index.shape()[a] <= x.shape()[a];
  TERN_CHECK(fits, ShapeError, "[", op, "] expected an index with the axes of ", x.shape(),
             " and no longer than it except along axis ", axis, ", got ", index.shape());
  check_indices(op, index, x.dim() == 0 ? 1 : x.shape()[axis]);
  return axis;
}

void check_source(const char* op, const Tensor& x, const Tensor& index, const Tensor& source) {
  TERN_CHECK(source.dtype() == x.dtype(), DTypeError, "[", op, "] expected a source of ", x.dtype(), ", got ",
             source.dtype());
  TERN_CHECK(source.shape() == index.shape(), ShapeError, "[", op, "] expected a source of shape ", index.shape(),
             ", got ", source.shape());
}

Tensor gather_lines(const Tensor& x, int64_t axis, const Tensor& index) {
  Tensor y = empty(index.shape(), x.dtype());
  dispatch_arithmetic("gather", x.dtype(), [&]<class T>() {
    TERN_KERNEL(gather<T>)(index_lines(x, axis, index, y), x.data<T>(), index.data<int64_t>(), y.data<T>());
  });
  return y;
}

Tensor zeros_of(const Shape& shape, DType dtype) {
  return empty(shape, dtype).zero_();
}

struct GatherBackward {
  static constexpr const char* kName = "gather";
  SavedTensor index;
  Shape shape;
  int64_t axis = 0;
  Gradients backward(const Tensor& grad_output) const { return {spread_along(shape, axis, *index, grad_output)}; }
};

struct ScatterAddBackward {
  static constexpr const char* kName = "scatter_add";
  SavedTensor index;
  int64_t axis = 0;
  Gradients backward(const Tensor& grad_output, NeedsGrad needs) const {
    return {needs[0] ? grad_output : Tensor(), needs[1] ? gather_lines(grad_output, axis, *index) : Tensor()};
  }
};

// Written elements pass nothing on to x.
struct ScatterBackward {
  static constexpr const char* kName = "scatter";
  SavedTensor index;
  int64_t axis = 0;
  bool has_source = true;
  Gradients backward(const Tensor& grad_output, NeedsGrad needs) const {
    Gradients grads{needs[0] ? scatter(grad_output, axis, *index, 0.0) : Tensor()};
    if (has_source) grads.push_back(needs[1] ? gather_lines(grad_output, axis, *index) : Tensor());
    return grads;
  }
};

// [outer, n, inner] around an axis of a tensor that is dense in `format`.
struct Blocks {
  int64_t outer = 0, n = 0, inner = 0;
};

Blocks blocks_around(const Shape& shape, int64_t axis, MemoryFormat format) {
  Shape sizes = shape;
  for (int64_t& size : sizes) size = std::max<int64_t>(size, 1);
  const int64_t inner = dense_strides(sizes, format)[axis];
  int64_t numel = 1;
  for (const int64_t size : sizes) numel *= size;
  return {numel / (sizes[axis] * inner), shape[axis], inner};
}

struct MaskedSelectBackward {
  static constexpr const char* kName = "masked_select";
  SavedTensor positions;  // row-major, in the broadcast shape
  Shape broadcast, shape;
  Gradients backward(const Tensor& grad_output) const {
    Tensor spread = zeros_of({numel_of(broadcast)}, grad_output.dtype());
    spread = spread_along(spread.shape(), 0, *positions, grad_output);
    return {sum_to(reshape(spread, broadcast), shape)};
  }
};

// Row-major positions of the elements that are not 0.
std::vector<int64_t> positions_of_nonzero(const Tensor& x) {
  const Tensor flat = x.contiguous();
  std::vector<int64_t> positions;
  dispatch_all(x.dtype(), [&]<class T>() {
    const T* v = flat.data<T>();
    for (int64_t i = 0; i < flat.numel(); ++i)
      if (convert_element<double>(v[i]) != 0) positions.push_back(i);
  });
  return positions;
}

Tensor from_vector(const std::vector<int64_t>& v) {
  Tensor x = empty({static_cast<int64_t>(v.size())}, DType::kI64);
  std::copy(v.begin(), v.end(), x.data<int64_t>());
  return x;
}

}  // namespace

Gradients IndexSelectBackward::backward(const Tensor& grad_output) const {
  const Tensor g = contiguous(grad_output, format);
  Tensor grad_input = empty(shape, g.dtype(), format).zero_();
  const Blocks b = blocks_around(shape, axis, format);
  if (g.numel() > 0)
    dispatch_float(kName, g.dtype(), [&]<class T>() {
      TERN_KERNEL(index_add<T>)
      (grad_input.data<T>(), index->data<int64_t>(), g.data<T>(), b.outer, b.n, index->numel(), b.inner, skip);
    });
  return {grad_input};
}

Tensor select_slices(const Tensor& x, int64_t axis, const Tensor& index, MemoryFormat format) {
  Shape shape = x.shape();
  shape[axis] = index.numel();
  Tensor y = empty(shape, x.dtype(), format);
  if (y.numel() == 0) return y;
  const Tensor source = contiguous(x, format);
  const Blocks b = blocks_around(x.shape(), axis, format);
  const int64_t count = index.numel();
  const size_t bytes = static_cast<size_t>(b.inner * size_of(x.dtype()));
  const int64_t* at = index.data<int64_t>();
  const std::byte* from = source.raw();
  std::byte* to = y.raw();
  parallel_for(b.outer * count, chunk_items(b.inner), [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      const int64_t row = i / count * b.n + at[i % count];
      std::memcpy(to + static_cast<size_t>(i) * bytes, from + static_cast<size_t>(row) * bytes, bytes);
    }
  });
  return y;
}

Tensor spread_along(const Shape& shape, int64_t axis, const Tensor& index, const Tensor& y) {
  Tensor x = zeros_of(shape, y.dtype());
  dispatch_arithmetic("gather", y.dtype(), [&]<class T>() {
    TERN_KERNEL(scatter_add<T>)(index_lines(x, axis, index, y), x.data<T>(), index.data<int64_t>(), y.data<T>());
  });
  return x;
}

Tensor gather(const Tensor& x, int64_t wanted_axis, const Tensor& index) {
  const int64_t axis = check_lines("gather", x, wanted_axis, index);
  const Tensor y = gather_lines(x, axis, index);
  if (!x.is_floating()) return y;
  return autograd::record<GatherBackward>(y, {x}, {.index = index, .shape = x.shape(), .axis = axis});
}

Tensor take_along_axis(const Tensor& x, const Tensor& index, int64_t wanted_axis) {
  check_defined("take_along_axis", x, index);
  TERN_CHECK(x.dim() == index.dim(), ShapeError, "[take_along_axis] expected an index with the axes of ", x.shape(),
             ", got ", index.shape());
  if (x.dim() == 0) return gather(x, wanted_axis, index);
  const int64_t axis = normalize_axis("take_along_axis", wanted_axis, x.dim());
  Shape x_lines = x.shape(), index_shape = index.shape();
  x_lines[axis] = index_shape[axis] = 1;
  Shape x_shape = broadcast_shapes("take_along_axis", x_lines, index_shape);
  index_shape = x_shape;
  x_shape[axis] = x.shape()[axis];
  index_shape[axis] = index.shape()[axis];
  return gather(expand(x, x_shape), axis, expand(index, index_shape));
}

Tensor scatter(const Tensor& x, int64_t wanted_axis, const Tensor& index, const Tensor& source) {
  check_defined("scatter", x, index, source);
  const int64_t axis = check_lines("scatter", x, wanted_axis, index);
  check_source("scatter", x, index, source);
  Tensor y = x.detach().clone();
  dispatch_arithmetic("scatter", x.dtype(), [&]<class T>() {
    TERN_KERNEL(scatter<T>)
    (index_lines(y, axis, index, source), y.data<T>(), index.data<int64_t>(), source.data<T>());
  });
  if (!x.is_floating()) return y;
  return autograd::record<ScatterBackward>(y, {x, source}, {.index = index, .axis = axis});
}

Tensor scatter(const Tensor& x, int64_t wanted_axis, const Tensor& index, double value) {
  const int64_t axis = check_lines("scatter", x, wanted_axis, index);
  check_number("scatter", x.dtype(), value);
  Tensor y = x.detach().clone();
  const Tensor source = empty({}, x.dtype()).fill_(value).expand(index.shape());
  dispatch_arithmetic("scatter", x.dtype(), [&]<class T>() {
    TERN_KERNEL(scatter<T>)
    (index_lines(y, axis, index, source), y.data<T>(), index.data<int64_t>(), source.data<T>());
  });
  if (!x.is_floating()) return y;
  return autograd::record<ScatterBackward>(y, {x}, {.index = index, .axis = axis, .has_source = false});
}

Tensor scatter_add(const Tensor& x, int64_t wanted_axis, const Tensor& index, const Tensor& source) {
  check_defined("scatter_add", x, index, source);
  const int64_t axis = check_lines("scatter_add", x, wanted_axis, index);
  check_source("scatter_add", x, index, source);
  Tensor y = x.detach().clone();
  dispatch_arithmetic("scatter_add", x.dtype(), [&]<class T>() {
    TERN_KERNEL(scatter_add<T>)
    (index_lines(y, axis, index, source), y.data<T>(), index.data<int64_t>(), source.data<T>());
  });
  if (!x.is_floating()) return y;
  return autograd::record<ScatterAddBackward>(y, {x, source}, {.index = index, .axis = axis});
}

Tensor index_select(const Tensor& x, int64_t wanted_axis, const Tensor& wanted_index) {
  check_defined("index_select", x, wanted_index);
  TERN_CHECK(x.dim() > 0, ShapeError, "[index_select] expected at least one axis, got a scalar");
  TERN_CHECK(wanted_index.dim() <= 1, ShapeError, "[index_select] expected an index of one axis, got ",
             wanted_index.shape());
  const int64_t axis = normalize_axis("index_select", wanted_axis, x.dim());
  check_indices("index_select", wanted_index, x.shape()[axis]);
  const Tensor index = contiguous(wanted_index);
  const MemoryFormat format = x.memory_format();
  const Tensor y = select_slices(x.detach(), axis, index, format);
  if (!x.is_floating()) return y;
  return autograd::record<IndexSelectBackward>(y, {x},
                                               {.index = index, .shape = x.shape(), .axis = axis, .format = format});
}

Tensor one_hot(const Tensor& labels, int64_t num_classes, DType dtype) {
  check_defined("one_hot", labels);
  TERN_CHECK(labels.dtype() == DType::kI64, DTypeError, "[one_hot] expected labels of i64, got ", labels.dtype());
  TERN_CHECK(num_classes >= -1, ValueError, "[one_hot] expected num_classes of at least 0, or -1, got ", num_classes);
  const Tensor flat = contiguous(labels);
  const int64_t* v = flat.data<int64_t>();
  int64_t classes = num_classes;
  if (classes < 0) {
    TERN_CHECK(flat.numel() > 0, ValueError, "[one_hot] expected num_classes for an empty tensor of labels, got -1");
    classes = std::max<int64_t>(*std::max_element(v, v + flat.numel()) + 1, 1);
  }
  check_indices("one_hot", flat, classes);
  Shape shape = labels.shape();
  shape.push_back(classes);
  Tensor out = zeros_of(shape, dtype);
  dispatch_all(dtype, [&]<class T>() {
    for (int64_t i = 0; i < flat.numel(); ++i) out.data<T>()[i * classes + v[i]] = convert_element<T>(1.0);
  });
  return out;
}

Tensor masked_select(const Tensor& x, const Tensor& mask) {
  check_defined("masked_select", x, mask);
  TERN_CHECK(mask.dtype() == DType::kU8, DTypeError, "[masked_select] expected a mask of u8, got ", mask.dtype());
  const Shape shape = broadcast_shapes("masked_select", x.shape(), mask.shape());
  const Tensor positions = from_vector(positions_of_nonzero(expand(mask, shape)));
  const Tensor spread = expand(x.detach(), shape).contiguous().reshape({numel_of(shape)});
  const Tensor y = select_slices(spread, 0, positions, MemoryFormat::kContiguous);
  if (!x.is_floating()) return y;
  return autograd::record<MaskedSelectBackward>(y, {x},
                                                {.positions = positions, .broadcast = shape, .shape = x.shape()});
}

Tensor nonzero(const Tensor& x) {
  check_defined("nonzero", x);
  const std::vector<int64_t> positions = positions_of_nonzero(x);
  const int64_t count = static_cast<int64_t>(positions.size());
  Tensor out = empty({count, x.dim()}, DType::kI64);
  for (int64_t i = 0; i < count; ++i) {
    int64_t rest = positions[static_cast<size_t>(i)];
    for (int64_t a = x.dim() - 1; a >= 0; --a) {
      out.data<int64_t>()[i * x.dim() + a] = rest % x.shape()[a];
      rest /= x.shape()[a];
    }
  }
  return out;
}

}  // namespace tern
