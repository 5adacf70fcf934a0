// Gradient clipping.
#pragma once

#include <vector>

#include <tern/core/tensor.h>

namespace tern::optim {

/// Settings of clip_grad_norm_.
struct ClipOptions {
  double norm_type = 2;             ///< 1, 2 or infinity
  bool error_if_nonfinite = false;  ///< throw NonFiniteError, gradients untouched, where the norm is NaN or infinite
};

/// Multiplies all gradients by min(1, max_norm / (norm + 1e-6)) and returns the norm before, that of all gradients as
/// one vector, summed in f64 in a fixed order. params: tensors of f32 or f64; those without gradient count for nothing.
/// As PyTorch's clip_grad_norm_: a norm that is NaN makes all gradients NaN. Throws ValueError for a max_norm below 0,
/// another norm_type or an undefined tensor (here and below), DTypeError for gradients of other dtypes.
double clip_grad_norm_(const std::vector<Tensor>& params, double max_norm, const ClipOptions& options = {});

/// The same norm of the gradients, without changing them.
[[nodiscard]] double grad_norm(const std::vector<Tensor>& params, double norm_type = 2);

/// Clamps every element of every gradient to [-clip_value, clip_value]; NaN stays. Throws ValueError below 0.
void clip_grad_value_(const std::vector<Tensor>& params, double clip_value);

}  // namespace tern::optim
