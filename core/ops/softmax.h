// Softmax along any axis.
#pragma once

#include <tern/core/tensor.h>

namespace tern {

/// exp(x) / sum(exp(x)) along `axis`, computed from x - max(x). x: any shape, f32 or f64; the result has its shape,
/// dtype and memory format. An entry of -inf gives exactly 0; a row of nothing but -inf gives NaN, as in PyTorch.
/// Throws DTypeError for other dtypes, ShapeError for an axis out of range.
[[nodiscard]] Tensor softmax(const Tensor& x, int64_t axis);

/// softmax of -x.
[[nodiscard]] Tensor softmin(const Tensor& x, int64_t axis);

/// x - log(sum(exp(x))) along `axis`; an entry of -inf stays; otherwise as softmax.
[[nodiscard]] Tensor log_softmax(const Tensor& x, int64_t axis);

}  // namespace tern
