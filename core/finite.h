// Whether a tensor holds nothing but finite values.
#pragma once

#include <tern/core/tensor.h>

namespace tern {

/// False if an element is NaN or infinite; true for integers and for no elements. One parallel pass; f32 and f64
/// whose elements lie together are read where they are.
[[nodiscard]] bool all_finite(const Tensor& x);

}  // namespace tern
