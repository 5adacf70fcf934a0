// Fused paths over children. Each computes what its composition of simple calls computes, up to rounding, and takes the fused kernel
// only where every child it covers is exactly the expected type and has no hook; a replaced or watched child is called as usual.
// Quantizers are never bypassed: the effective weights are read.
#pragma once

#include <tern/core/tensor.h>
#include <tern/nn/batch_norm.h>
#include <tern/nn/child.h>

namespace tern::nn {

/// relu(bn(x) + residual); without `residual` just relu(bn(x)), without `activate` no ReLU. x: [N, C, H, W]; residual: x's shape.
Tensor bn_act(const Child<BatchNorm2d>& bn, const Tensor& x, const Tensor& residual = {}, bool activate = true);

/// The composition that bn_act is compared with.
Tensor bn_act_reference(const Child<BatchNorm2d>& bn, const Tensor& x, const Tensor& residual = {}, bool activate = true);

}  // namespace tern::nn
