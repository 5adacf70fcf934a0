// Copies, conversions and in-place writes. The member functions of Tensor are the usual way to call them.
#pragma once

#include <tern/core/tensor.h>

namespace tern {

/// x's elements in a new dense tensor. x: any shape, any dtype. Differentiable for floating dtypes. Here and in
/// contiguous: ShapeError for channels-last unless x is 4-D.
[[nodiscard]] Tensor clone(const Tensor& x, MemoryFormat format = MemoryFormat::kPreserve);

/// x itself if it already lies in that format, else a copy that does. Differentiable.
[[nodiscard]] Tensor contiguous(const Tensor& x, MemoryFormat format = MemoryFormat::kContiguous);

/// x itself if it is dense in any order of axes, else a row-major copy. Differentiable. What element-wise ops start
/// with.
[[nodiscard]] Tensor dense(const Tensor& x);

/// x converted to another dtype (x itself if it has it already; convert_element): floats to integers by truncation, to
/// bf16 and f16 by rounding half to even. Differentiable between floating dtypes; the gradient comes back in x's dtype.
[[nodiscard]] Tensor cast(const Tensor& x, DType dtype);

/// destination[...] = source, broadcast and converted; the two may overlap. In place; throws StateError where a
/// gradient would be lost (grad mode on and either requires one) or destination is expanded, ShapeError if source does
/// not broadcast to destination's shape.
void copy_into(Tensor& destination, const Tensor& source);

}  // namespace tern
