// Matrix products.
#pragma once

#include <tern/core/tensor.h>

namespace tern {

/// The matrix product, as PyTorch's matmul. a: [..., m, k] or [k]; b: [..., k, n] or [k]; both f32 or both f64. The
/// leading axes broadcast; a 1-D a counts as a row, a 1-D b as a column, and the axis so added is not in the result:
///   [k] x [k] -> [],  [m, k] x [k] -> [m],  [k] x [k, n] -> [n],  [..., m, k] x [..., k, n] -> [..., m, n].
/// Transposed and otherwise strided views are read where they are as long as one of the last two axes is dense; others
/// are copied. Throws ShapeError unless the inner sizes agree and the leading axes broadcast, DTypeError for other or
/// different dtypes.
[[nodiscard]] Tensor matmul(const Tensor& a, const Tensor& b);

/// matmul of 2-D tensors only: [m, k] x [k, n] -> [m, n]. Throws ShapeError for other numbers of axes; so do mv and
/// dot.
[[nodiscard]] Tensor mm(const Tensor& a, const Tensor& b);

/// matmul of 3-D tensors only, batch sizes equal: [b, m, k] x [b, k, n] -> [b, m, n]. Throws ShapeError otherwise.
[[nodiscard]] Tensor bmm(const Tensor& a, const Tensor& b);

/// Matrix times vector: [m, k] x [k] -> [m].
[[nodiscard]] Tensor mv(const Tensor& a, const Tensor& x);

/// Sum of a[i] * b[i]: [k] x [k] -> [].
[[nodiscard]] Tensor dot(const Tensor& a, const Tensor& b);

}  // namespace tern
