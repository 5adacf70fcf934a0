// Activation functions, with PyTorch's definitions and gradients. x: any shape, f32 or f64; results have its shape,
// dtype and memory format; NaN stays NaN. All throw DTypeError for other dtypes. The backward of each is one pass over
// the elements.
#pragma once

#include <tern/core/tensor.h>

namespace tern {

/// max(x, 0). The gradient at 0 is 0.
[[nodiscard]] Tensor relu(const Tensor& x);
/// min(max(x, 0), 6). The gradient at 0, 6 and NaN is 0.
[[nodiscard]] Tensor relu6(const Tensor& x);
/// x where x > 0, else negative_slope * x. The gradient at 0 is negative_slope.
[[nodiscard]] Tensor leaky_relu(const Tensor& x, double negative_slope = 0.01);
/// x where x > 0, else alpha (e^x - 1) (Clevert et al., 2016). The gradient at 0 is alpha.
[[nodiscard]] Tensor elu(const Tensor& x, double alpha = 1.0);

/// How gelu is computed.
enum class Gelu {
  kErf,   ///< x/2 (1 + erf(x / sqrt 2)), PyTorch's "none"
  kTanh,  ///< x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x^3)))
};
/// The Gaussian error linear unit (Hendrycks and Gimpel, 2016).
[[nodiscard]] Tensor gelu(const Tensor& x, Gelu approximation = Gelu::kErf);

/// 1 / (1 + e^-x).
[[nodiscard]] Tensor sigmoid(const Tensor& x);
/// log(sigmoid(x)), without overflow.
[[nodiscard]] Tensor logsigmoid(const Tensor& x);
/// Hyperbolic tangent.
[[nodiscard]] Tensor tanh(const Tensor& x);
/// x sigmoid(x), also called swish.
[[nodiscard]] Tensor silu(const Tensor& x);
/// min(max(x + 3, 0), 6) / 6. The gradient at -3 and 3 is 0.
[[nodiscard]] Tensor hardsigmoid(const Tensor& x);
/// x min(max(x + 3, 0), 6) / 6 (Howard et al., "MobileNetV3", 2019). The gradient is x / 3 + 1/2 from -3 to 3, both
/// included.
[[nodiscard]] Tensor hardswish(const Tensor& x);
/// log(1 + e^(beta x)) / beta; x itself where beta x > threshold. Throws ValueError for a beta of 0.
[[nodiscard]] Tensor softplus(const Tensor& x, double beta = 1.0, double threshold = 20.0);

/// silu(gate) * up, in one pass each way: the gated unit of llama's feed-forward (Shazeer, "GLU variants", 2020). gate
/// and up: same shape and dtype (ShapeError, DTypeError otherwise).
[[nodiscard]] Tensor swiglu(const Tensor& gate, const Tensor& up);
/// relu(a + b), in one pass each way: the end of a residual block. a and b: same shape and dtype (ShapeError,
/// DTypeError otherwise).
[[nodiscard]] Tensor add_relu(const Tensor& a, const Tensor& b);

}  // namespace tern
