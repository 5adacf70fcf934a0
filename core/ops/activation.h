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
/// min(max(x, min_val), max_val). The gradient at the bounds and at NaN is 0. Throws ValueError for NaN bounds and
/// for min_val above max_val.
[[nodiscard]] Tensor hardtanh(const Tensor& x, double min_val = -1.0, double max_val = 1.0);
/// x where x > 0, else negative_slope * x. The gradient at 0 is negative_slope.
[[nodiscard]] Tensor leaky_relu(const Tensor& x, double negative_slope = 0.01);
/// x where x > 0, else alpha (e^x - 1) (Clevert et al., 2016). The gradient at 0 is alpha.
[[nodiscard]] Tensor elu(const Tensor& x, double alpha = 1.0);
/// scale * elu(x, alpha) with alpha = 1.6732632423543772 and scale = 1.0507009873554805, which keep mean 0 and variance
/// 1 from layer to layer (Klambauer et al., "Self-normalizing neural networks", 2017). The gradient at 0 is scale *
/// alpha.
[[nodiscard]] Tensor selu(const Tensor& x);
/// x where x > 0, else alpha (e^(x / alpha) - 1) (Barron, 2017). Throws ValueError for an alpha of 0.
[[nodiscard]] Tensor celu(const Tensor& x, double alpha = 1.0);
/// x where x > 0, else weight * x (He et al., "Delving deep into rectifiers", 2015). weight: [1] (or a scalar), or [C]
/// for the channels of axis 1 of x, of x's dtype; both get gradients. The gradient of x at 0 is weight. Throws
/// ShapeError, DTypeError for another weight.
[[nodiscard]] Tensor prelu(const Tensor& x, const Tensor& weight);

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
/// x tanh(log(1 + e^x)) (Misra, "Mish", 2019).
[[nodiscard]] Tensor mish(const Tensor& x);
/// x / (1 + |x|).
[[nodiscard]] Tensor softsign(const Tensor& x);
/// x - tanh(x).
[[nodiscard]] Tensor tanhshrink(const Tensor& x);
/// x where |x| > lambd, else 0. The gradient at lambd, -lambd and NaN is 0, here and below.
[[nodiscard]] Tensor hardshrink(const Tensor& x, double lambd = 0.5);
/// x - lambd above lambd, x + lambd below -lambd, 0 between. Throws ValueError unless lambd >= 0.
[[nodiscard]] Tensor softshrink(const Tensor& x, double lambd = 0.5);
/// x where x > threshold, else value; NaN stays. The gradient at the threshold is 0.
[[nodiscard]] Tensor threshold(const Tensor& x, double threshold, double value);
/// min(max(x + 3, 0), 6) / 6. The gradient at -3 and 3 is 0.
[[nodiscard]] Tensor hardsigmoid(const Tensor& x);
/// x min(max(x + 3, 0), 6) / 6 (Howard et al., "MobileNetV3", 2019). The gradient is x / 3 + 1/2 from -3 to 3, both
/// included.
[[nodiscard]] Tensor hardswish(const Tensor& x);
/// log(1 + e^(beta x)) / beta; x itself where beta x > threshold. Throws ValueError for a beta of 0.
[[nodiscard]] Tensor softplus(const Tensor& x, double beta = 1.0, double threshold = 20.0);

/// a sigmoid(b) where a is the first half of x along an axis and b the second (Dauphin et al., "Gated convolutional
/// networks", 2017). The size along the axis must be even (ShapeError); it is halved.
[[nodiscard]] Tensor glu(const Tensor& x, int64_t axis = -1);

/// silu(gate) * up, in one pass each way: the gated unit of llama's feed-forward (Shazeer, "GLU variants", 2020). gate
/// and up: same shape and dtype (ShapeError, DTypeError otherwise).
[[nodiscard]] Tensor swiglu(const Tensor& gate, const Tensor& up);
/// relu(a + b), in one pass each way: the end of a residual block. a and b: same shape and dtype (ShapeError,
/// DTypeError otherwise).
[[nodiscard]] Tensor add_relu(const Tensor& a, const Tensor& b);

}  // namespace tern
