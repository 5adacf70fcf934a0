// Tensor: a cheap handle to {storage, layout, dtype, autograd data}. Copying a Tensor copies the handle, never the
// elements.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include <tern/core/dims.h>
#include <tern/core/dtype.h>
#include <tern/core/storage.h>

namespace tern {

class Tensor;
namespace autograd {
class Node;
struct AutogradData;
}  // namespace autograd

/// How the elements of a tensor lie in memory. Images are logically [N, C, H, W] in both formats.
enum class MemoryFormat {
  kContiguous,    ///< row-major: the last axis is the innermost
  kChannelsLast,  ///< 4-D only: channels innermost (N, H, W, C in memory), the fast format for convolutions
  kPreserve,      ///< keep the input's order where its elements are dense, else row-major
};

struct Layout {
  Shape shape;
  Strides strides;     ///< in elements
  int64_t offset = 0;  ///< in elements, from the start of the storage
};

/// Strides of a dense tensor of that shape. kPreserve counts as kContiguous. Throws ShapeError for channels-last that
/// is not 4-D.
Strides dense_strides(const Shape& shape, MemoryFormat format = MemoryFormat::kContiguous);

struct TensorImpl {
  std::shared_ptr<Storage> storage;
  Layout layout;
  DType dtype = DType::kF32;
  int64_t numel = 0;
  bool is_view = false;
  std::unique_ptr<autograd::AutogradData> autograd;
  TensorImpl();
  ~TensorImpl();
};

class Tensor {
 public:
  /// An undefined tensor: "none". Most members throw StateError on it.
  Tensor() = default;
  /// A tensor over given storage; checks that the layout stays inside it (ShapeError).
  Tensor(std::shared_ptr<Storage> storage, const Layout& layout, DType dtype);

  bool defined() const { return impl_ != nullptr; }
  explicit operator bool() const = delete;

  // -- what it is
  const Shape& shape() const { return impl().layout.shape; }
  const Strides& strides() const { return impl().layout.strides; }
  int64_t offset() const { return impl().layout.offset; }
  int64_t dim() const { return impl().layout.shape.size(); }
  /// Size along an axis, counted from the back when negative.
  int64_t size(int64_t axis) const { return shape()[normalize_axis("size", axis, dim())]; }
  int64_t numel() const { return impl().numel; }
  DType dtype() const { return impl().dtype; }
  int64_t bytes() const { return numel() * size_of(dtype()); }
  bool is_floating() const { return tern::is_floating(dtype()); }
  /// True if the elements lie densely in that order. Axes of size 1 do not matter.
  bool is_contiguous(MemoryFormat format = MemoryFormat::kContiguous) const;
  /// True if the elements fill one block without holes or overlap, in whatever order of axes.
  bool is_dense() const;
  /// kChannelsLast for a 4-D tensor that is channels-last and not row-major as well; kContiguous otherwise.
  MemoryFormat memory_format() const;
  /// True if both name the same tensor (not merely equal elements).
  bool is_same(const Tensor& other) const { return impl_ == other.impl_; }
  bool shares_storage_with(const Tensor& other) const { return impl().storage == other.impl().storage; }
  uint64_t version() const { return impl().storage->version(); }
  const std::shared_ptr<Storage>& storage() const { return impl().storage; }

  // -- its elements
  /// Pointer to the first element. Throws DTypeError unless T is the tensor's element type.
  template <class T>
  T* data() {
    check_dtype(dtype_of<T>());
    return reinterpret_cast<T*>(impl().storage->data()) + offset();
  }
  template <class T>
  const T* data() const {
    check_dtype(dtype_of<T>());
    return reinterpret_cast<const T*>(impl().storage->data()) + offset();
  }
  const std::byte* raw() const { return impl().storage->data() + offset() * size_of(dtype()); }
  std::byte* raw() { return impl().storage->data() + offset() * size_of(dtype()); }
  /// The only element of a one-element tensor, converted to T. Throws ShapeError for any other number of elements.
  template <class T = double>
  T item() const {
    return static_cast<T>(item_as_double());
  }
  int64_t item_i64() const;
  /// All elements in row-major order, converted to T.
  template <class T>
  std::vector<T> to_vector() const;

  // -- gradients (autograd/autograd.h has the guards and the functions)
  bool requires_grad() const;
  /// Marks a leaf as wanting a gradient. Throws DTypeError for integer tensors, StateError for a tensor that an op
  /// produced.
  Tensor& requires_grad_(bool value = true);
  bool is_leaf() const;
  /// The accumulated gradient; undefined if there is none.
  Tensor grad() const;
  void set_grad(const Tensor& gradient);
  void zero_grad() { set_grad(Tensor()); }
  /// Keeps this non-leaf tensor's gradient in grad() after backward.
  Tensor& retain_grad();
  /// Gradients of this tensor with respect to all leaves that asked for one, added to their grad(). `gradient` may be
  /// left out for a one-element tensor (1 is taken). Frees the graph; a second call throws StateError.
  void backward(const Tensor& gradient = {}) const;
  std::shared_ptr<autograd::Node> grad_fn() const;
  /// The same elements, outside the graph.
  Tensor detach() const;

  // -- copies and conversions (differentiable, except as noted)
  Tensor clone(MemoryFormat format = MemoryFormat::kPreserve) const;
  Tensor contiguous(MemoryFormat format = MemoryFormat::kContiguous) const;
  Tensor to(DType dtype) const;
  /// Writes `source`, broadcast and converted, into this tensor's elements. In place: see check_in_place.
  Tensor& copy_(const Tensor& source);
  Tensor& fill_(double value);
  Tensor& zero_() { return fill_(0); }
  Tensor& add_(const Tensor& other, double alpha = 1);
  Tensor& sub_(const Tensor& other, double alpha = 1) { return add_(other, -alpha); }
  Tensor& mul_(const Tensor& other);
  Tensor& mul_(double factor);
  Tensor& add_(double value);

  // -- views (ops/shape.h); they share storage where the header says so
  Tensor reshape(const Shape& shape) const;
  Tensor view(const Shape& shape) const;
  Tensor transpose(int64_t axis0, int64_t axis1) const;
  Tensor t() const { return transpose(0, 1); }
  Tensor permute(const Dims& axes) const;
  Tensor slice(int64_t axis, int64_t begin, int64_t end, int64_t step = 1) const;
  Tensor select(int64_t axis, int64_t index) const;
  Tensor operator[](int64_t index) const { return select(0, index); }
  Tensor expand(const Shape& shape) const;
  Tensor squeeze(int64_t axis) const;
  Tensor unsqueeze(int64_t axis) const;
  Tensor flatten(int64_t first = 0, int64_t last = -1) const;

  // -- reductions (ops/reduce.h); no axes means all of them
  Tensor sum(const Dims& axes = {}, bool keepdim = false) const;
  Tensor mean(const Dims& axes = {}, bool keepdim = false) const;

  TensorImpl& impl() const {
    if (impl_ == nullptr) [[unlikely]]
      throw_undefined();
    return *impl_;
  }
  const std::shared_ptr<TensorImpl>& impl_ptr() const { return impl_; }
  explicit Tensor(std::shared_ptr<TensorImpl> impl) : impl_(std::move(impl)) {}

 private:
  [[noreturn]] static void throw_undefined();
  void check_dtype(DType wanted) const {
    if (impl().dtype != wanted) [[unlikely]]
      throw_dtype(wanted);
  }
  [[noreturn]] void throw_dtype(DType wanted) const;
  double item_as_double() const;

  std::shared_ptr<TensorImpl> impl_;
};

// -- allocation and access that every op uses

/// Uninitialised elements. Throws ShapeError for a negative or overflowing shape.
[[nodiscard]] Tensor empty(const Shape& shape, DType dtype = DType::kF32,
                           MemoryFormat format = MemoryFormat::kContiguous);
/// Uninitialised, with x's shape, and its strides where x is dense; other dtype if given.
[[nodiscard]] Tensor empty_like(const Tensor& x);
[[nodiscard]] Tensor empty_like(const Tensor& x, DType dtype, MemoryFormat format = MemoryFormat::kPreserve);
/// A view of x's storage with another layout: no copy, no graph. For ops that attach their own node.
[[nodiscard]] Tensor alias_with(const Tensor& x, const Layout& layout);

namespace detail {
[[noreturn]] void throw_undefined(const char* op);
}
/// Throws StateError, naming `op`, unless the tensors are defined: what an op begins with, or a check that ops share.
template <class... Tensors>
void check_defined(const char* op, const Tensors&... tensors) {
  if (!(tensors.defined() && ...)) [[unlikely]]
    detail::throw_undefined(op);
}

/// "f32 [2, 3]", for messages.
std::string describe(const Tensor& x);

}  // namespace tern
