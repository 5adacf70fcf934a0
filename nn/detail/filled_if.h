// Starting values of optional parameters. Not for users: included by the sources of this room only.
#pragma once

#include <tern/core/ops/create.h>

namespace tern::nn::detail {

/// A tensor of one value, or none.
inline Tensor filled_if(bool wanted, const Shape& shape, double value, DType dtype = DType::kF32) {
  return wanted ? empty(shape, dtype).fill_(value) : Tensor();
}

}  // namespace tern::nn::detail
