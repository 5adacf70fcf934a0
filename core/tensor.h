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

/// Which elements of a storage a tensor has.
struct Layout {
  Shape shape;
  Strides strides;     ///< in elements
  int64_t offset = 0;  ///< in elements, from the start of the storage
};

/// Strides of a dense tensor of that shape. kPreserve counts as kContiguous. Throws ShapeError for channels-last that
/// is not 4-D.
Strides dense_strides(const Shape& shape, MemoryFormat format = MemoryFormat::kContiguous);

/// What handles to one tensor share. For ops and the engine; users have Tensor.
struct TensorImpl {
  std::shared_ptr<Storage> storage;
  Layout layout;
  DType dtype = DType::kF32;
  int64_t numel = 0;
  bool is_view = false;  ///< made by alias_with
  std::unique_ptr<autograd::AutogradData> autograd;
  TensorImpl();
  ~TensorImpl();
};

/// A multi-dimensional array on the CPU. Copies are the same tensor (is_same). Members that take another tensor or an
/// axis throw as the free functions of the ops that they call; all but defined(), is_same() and assignment throw
/// StateError on an undefined tensor.
class Tensor {
 public:
  /// An undefined tensor: "none".
  Tensor() = default;
  /// A tensor over given storage. Throws ShapeError for a layout that leaves it or has not one stride an axis.
  Tensor(std::shared_ptr<Storage> storage, const Layout& layout, DType dtype);

  /// False for "none".
  bool defined() const { return impl_ != nullptr; }
  explicit operator bool() const = delete;

  // -- what it is
  const Shape& shape() const { return impl().layout.shape; }
  /// Strides and offset: in elements.
  const Strides& strides() const { return impl().layout.strides; }
  int64_t offset() const { return impl().layout.offset; }
  /// Number of axes; 0 for a scalar.
  int64_t dim() const { return impl().layout.shape.size(); }
  /// Size along an axis, counted from the back when negative. Throws ShapeError when out of range.
  int64_t size(int64_t axis) const { return shape()[normalize_axis("size", axis, dim())]; }
  /// Number of elements; 1 for a scalar.
  int64_t numel() const { return impl().numel; }
  DType dtype() const { return impl().dtype; }
  /// Of the elements, not of the storage.
  int64_t bytes() const { return numel() * size_of(dtype()); }
  bool is_floating() const { return tern::is_floating(dtype()); }
  /// True if the elements lie densely in that order (kPreserve: in any). Axes of size 1 do not matter; a tensor without
  /// elements is contiguous.
  bool is_contiguous(MemoryFormat format = MemoryFormat::kContiguous) const;
  /// True if the elements fill one block without holes or overlap, in whatever order of axes.
  bool is_dense() const;
  /// kChannelsLast for a 4-D tensor that is channels-last and not row-major as well; kContiguous otherwise.
  MemoryFormat memory_format() const;
  /// True if both name the same tensor (not merely equal elements).
  bool is_same(const Tensor& other) const { return impl_ == other.impl_; }
  /// True for views of one another, and for detached ones.
  bool shares_storage_with(const Tensor& other) const { return impl().storage == other.impl().storage; }
  /// Counts in-place writes to the storage (Storage::version).
  uint64_t version() const { return impl().storage->version(); }
  const std::shared_ptr<Storage>& storage() const { return impl().storage; }

  // -- its elements
  /// Pointer to the first element; the others lie by strides(). Who writes through it calls storage()->bump_version().
  /// Throws DTypeError unless T is the tensor's element type.
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
  /// The same without a type.
  const std::byte* raw() const { return impl().storage->data() + offset() * size_of(dtype()); }
  std::byte* raw() { return impl().storage->data() + offset() * size_of(dtype()); }
  /// The only element of a one-element tensor, converted to T. Throws ShapeError for any other number of elements.
  template <class T = double>
  T item() const {
    return static_cast<T>(item_as_double());
  }
  /// The same by way of int64_t: exact for i64 beyond 2^53, which item() takes through double.
  int64_t item_i64() const;
  /// All elements in row-major order, converted to T: float, double, int64_t, int32_t, int8_t or uint8_t.
  template <class T>
  std::vector<T> to_vector() const;

  // -- gradients (autograd/autograd.h has the guards and the functions)
  /// True for a leaf that wants a gradient, and for what was recorded from one.
  bool requires_grad() const;
  /// Marks a leaf as wanting a gradient, or not. Throws DTypeError for integer tensors (to be marked), StateError for a
  /// tensor that an op produced.
  Tensor& requires_grad_(bool value = true);
  /// True unless a recorded op produced it.
  bool is_leaf() const;
  /// The accumulated gradient; undefined if there is none.
  Tensor grad() const;
  /// Puts a gradient in its place, or none; the handle, no copy. Throws ShapeError, DTypeError unless it is like this
  /// tensor.
  void set_grad(const Tensor& gradient);
  void zero_grad() { set_grad(Tensor()); }
  /// Keeps this non-leaf tensor's gradient in grad() after backward. Throws StateError unless it requires a gradient.
  Tensor& retain_grad();
  /// Gradients of this tensor with respect to all leaves that asked for one, added to their grad(). `gradient`: of this
  /// tensor's shape and dtype (ShapeError, DTypeError); it may be left out for a one-element tensor (1 is taken). Frees
  /// the graph. Throws StateError if this tensor requires no gradient, for a second call, and where a saved tensor was
  /// changed in place meanwhile. Gradients of gradients are not recorded.
  void backward(const Tensor& gradient = {}) const;
  /// The recorded op that produced this tensor; null for a leaf.
  std::shared_ptr<autograd::Node> grad_fn() const;
  /// A view of the same elements, outside the graph.
  Tensor detach() const;

  // -- copies and conversions (ops/copy.h; differentiable)
  Tensor clone(MemoryFormat format = MemoryFormat::kPreserve) const;
  Tensor contiguous(MemoryFormat format = MemoryFormat::kContiguous) const;
  Tensor to(DType dtype) const;

  // -- in place: never recorded. All throw StateError where check_in_place (autograd/autograd.h) does.
  /// Writes `source`, broadcast and converted, into this tensor's elements. Throws ShapeError unless it broadcasts to
  /// this tensor's shape.
  Tensor& copy_(const Tensor& source);
  /// Every element becomes `value`, converted (convert_element). Throws ValueError for a number that an integer dtype
  /// cannot hold (check_number).
  Tensor& fill_(double value);
  Tensor& zero_() { return fill_(0); }
  /// this += alpha other, this -= alpha other, this *= other. `other` broadcasts to this tensor's shape (ShapeError)
  /// and is converted to its dtype; DTypeError for a floating one beside an integer tensor. bf16 and f16 are computed
  /// in f32 and rounded once. Beside an integer tensor alpha must be whole and within its dtype (ValueError).
  Tensor& add_(const Tensor& other, double alpha = 1);
  Tensor& sub_(const Tensor& other, double alpha = 1);
  Tensor& mul_(const Tensor& other);
  /// The same with a number, which must be whole and within the dtype of an integer tensor (ValueError).
  Tensor& mul_(double factor);
  Tensor& add_(double value);

  // -- views (ops/shape.h); they share storage where the header says so
  Tensor reshape(const Shape& shape) const;
  Tensor view(const Shape& shape) const;
  Tensor transpose(int64_t axis0, int64_t axis1) const;
  Tensor t() const { return transpose(0, 1); }  ///< of a matrix
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

  // -- for ops
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

/// Uninitialised elements. Throws ShapeError for a negative or overflowing shape, or channels-last that is not 4-D;
/// MemoryError.
[[nodiscard]] Tensor empty(const Shape& shape, DType dtype = DType::kF32,
                           MemoryFormat format = MemoryFormat::kContiguous);
/// Uninitialised, with x's shape, and with kPreserve its strides where x is dense (else row-major); other dtype if
/// given.
[[nodiscard]] Tensor empty_like(const Tensor& x);
[[nodiscard]] Tensor empty_like(const Tensor& x, DType dtype, MemoryFormat format = MemoryFormat::kPreserve);
/// A view of x's storage with another layout: no copy, no graph. For ops that attach their own node. Throws ShapeError
/// for a layout that leaves the storage.
[[nodiscard]] Tensor alias_with(const Tensor& x, const Layout& layout);

namespace detail {
[[noreturn]] void throw_undefined(const char* op);
}
/// What an op begins with, or a check that ops share: throws StateError, naming `op`, unless the tensors are defined.
template <class... Tensors>
void check_defined(const char* op, const Tensors&... tensors) {
  detail::begin_operation(op);
  if (!(tensors.defined() && ...)) [[unlikely]]
    detail::throw_undefined(op);
}

/// "f32 [2, 3]", for messages.
std::string describe(const Tensor& x);

}  // namespace tern
