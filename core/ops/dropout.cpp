#include <algorithm>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/kernels/dropout.h>
#include <tern/core/ops/copy.h>
#include <tern/core/ops/detail/same_layout.h>
#include <tern/core/ops/dropout.h>
#include <tern/core/random.h>

namespace tern {
namespace {

constexpr int64_t kGroup = 32;          // elements that the kernel serves at once
constexpr int64_t kBlocksPerGroup = 8;  // with that many Philox blocks

double factor_of(double p) {
  return p < 1 ? 1 / (1 - p) : 0;
}

// Numbers belong to elements in row-major order, whatever their order in memory: the result does not depend on it.
Tensor omit(const Tensor& x, const Generator::State& state, double p) {
  const Tensor source = contiguous(x);
  Tensor y = empty(x.shape(), x.dtype());
  dispatch_float("dropout", x.dtype(), [&]<class T>() {
    TERN_KERNEL(dropout<T>)
    (source.data<T>(), y.data<T>(), x.numel(), state.seed, state.stream, state.position,
     static_cast<uint64_t>(p * 0x1p32), static_cast<T>(factor_of(p)));
  });
  return same_layout(y, empty_like(x));
}

struct DropoutBackward {
  static constexpr const char* kName = "dropout";
  Generator::State state;
  double p = 0;
  Gradients backward(const Tensor& grad_output) const { return {omit(grad_output, state, p)}; }
};

struct GroupDropoutBackward {
  const char* name = nullptr;
  SavedTensor factors;
  Gradients backward(const Tensor& grad_output) const { return {grad_output.clone().mul_(*factors)}; }
};

void check_probability(const char* op, double p) {
  TERN_CHECK(p >= 0 && p <= 1, ValueError, "[", op, "] expected a probability in [0, 1], got ", p);
}

// Drops x[i, ...] for whole indices i of the first `axes` axes.
Tensor drop_groups(const char* op, const Tensor& x, int64_t axes, double p, bool training) {
  check_probability(op, p);
  dispatch_float(op, x.dtype(), []<class T>() {});
  if (!training || p == 0) return x;
  Shape shape(x.dim(), 1);
  std::copy_n(x.shape().begin(), axes, shape.begin());
  const int64_t groups = numel_of(shape);
  Generator generator = reserve_random(static_cast<uint64_t>(groups));
  Tensor factors = empty(shape, x.dtype());
  dispatch_float(op, x.dtype(), [&]<class T>() {
    for (int64_t i = 0; i < groups; ++i)
      factors.data<T>()[i] = generator.uniform() >= p ? static_cast<T>(factor_of(p)) : T(0);
  });
  return autograd::record<GroupDropoutBackward>(x.detach().clone().mul_(factors), {x},
                                                {.name = op, .factors = factors});
}

}  // namespace

Tensor dropout(const Tensor& x, double p, bool training) {
  check_defined("dropout", x);
  check_probability("dropout", p);
  dispatch_float("dropout", x.dtype(), []<class T>() {});
  if (!training || p == 0) return x;
  const int64_t groups = (x.numel() + kGroup - 1) / kGroup;
  const Generator::State state = reserve_random(static_cast<uint64_t>(groups * kBlocksPerGroup)).state();
  return autograd::record<DropoutBackward>(omit(x.detach(), state, p), {x}, {.state = state, .p = p});
}

Tensor dropout2d(const Tensor& x, double p, bool training) {
  check_defined("dropout2d", x);
  TERN_CHECK(x.dim() >= 2, ShapeError, "[dropout2d] expected an input of shape [N, C, ...], got ", x.shape());
  return drop_groups("dropout2d", x, 2, p, training);
}

Tensor drop_path(const Tensor& x, double p, bool training) {
  check_defined("drop_path", x);
  TERN_CHECK(x.dim() >= 1, ShapeError, "[drop_path] expected at least one axis, got a scalar");
  return drop_groups("drop_path", x, 1, p, training);
}

}  // namespace tern
