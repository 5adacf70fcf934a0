#include <cmath>

#include <tern/core/error.h>
#include <tern/core/ops/distance.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/reduce.h>

namespace tern {
namespace {

void check_pair(const char* op, const Tensor& x1, const Tensor& x2) {
  check_defined(op, x1, x2);
  dispatch_float(op, x1.dtype(), []<class T>() {});
  TERN_CHECK(x1.dtype() == x2.dtype(), DTypeError, "[", op, "] expected two tensors of one dtype, got ", x1.dtype(),
             " and ", x2.dtype());
  TERN_CHECK(x1.dim() >= 1 || x2.dim() >= 1, ShapeError, "[", op, "] expected at least one axis, got scalars");
}

void check_norm(const char* op, double p) {
  TERN_CHECK(p == 1 || p == 2 || (std::isinf(p) && p > 0), ValueError, "[", op,
             "] expected p of 1, 2 or infinity, got ", p);
}

// x is used twice: it must not be a leaf, whose gradient is added to once per call.
Tensor unit_vectors(const Tensor& x, double p, int64_t axis, double eps) {
  return div(x, clamp_min(norm(x, p, {axis}, true), eps));
}

}  // namespace

Tensor normalize(const Tensor& x, double p, int64_t axis, double eps) {
  check_defined("normalize", x);
  dispatch_float("normalize", x.dtype(), []<class T>() {});
  check_norm("normalize", p);
  return unit_vectors(x.expand(x.shape()), p, normalize_axis("normalize", axis, x.dim()), eps);
}

Tensor cosine_similarity(const Tensor& x1, const Tensor& x2, int64_t wanted_axis, double eps) {
  constexpr const char* kOp = "cosine_similarity";
  check_pair(kOp, x1, x2);
  const Shape shape = broadcast_shapes(kOp, x1.shape(), x2.shape());
  const int64_t axis = normalize_axis(kOp, wanted_axis, shape.size());
  const auto units = [&](const Tensor& x) { return unit_vectors(x.expand(shape), 2, axis, eps); };
  return sum(mul(units(x1), units(x2)), {axis});
}

Tensor pairwise_distance(const Tensor& x1, const Tensor& x2, double p, double eps, bool keepdim) {
  check_pair("pairwise_distance", x1, x2);
  check_norm("pairwise_distance", p);
  (void)broadcast_shapes("pairwise_distance", x1.shape(), x2.shape());
  return norm(add(sub(x1, x2), eps), p, {-1}, keepdim);
}

}  // namespace tern
