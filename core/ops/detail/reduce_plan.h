// Building the plans of kernels/reduce.h from tensors.
#pragma once

#include <tern/core/kernels/reduce.h>
#include <tern/core/tensor.h>

namespace tern {

/// Shape of a reduction of `shape` over `axes` (normalised, sorted): those axes become 1, or disappear.
Shape reduced_shape(const Shape& shape, const Dims& axes, bool keepdim);

/// A dense tensor for that result: channels-last where x is 4-D channels-last and its axes are kept, else row-major.
Tensor empty_reduced(const Tensor& x, const Dims& axes, bool keepdim, DType dtype);

/// The plan of reducing x over `axes` (normalised, sorted) into `out`, made by empty_reduced.
ReducePlan make_reduce_plan(const Tensor& x, const Dims& axes, const Tensor& out);

}  // namespace tern
