#include <limits>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/tensor.h>

namespace tern {

TensorImpl::TensorImpl() = default;
TensorImpl::~TensorImpl() = default;

Strides dense_strides(const Shape& shape, MemoryFormat format) {
  Strides strides(shape.size(), 0);
  if (format == MemoryFormat::kChannelsLast) {
    TERN_CHECK(shape.size() == 4, ShapeError, "[memory_format] expected a 4-D shape for channels-last, got ", shape);
    strides[1] = 1;
    strides[3] = std::max<int64_t>(shape[1], 1);
    strides[2] = strides[3] * std::max<int64_t>(shape[3], 1);
    strides[0] = strides[2] * std::max<int64_t>(shape[2], 1);
    return strides;
  }
  int64_t step = 1;
  for (int64_t i = shape.size() - 1; i >= 0; --i) {
    strides[i] = step;
    step *= std::max<int64_t>(shape[i], 1);
  }
  return strides;
}

Tensor::Tensor(std::shared_ptr<Storage> storage, const Layout& layout, DType dtype) {
  impl_ = std::make_shared<TensorImpl>();
  impl_->numel = numel_of(layout.shape);
  TERN_CHECK(layout.shape.size() == layout.strides.size(), ShapeError,
             "[tensor] expected one stride an axis, got shape ", layout.shape, " with strides ", layout.strides);
  int64_t low = layout.offset, high = layout.offset;
  for (int64_t i = 0; i < layout.shape.size(); ++i) {
    const int64_t reach = (layout.shape[i] - 1) * layout.strides[i];
    (reach < 0 ? low : high) += reach;
  }
  TERN_CHECK(impl_->numel == 0 || (low >= 0 && high < static_cast<int64_t>(storage->bytes()) / size_of(dtype)),
             ShapeError, "[tensor] expected a layout inside a storage of ", storage->bytes(), " bytes, got ", dtype,
             " shape ", layout.shape, " strides ", layout.strides, " offset ", layout.offset);
  impl_->storage = std::move(storage);
  impl_->layout = layout;
  impl_->dtype = dtype;
}

void detail::throw_undefined(const char* op) {
  throw StateError(concat("[", op, "] expected a defined tensor, got an undefined one"));
}

void Tensor::throw_undefined() {
  detail::throw_undefined("tensor");
}

void Tensor::throw_dtype(DType wanted) const {
  throw DTypeError(concat("[data] expected a tensor of ", wanted, ", got ", describe(*this)));
}

std::string describe(const Tensor& x) {
  return x.defined() ? concat(x.dtype(), " ", x.shape()) : std::string("undefined");
}

bool Tensor::is_contiguous(MemoryFormat format) const {
  if (format == MemoryFormat::kPreserve) return is_dense();
  if (numel() == 0) return true;
  if (format == MemoryFormat::kChannelsLast && dim() != 4) return false;
  const Strides wanted = dense_strides(shape(), format);
  for (int64_t i = 0; i < dim(); ++i)
    if (shape()[i] != 1 && strides()[i] != wanted[i]) return false;
  return true;
}

bool Tensor::is_dense() const {
  if (is_contiguous() || numel() == 0) return true;
  // Dense in some order of axes: walking the axes by rising stride, each stride is the product of the sizes before.
  Dims order;
  for (int64_t i = 0; i < dim(); ++i)
    if (shape()[i] != 1) order.push_back(i);
  std::sort(order.begin(), order.end(), [&](int64_t a, int64_t b) { return strides()[a] < strides()[b]; });
  int64_t step = 1;
  for (int64_t axis : order) {
    if (strides()[axis] != step) return false;
    step *= shape()[axis];
  }
  return true;
}

MemoryFormat Tensor::memory_format() const {
  return !is_contiguous() && is_contiguous(MemoryFormat::kChannelsLast) ? MemoryFormat::kChannelsLast
                                                                        : MemoryFormat::kContiguous;
}

Tensor empty(const Shape& shape, DType dtype, MemoryFormat format) {
  const int64_t n = numel_of(shape);
  TERN_CHECK(n <= std::numeric_limits<int64_t>::max() / size_of(dtype), ShapeError, "[empty] shape ", shape,
             " needs more bytes than can be counted");
  auto impl = std::make_shared<TensorImpl>();
  impl->storage = Storage::allocate(static_cast<size_t>(n * size_of(dtype)));
  impl->layout = {shape, dense_strides(shape, format), 0};
  impl->dtype = dtype;
  impl->numel = n;
  return Tensor(std::move(impl));
}

Tensor empty_like(const Tensor& x) {
  return empty_like(x, x.dtype());
}

Tensor empty_like(const Tensor& x, DType dtype, MemoryFormat format) {
  if (format != MemoryFormat::kPreserve) return empty(x.shape(), dtype, format);
  Tensor out = empty(x.shape(), dtype);
  if (x.is_dense()) out.impl().layout.strides = x.strides();
  return out;
}

Tensor alias_with(const Tensor& x, const Layout& layout) {
  Tensor out(x.storage(), layout, x.dtype());
  out.impl().is_view = true;
  return out;
}

bool Tensor::requires_grad() const {
  const auto& data = impl().autograd;
  return data != nullptr && (data->requires_grad || data->grad_fn != nullptr);
}

Tensor& Tensor::requires_grad_(bool value) {
  TERN_CHECK(!value || is_floating(), DTypeError, "[requires_grad_] expected a floating-point tensor, got ",
             describe(*this));
  TERN_CHECK(is_leaf(), StateError,
             "[requires_grad_] expected a leaf tensor, got one that an operation produced; detach() it first");
  if (impl().autograd == nullptr) impl().autograd = std::make_unique<autograd::AutogradData>();
  impl().autograd->requires_grad = value;
  return *this;
}

bool Tensor::is_leaf() const {
  return impl().autograd == nullptr || impl().autograd->grad_fn == nullptr;
}

Tensor Tensor::grad() const {
  return impl().autograd == nullptr ? Tensor() : impl().autograd->grad;
}

void Tensor::set_grad(const Tensor& gradient) {
  if (!gradient.defined()) {
    if (impl().autograd != nullptr) impl().autograd->grad = Tensor();
    return;
  }
  TERN_CHECK(gradient.shape() == shape(), ShapeError, "[set_grad] expected a gradient of shape ", shape(), ", got ",
             gradient.shape());
  TERN_CHECK(gradient.dtype() == dtype(), DTypeError, "[set_grad] expected a gradient of ", dtype(), ", got ",
             gradient.dtype());
  if (impl().autograd == nullptr) impl().autograd = std::make_unique<autograd::AutogradData>();
  impl().autograd->grad = gradient;
}

Tensor& Tensor::retain_grad() {
  TERN_CHECK(requires_grad(), StateError, "[retain_grad] expected a tensor that requires a gradient");
  if (const auto& data = *impl().autograd; data.grad_fn != nullptr)
    data.grad_fn->retained.emplace_back(impl_ptr(), data.output_index);
  return *this;
}

std::shared_ptr<autograd::Node> Tensor::grad_fn() const {
  return impl().autograd == nullptr ? nullptr : impl().autograd->grad_fn;
}

Tensor Tensor::detach() const {
  Tensor out = alias_with(*this, impl().layout);
  out.impl().is_view = impl().is_view;
  return out;
}

double Tensor::item_as_double() const {
  TERN_CHECK(numel() == 1, ShapeError, "[item] expected a tensor of one element, got shape ", shape());
  return dispatch_all(dtype(), [&]<class T>() { return convert_element<double>(*data<T>()); });
}

int64_t Tensor::item_i64() const {
  TERN_CHECK(numel() == 1, ShapeError, "[item] expected a tensor of one element, got shape ", shape());
  return dispatch_all(dtype(), [&]<class T>() { return convert_element<int64_t>(*data<T>()); });
}

template <class To>
std::vector<To> Tensor::to_vector() const {
  const NoGradGuard no_grad;
  const Tensor dense = contiguous();
  std::vector<To> out(static_cast<size_t>(numel()));
  dispatch_all(dtype(), [&]<class T>() {
    const T* source = dense.data<T>();
    for (size_t i = 0; i < out.size(); ++i) out[i] = convert_element<To>(source[i]);
  });
  return out;
}
template std::vector<float> Tensor::to_vector() const;
template std::vector<double> Tensor::to_vector() const;
template std::vector<int64_t> Tensor::to_vector() const;
template std::vector<int32_t> Tensor::to_vector() const;
template std::vector<int8_t> Tensor::to_vector() const;
template std::vector<uint8_t> Tensor::to_vector() const;

}  // namespace tern
