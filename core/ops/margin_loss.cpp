#include <tern/core/error.h>
#include <tern/core/ops/compare.h>
#include <tern/core/ops/distance.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/margin_loss.h>
#include <tern/core/ops/reduce.h>
#include <tern/core/ops/shape.h>

namespace tern {
namespace {

void check_three(const char* op, const Tensor& a, const Tensor& b, const Tensor& c, Reduction reduction) {
  check_defined(op, a, b, c);
  dispatch_float(op, a.dtype(), []<class T>() {});
  TERN_CHECK(a.dtype() == b.dtype() && a.dtype() == c.dtype(), DTypeError, "[", op,
             "] expected three tensors of one dtype, got ", a.dtype(), ", ", b.dtype(), " and ", c.dtype());
  TERN_CHECK(reduction != Reduction::kBatchMean, ValueError, "[", op,
             "] expected the reduction kMean, kSum or kNone, got kBatchMean");
}

void check_axes(const char* op, const Tensor& a, const Tensor& b, const Tensor& c) {
  TERN_CHECK(a.dim() == b.dim() && a.dim() == c.dim(), ShapeError, "[", op,
             "] expected three tensors of as many axes, got ", a.shape(), ", ", b.shape(), " and ", c.shape());
  (void)broadcast_shapes(op, broadcast_shapes(op, a.shape(), b.shape()), c.shape());
}

// A view through which all gradients of x go: they are added up there, and added to x's gradient once.
Tensor single_path(const Tensor& x) {
  return expand(x, x.shape());
}

Tensor reduced(const Tensor& losses, Reduction reduction) {
  if (reduction == Reduction::kNone) return losses;
  return reduction == Reduction::kSum ? sum(losses) : mean(losses);
}

}  // namespace

Tensor margin_ranking_loss(const Tensor& x1, const Tensor& x2, const Tensor& target, double margin,
                           Reduction reduction) {
  check_three("margin_ranking_loss", x1, x2, target, reduction);
  check_axes("margin_ranking_loss", x1, x2, target);
  return reduced(clamp_min(add(mul(target, sub(x2, x1)), margin), 0), reduction);
}

Tensor cosine_embedding_loss(const Tensor& x1, const Tensor& x2, const Tensor& target, double margin,
                             Reduction reduction) {
  constexpr const char* kOp = "cosine_embedding_loss";
  constexpr double kEps = 1e-12f;  // PyTorch's, of single precision in f64 too
  check_three(kOp, x1, x2, target, reduction);
  TERN_CHECK(x1.dim() >= 1 && x1.dim() <= 2 && x1.shape() == x2.shape(), ShapeError, "[", kOp,
             "] expected two tensors of one shape, [N, D] or [D], got ", x1.shape(), " and ", x2.shape());
  const Shape rows = x1.dim() == 1 ? Shape{} : Shape{x1.size(0)};
  TERN_CHECK(target.shape() == rows, ShapeError, "[", kOp, "] expected a target of shape ", rows, ", got ",
             target.shape());
  const Tensor a = single_path(x1), b = single_path(x2);
  const Tensor product = sum(mul(a, b), {-1});
  const Tensor squares = mul(add(sum(square(a), {-1}), kEps), add(sum(square(b), {-1}), kEps));
  const Tensor cosine = div(product, sqrt(squares));
  const Tensor t = target.detach();
  const Tensor of_alike = where(eq(t, 1), sub(1, cosine), 0.0);
  return reduced(where(eq(t, -1), clamp_min(sub(cosine, margin), 0), of_alike), reduction);
}

Tensor triplet_margin_loss(const Tensor& anchor, const Tensor& positive, const Tensor& negative,
                           const TripletMarginOptions& options) {
  constexpr const char* kOp = "triplet_margin_loss";
  check_three(kOp, anchor, positive, negative, options.reduction);
  check_axes(kOp, anchor, positive, negative);
  TERN_CHECK(anchor.dim() >= 1, ShapeError, "[", kOp, "] expected at least one axis, got scalars");
  const auto distance = [&](const Tensor& a, const Tensor& b) {
    return pairwise_distance(a, b, options.p, options.eps);
  };
  const Tensor a = single_path(anchor), p = single_path(positive), n = single_path(negative);
  const Tensor near = distance(a, p);
  Tensor far = distance(a, n);
  if (options.swap) far = minimum(far, distance(p, n));
  return reduced(clamp_min(add(sub(near, far), options.margin), 0), options.reduction);
}

}  // namespace tern
