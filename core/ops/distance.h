// Norms and angles of vectors that lie along one axis, with PyTorch's names, defaults and meaning. Tensors are f32 or
// f64 and of one dtype (DTypeError), and get gradients. Throws ShapeError for an axis out of range and for shapes that
// do not broadcast.
#pragma once

#include <tern/core/tensor.h>

namespace tern {

/// x / max(norm, eps) with the p-norm along `axis`: vectors of length 1. p: 1, 2 or infinity (ValueError). A vector of
/// zeros stays, with the gradient of x / eps. Data sets' normalize is data::normalize.
[[nodiscard]] Tensor normalize(const Tensor& x, double p = 2, int64_t axis = 1, double eps = 1e-12);

/// The cosine of the angle between x1 and x2, which broadcast, along `axis`, which disappears:
/// sum(x1 / max(|x1|, eps) * x2 / max(|x2|, eps)). 0 where one is zero.
[[nodiscard]] Tensor cosine_similarity(const Tensor& x1, const Tensor& x2, int64_t axis = 1, double eps = 1e-8);

/// The p-norm of x1 - x2 + eps along the last axis, which disappears or, with keepdim, becomes 1. x1 and x2 broadcast.
/// p: 1, 2 or infinity (ValueError).
[[nodiscard]] Tensor pairwise_distance(const Tensor& x1, const Tensor& x2, double p = 2, double eps = 1e-6,
                                       bool keepdim = false);

}  // namespace tern
