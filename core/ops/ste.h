// Straight-through estimators: the forward is a step or a bound, the backward is the identity everywhere (also outside
// the bounds), so that what lies before a quantizer learns (Bengio et al., 2013). x: f32 or f64 (DTypeError otherwise),
// any shape; results have its shape, dtype and memory format.
#pragma once

#include <tern/core/tensor.h>

namespace tern {

/// round(x), halves to even (rounding.h); gradient 1.
[[nodiscard]] Tensor ste_round(const Tensor& x);
/// min(max(x, low), high); gradient 1. Throws ValueError if low > high.
[[nodiscard]] Tensor ste_clamp(const Tensor& x, double low, double high);
/// sign(x), 0 at 0; gradient 1.
[[nodiscard]] Tensor ste_sign(const Tensor& x);
/// max(x, 0); gradient 1.
[[nodiscard]] Tensor ste_relu(const Tensor& x);

}  // namespace tern
