#include <cstring>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/kernels/inplace.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/detail/loop_plan.h>
#include <tern/core/ops/shape.h>

namespace tern {
namespace {

void copy_elements(Tensor& destination, const Tensor& source) {
  const auto plan = make_plan<2>(destination.shape(), {&destination, &source});
  dispatch_all(destination.dtype(), [&]<class To>() {
    dispatch_all(source.dtype(), [&]<class From>() {
      To* to = destination.data<To>();
      const From* from = source.data<From>();
      if constexpr (std::is_same_v<To, From>) {
        if (plan.axes == 1 && plan.stride[0][0] == 1 && plan.stride[1][0] == 1) {
          parallel_for(plan.numel, kElementwiseGrain, [&](int64_t begin, int64_t end) {
            std::memcpy(to + begin, from + begin, static_cast<size_t>(end - begin) * sizeof(To));
          });
          return;
        }
      }
      run_plan(plan, [&](const int64_t* at, int64_t n, const int64_t* step) {
        To* t = to + at[0];
        const From* f = from + at[1];
        if (step[0] == 1 && step[1] == 1) {
          for (int64_t i = 0; i < n; ++i) t[i] = convert_element<To>(f[i]);
        } else {
          for (int64_t i = 0; i < n; ++i) t[i * step[0]] = convert_element<To>(f[i * step[1]]);
        }
      });
    });
  });
}

struct CopyBackward {
  static constexpr const char* kName = "clone";
  DType dtype = DType::kF32;
  Gradients backward(const Tensor& grad_output) const { return {cast(grad_output, dtype)}; }
};

// A copy with the given dtype and format, recorded.
Tensor copied(const Tensor& x, DType dtype, MemoryFormat format) {
  Tensor out = empty_like(x, dtype, format);
  copy_elements(out, x);
  if (!is_floating(dtype) || !x.is_floating()) return out;
  return autograd::record<CopyBackward>(out, {x}, {.dtype = x.dtype()});
}

// Copies are what other ops ask for: whose turn it was is so again afterwards.
class WithinOperation {
 public:
  WithinOperation() : outer_(detail::operation) {}
  ~WithinOperation() { detail::operation = outer_; }
  WithinOperation(const WithinOperation&) = delete;
  WithinOperation& operator=(const WithinOperation&) = delete;

 private:
  detail::Operation outer_;
};

template <class F>
Tensor& in_place(const char* op, Tensor& x, const Tensor& other, F&& body) {
  check_defined(op, x, other);
  autograd::check_in_place(op, x, other);
  TERN_CHECK(broadcast_shapes(op, x.shape(), other.shape()) == x.shape(), ShapeError, "[", op,
             "] expected a tensor that broadcasts to ", x.shape(), ", got ", other.shape());
  TERN_CHECK(x.is_floating() || !other.is_floating(), DTypeError, "[", op, "] expected an integer operand for ",
             x.dtype(), ", got ", other.dtype());
  if (x.dtype() == DType::kBF16 || x.dtype() == DType::kF16) {  // computed in f32, rounded once
    const NoGradGuard no_grad;
    Tensor wide = cast(x, DType::kF32);
    in_place(op, wide, other, body);
    copy_elements(x, wide);
    x.storage()->bump_version();
    return x;
  }
  Tensor same = cast(other, x.dtype());
  const bool same_place = same.offset() == x.offset() && same.strides() == x.strides();
  if (same.shares_storage_with(x) && !same_place) same = same.detach().clone();  // else read after it was written
  dispatch_arithmetic(op, x.dtype(), [&]<class T>() {
    body.template operator()<T>(make_plan<2>(x.shape(), {&x, &same}), x.data<T>(), same.data<T>());
  });
  x.storage()->bump_version();
  return x;
}

}  // namespace

Tensor clone(const Tensor& x, MemoryFormat format) {
  const WithinOperation outer;
  check_defined("clone", x);
  return copied(x, x.dtype(), format);
}

Tensor contiguous(const Tensor& x, MemoryFormat format) {
  const WithinOperation outer;
  check_defined("contiguous", x);
  return x.is_contiguous(format) ? x : copied(x, x.dtype(), format);
}

Tensor dense(const Tensor& x) {
  const WithinOperation outer;
  check_defined("dense", x);
  return x.is_dense() ? x : copied(x, x.dtype(), MemoryFormat::kContiguous);
}

Tensor cast(const Tensor& x, DType dtype) {
  const WithinOperation outer;
  check_defined("cast", x);
  return x.dtype() == dtype ? x : copied(x, dtype, MemoryFormat::kPreserve);
}

void copy_into(Tensor& destination, const Tensor& source) {
  check_defined("copy_", destination, source);
  autograd::check_in_place("copy_", destination, source);
  TERN_CHECK(broadcast_shapes("copy_", destination.shape(), source.shape()) == destination.shape(), ShapeError,
             "[copy_] expected a source that broadcasts to ", destination.shape(), ", got ", source.shape());
  // Elements that would be overwritten before they are read are copied first.
  const Tensor safe = destination.shares_storage_with(source) ? source.detach().clone() : source;
  copy_elements(destination, safe);
  destination.storage()->bump_version();
}

Tensor Tensor::clone(MemoryFormat format) const {
  return tern::clone(*this, format);
}
Tensor Tensor::contiguous(MemoryFormat format) const {
  return tern::contiguous(*this, format);
}
Tensor Tensor::to(DType dtype) const {
  return cast(*this, dtype);
}

Tensor& Tensor::copy_(const Tensor& source) {
  copy_into(*this, source);
  return *this;
}

Tensor& Tensor::fill_(double value) {
  autograd::check_in_place("fill_", *this);
  check_number("fill_", dtype(), value);
  const auto plan = make_plan<1>(shape(), {this});
  dispatch_all(dtype(), [&]<class T>() {
    T* x = data<T>();
    const T v = convert_element<T>(value);
    run_plan(plan, [&](const int64_t* at, int64_t n, const int64_t* step) {
      if (step[0] == 1) {
        std::fill_n(x + at[0], n, v);
      } else {
        for (int64_t i = 0; i < n; ++i) x[at[0] + i * step[0]] = v;
      }
    });
  });
  storage()->bump_version();
  return *this;
}

namespace {

// x += alpha other, or -=: an unsigned alpha changes its sign as unsigned numbers do.
Tensor& add_multiple(const char* op, Tensor& x, const Tensor& other, double alpha, bool negative) {
  check_defined(op, x, other);
  check_whole(op, x.dtype(), alpha);
  return in_place(op, x, other, [&]<class T>(const LoopPlan<2>& plan, T* to, const T* from) {
    T factor = static_cast<T>(alpha);
    if (negative) {
      if constexpr (std::is_integral_v<T>)
        factor = static_cast<T>(0 - static_cast<uint64_t>(factor));
      else
        factor = -factor;
    }
    TERN_KERNEL(add_in_place<T>)(plan, to, from, factor);
  });
}

}  // namespace

Tensor& Tensor::add_(const Tensor& other, double alpha) {
  return add_multiple("add_", *this, other, alpha, false);
}

Tensor& Tensor::sub_(const Tensor& other, double alpha) {
  return add_multiple("sub_", *this, other, alpha, true);
}

Tensor& Tensor::mul_(const Tensor& other) {
  return in_place("mul_", *this, other, [&]<class T>(const LoopPlan<2>& plan, T* x, const T* y) {
    TERN_KERNEL(mul_in_place<T>)(plan, x, y);
  });
}

namespace {

Tensor number_for(const char* op, const Tensor& x, double v) {
  check_defined(op, x);
  check_whole(op, x.dtype(), v);
  return empty({}, x.dtype()).fill_(v);
}

}  // namespace

Tensor& Tensor::mul_(double factor) {
  return mul_(number_for("mul_", *this, factor));
}
Tensor& Tensor::add_(double value) {
  return add_(number_for("add_", *this, value));
}

}  // namespace tern
