// Whether a tensor holds nothing but finite values.
#pragma once

#include <tern/core/tensor.h>

namespace tern {

/// False if an element is NaN or infinite; true for integers and for no elements. One parallel pass, no allocation for
/// a tensor whose elements lie together.
[[nodiscard]] bool all_finite(const Tensor& x);

}  // namespace tern
