// What the ops on images share.
#pragma once

#include <tern/core/error.h>
#include <tern/core/tensor.h>

namespace tern::detail {

/// Throws ShapeError unless x is [N, C, H, W] with at least one channel and pixel, DTypeError unless it is f32 or f64.
inline void check_images(const char* op, const Tensor& x) {
  check_defined(op, x);
  TERN_CHECK(x.dim() == 4, ShapeError, "[", op, "] expected an input of shape [N, C, H, W], got ", x.shape());
  TERN_CHECK(x.dtype() == DType::kF32 || x.dtype() == DType::kF64, DTypeError, "[", op, "] expected f32 or f64, got ",
             x.dtype());
  TERN_CHECK(x.shape()[1] > 0 && x.shape()[2] > 0 && x.shape()[3] > 0, ShapeError, "[", op,
             "] expected sizes of at least 1 but for the batch, got input ", x.shape());
}

}  // namespace tern::detail
