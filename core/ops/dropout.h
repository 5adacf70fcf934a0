// Random omission in training. The numbers come from the default generator (random.h): which elements are dropped
// depends on its state alone, and the backward draws them again instead of keeping a mask.
#pragma once

#include <tern/core/tensor.h>

namespace tern {

/// In training: each element is 0 with probability p, else x / (1 - p) (Srivastava et al., 2014). Otherwise, and for
/// p = 0, x itself. x: any shape, f32 or f64 (DTypeError); keeps its memory format. Throws ValueError unless 0 <= p
/// <= 1.
[[nodiscard]] Tensor dropout(const Tensor& x, double p = 0.5, bool training = true);

/// The same for whole channels, x[n, c, ...], as torch.nn.functional.dropout2d (Tompson et al., 2015): neighbouring
/// pixels of a feature map are too much alike to be dropped one by one. x: [N, C, ...] (ShapeError).
[[nodiscard]] Tensor dropout2d(const Tensor& x, double p = 0.5, bool training = true);

/// Stochastic depth (Huang et al., 2016): the same for whole samples, x[i, ...] for each i of axis 0. x: at least one
/// axis (ShapeError).
[[nodiscard]] Tensor drop_path(const Tensor& x, double p = 0, bool training = true);

}  // namespace tern
