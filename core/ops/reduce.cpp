// Reductions over any axes by the kernels of reduce.h. Extremes along one axis are in extreme.cpp, quantiles in
// quantile.cpp.
#include <cmath>
#include <limits>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/kernels/reduce_gradient.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/detail/loop_plan.h>
#include <tern/core/ops/detail/reduce_plan.h>
#include <tern/core/ops/reduce.h>
#include <tern/core/ops/shape.h>

namespace tern {
namespace {

// Kernels know one integer type: the others are copied to it first, which costs less than four times the code.
Tensor widened(const char* op, const Tensor& x) {
  check_defined(op, x);
  return x.is_floating() ? x.detach() : cast(x.detach(), DType::kI64);
}

// Everything that the kernels need to know of one call.
struct Call {
  const char* op;
  Tensor x;
  Dims axes;
  bool keepdim;
  int64_t count = 1;  // elements an output

  Call(const char* name, const Tensor& input, const Dims& wanted, bool keep)
      : op(name), x(widened(name, input)), axes(normalize_axes(name, wanted, input.dim())), keepdim(keep) {
    for (const int64_t a : axes) count *= x.shape()[a];
  }
  Shape kept() const { return reduced_shape(x.shape(), axes, true); }
  void need_elements() const {
    TERN_CHECK(count > 0 || numel_of(reduced_shape(x.shape(), axes, false)) == 0, ShapeError, "[", op,
               "] expected at least one element to reduce, got shape ", x.shape());
  }
};

void need_float(const char* op, const Tensor& x) {
  check_defined(op, x);
  dispatch_float(op, x.dtype(), []<class T>() {});
}

template <class T>
T* data_or_null(Tensor& x) {
  return x.defined() ? x.data<T>() : nullptr;
}

// Runs a kernel. shift: laid out as the result.
Tensor reduced(ReduceKind kind, const Call& call, const Tensor& shift = {}, double divisor = 1) {
  const bool floating = call.x.is_floating();
  Tensor out = empty_reduced(call.x, call.axes, call.keepdim, floating ? call.x.dtype() : DType::kI64);
  const ReducePlan plan = make_reduce_plan(call.x, call.axes, out);
  dispatch_wide(call.op, call.x.dtype(), [&]<class T>() {
    Tensor partial = plan.parts > 1 ? empty({plan.parts, plan.kept}, dtype_of<Wide<T>>()) : Tensor();
    TERN_KERNEL(reduce<T>)
    (kind, plan, call.x.data<T>(), shift.defined() ? shift.data<T>() : nullptr, out.data<T>(), divisor,
     data_or_null<Wide<T>>(partial));
  });
  return out;
}

// The gradient of x from a result y and the gradient g of it, which have x's axes (reduced ones 1).
Tensor gradient(ReduceGradient kind, const Tensor& x, const Tensor& y, const Tensor& g, double factor = 1) {
  Tensor grad_input = empty_like(x);
  dispatch_float("reduce", x.dtype(), [&]<class T>() {
    TERN_KERNEL(reduce_gradient<T>)
    (kind, make_plan<4>(x.shape(), {&grad_input, &x, &y, &g}), grad_input.data<T>(), x.data<T>(), y.data<T>(),
     g.data<T>(), static_cast<T>(factor));
  });
  return grad_input;
}

// a / b, element by element, for the small tensors of results; 0 where b is 0.
Tensor quotient(const Tensor& a, const Tensor& b) {
  const Tensor p = a.contiguous(), q = b.contiguous();
  Tensor out = empty(p.shape(), p.dtype());
  dispatch_float("reduce", p.dtype(), [&]<class T>() {
    for (int64_t i = 0; i < p.numel(); ++i) {
      const T v = p.data<T>()[i], w = q.data<T>()[i];
      out.data<T>()[i] = w == 0 ? T(0) : v / w;
    }
  });
  return out;
}

// The gradient of a sum is the incoming one, repeated; of a mean, that divided by the number of elements.
template <bool kMean>
struct SumBackward {
  static constexpr const char* kName = kMean ? "mean" : "sum";
  Shape shape, kept;
  double count = 1;
  Gradients backward(const Tensor& grad_output) const {
    Tensor g = reshape(grad_output, kept);
    if (kMean) g = g.clone().mul_(1 / count);
    return {expand(g, shape)};
  }
};

template <bool kDeviation>
struct VarianceBackward {
  static constexpr const char* kName = kDeviation ? "stddev" : "var";
  SavedTensor x, mean, result;
  Shape kept;
  double divisor = 1;
  Gradients backward(const Tensor& grad_output) const {
    Tensor g = reshape(grad_output, kept);
    if (kDeviation) g = quotient(g, reshape(*result, kept));
    return {gradient(ReduceGradient::kVariance, *x, *mean, g, (kDeviation ? 1 : 2) / divisor)};
  }
};

template <bool kLargest>
struct AmaxBackward {
  static constexpr const char* kName = kLargest ? "amax" : "amin";
  SavedTensor x, result;
  Dims axes;
  Shape kept;
  Gradients backward(const Tensor& grad_output) const {
    const Call call(kName, *x, axes, true);
    const Tensor y = contiguous(reshape(*result, kept), x->memory_format());
    const Tensor equals = reduced(ReduceKind::kCountEqual, call, y);
    return {gradient(ReduceGradient::kEqual, *x, y, quotient(reshape(grad_output, kept), equals))};
  }
};

struct LogSumExpBackward {
  static constexpr const char* kName = "logsumexp";
  SavedTensor x, result;
  Shape kept;
  Gradients backward(const Tensor& grad_output) const {
    return {gradient(ReduceGradient::kLogSumExp, *x, reshape(*result, kept), reshape(grad_output, kept))};
  }
};

struct NormBackward {
  static constexpr const char* kName = "norm";
  SavedTensor x, result;
  Dims axes;
  Shape kept;
  double p = 2;
  Gradients backward(const Tensor& grad_output) const {
    const Tensor y = contiguous(reshape(*result, kept), x->memory_format()), g = reshape(grad_output, kept);
    if (p == 1) return {gradient(ReduceGradient::kAbsSum, *x, y, g)};
    if (p == 2) return {gradient(ReduceGradient::kNorm, *x, y, g)};
    const Tensor equals = reduced(ReduceKind::kCountAbsEqual, Call(kName, *x, axes, true), y);
    return {gradient(ReduceGradient::kAbsEqual, *x, y, quotient(g, equals))};
  }
};

// A permutation that puts the reduced axes last, so that a copy of x has the elements of one result side by side.
Dims reduced_last(const Dims& axes, int64_t dim) {
  Dims order;
  for (int64_t a = 0; a < dim; ++a)
    if (std::find(axes.begin(), axes.end(), a) == axes.end()) order.push_back(a);
  for (const int64_t a : axes) order.push_back(a);
  return order;
}

struct ProdBackward {
  static constexpr const char* kName = "prod";
  SavedTensor x;
  Dims axes;
  Gradients backward(const Tensor& grad_output) const {
    if (x->numel() == 0) return {empty_like(*x)};
    const Dims order = reduced_last(axes, x->dim());
    const Tensor rows = contiguous(permute(*x, order)), g = contiguous(grad_output);
    Tensor moved = empty(rows.shape(), x->dtype());
    dispatch_float(kName, x->dtype(), [&]<class T>() {
      TERN_KERNEL(product_gradient<T>)
      (rows.data<T>(), g.data<T>(), moved.data<T>(), g.numel(), rows.numel() / g.numel());
    });
    Dims inverse(order.size(), 0);
    for (int64_t i = 0; i < order.size(); ++i) inverse[order[i]] = i;
    return {permute(moved, inverse)};
  }
};

template <bool kLargest>
Tensor amax_or_amin(const Tensor& x, const Dims& axes, bool keepdim) {
  using Backward = AmaxBackward<kLargest>;
  const Call call(Backward::kName, x, axes, keepdim);
  call.need_elements();
  const Tensor out = reduced(kLargest ? ReduceKind::kMax : ReduceKind::kMin, call);
  if (!x.is_floating()) return cast(out, x.dtype());
  return autograd::record<Backward>(out, {x}, {.x = x, .result = out, .axes = call.axes, .kept = call.kept()});
}

template <bool kDeviation>
Tensor variance(const Tensor& x, const Dims& axes, int64_t correction, bool keepdim) {
  using Backward = VarianceBackward<kDeviation>;
  need_float(Backward::kName, x);
  const Call call(Backward::kName, x, axes, keepdim);
  const Tensor mean = reduced(ReduceKind::kSum, call, {}, static_cast<double>(call.count));
  const double divisor = static_cast<double>(std::max<int64_t>(call.count - correction, 0));
  const Tensor out = reduced(kDeviation ? ReduceKind::kDeviation : ReduceKind::kVariance, call, mean, divisor);
  return autograd::record<Backward>(
      out, {x}, {.x = x, .mean = reshape(mean, call.kept()), .result = out, .kept = call.kept(), .divisor = divisor});
}

template <bool kMean>
Tensor sum_or_mean(const Tensor& x, const Dims& axes, bool keepdim) {
  using Backward = SumBackward<kMean>;
  if (kMean) need_float(Backward::kName, x);
  const Call call(Backward::kName, x, axes, keepdim);
  const double count = static_cast<double>(call.count);
  const Tensor out = reduced(ReduceKind::kSum, call, {}, kMean ? count : 1.0);
  if (!x.is_floating()) return out;
  return autograd::record<Backward>(out, {x}, {.shape = x.shape(), .kept = call.kept(), .count = count});
}

Tensor counted(const char* op, const Tensor& x, const Dims& axes, bool keepdim) {
  const Call call(op, x, axes, keepdim);
  Tensor out = empty_reduced(call.x, call.axes, keepdim, DType::kI64);
  const ReducePlan plan = make_reduce_plan(call.x, call.axes, out);
  Tensor partial = plan.parts > 1 ? empty({plan.parts, plan.kept}, DType::kI64) : Tensor();
  dispatch_wide(op, call.x.dtype(), [&]<class T>() {
    TERN_KERNEL(count_nonzero<T>)(plan, call.x.data<T>(), out.data<int64_t>(), data_or_null<int64_t>(partial));
  });
  return out;
}

// u8: 1 where the count is `all` of them, or, for -1, not 0.
Tensor truth(const Tensor& counts, int64_t all) {
  Tensor out = empty_like(counts, DType::kU8);
  const int64_t* v = counts.data<int64_t>();
  for (int64_t i = 0; i < counts.numel(); ++i) out.data<uint8_t>()[i] = all < 0 ? v[i] != 0 : v[i] == all;
  return out;
}

}  // namespace

Tensor sum(const Tensor& x, const Dims& axes, bool keepdim) {
  return sum_or_mean<false>(x, axes, keepdim);
}

Tensor mean(const Tensor& x, const Dims& axes, bool keepdim) {
  return sum_or_mean<true>(x, axes, keepdim);
}

Tensor Tensor::sum(const Dims& axes, bool keepdim) const {
  return tern::sum(*this, axes, keepdim);
}
Tensor Tensor::mean(const Dims& axes, bool keepdim) const {
  return tern::mean(*this, axes, keepdim);
}

Tensor var(const Tensor& x, const Dims& axes, int64_t correction, bool keepdim) {
  return variance<false>(x, axes, correction, keepdim);
}

Tensor stddev(const Tensor& x, const Dims& axes, int64_t correction, bool keepdim) {
  return variance<true>(x, axes, correction, keepdim);
}

Tensor amax(const Tensor& x, const Dims& axes, bool keepdim) {
  return amax_or_amin<true>(x, axes, keepdim);
}

Tensor amin(const Tensor& x, const Dims& axes, bool keepdim) {
  return amax_or_amin<false>(x, axes, keepdim);
}

Tensor max(const Tensor& x) {
  return amax(x);
}

Tensor min(const Tensor& x) {
  return amin(x);
}

Tensor prod(const Tensor& x, const Dims& axes, bool keepdim) {
  const Call call("prod", x, axes, keepdim);
  const Tensor out = reduced(ReduceKind::kProduct, call);
  if (!x.is_floating()) return out;
  return autograd::record<ProdBackward>(out, {x}, {.x = x, .axes = call.axes});
}

Tensor logsumexp(const Tensor& x, const Dims& axes, bool keepdim) {
  need_float("logsumexp", x);
  const Call call("logsumexp", x, axes, keepdim);
  const Tensor out = reduced(ReduceKind::kLogSumExp, call, reduced(ReduceKind::kMax, call));
  return autograd::record<LogSumExpBackward>(out, {x}, {.x = x, .result = out, .kept = call.kept()});
}

Tensor norm(const Tensor& x, double p, const Dims& axes, bool keepdim) {
  TERN_CHECK(p == 1 || p == 2 || p == std::numeric_limits<double>::infinity(), ValueError,
             "[norm] expected p of 1, 2 or infinity, got ", p);
  need_float("norm", x);
  const Call call("norm", x, axes, keepdim);
  const ReduceKind kind = p == 1 ? ReduceKind::kAbsSum : p == 2 ? ReduceKind::kNorm : ReduceKind::kAbsMax;
  const Tensor out = reduced(kind, call);
  return autograd::record<NormBackward>(out, {x},
                                        {.x = x, .result = out, .axes = call.axes, .kept = call.kept(), .p = p});
}

Tensor any(const Tensor& x, const Dims& axes, bool keepdim) {
  return truth(counted("any", x, axes, keepdim), -1);
}

Tensor all(const Tensor& x, const Dims& axes, bool keepdim) {
  return truth(counted("all", x, axes, keepdim), Call("all", x, axes, keepdim).count);
}

Tensor count_nonzero(const Tensor& x, const Dims& axes, bool keepdim) {
  return counted("count_nonzero", x, axes, keepdim);
}

}  // namespace tern
