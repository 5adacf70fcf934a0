// Several children's work in one pass over memory. Each function gives what its composition of the children and simple
// operations gives, up to rounding, and falls back to that composition whenever a child was replaced by something else,
// is of a derived class, or has a hook: nothing that a caller put into a model is bypassed. Weights are read through
// their parametrizations.
#pragma once

#include <tern/core/ops/feed_forward.h>
#include <tern/core/ops/linear.h>
#include <tern/core/ops/norm.h>
#include <tern/nn/child.h>
#include <tern/nn/layers/batch_norm.h>
#include <tern/nn/layers/conv2d.h>
#include <tern/nn/layers/linear.h>
#include <tern/nn/layers/norms.h>

namespace tern::nn {

/// While one of these lives on this thread, the functions below take their compositions: for tests, and to find out
/// whether a fused path is to blame.
class NoFusionGuard {
 public:
  NoFusionGuard();
  ~NoFusionGuard();
  NoFusionGuard(const NoFusionGuard&) = delete;
  NoFusionGuard& operator=(const NoFusionGuard&) = delete;

 private:
  bool previous_;
};

/// False while a NoFusionGuard lives on this thread.
bool fusion_enabled();

/// relu(bn(x) + residual); without `residual` just relu(bn(x)), without `activate` no ReLU. x: [N, C, H, W], f32 or
/// f64; residual: of x's shape and dtype. Throws what the layer alone throws.
[[nodiscard]] Tensor bn_act(const Child<BatchNorm2d>& bn, const Tensor& x, const Tensor& residual = {},
                            bool activate = true);

/// relu(bn(conv(x)) + residual), each of residual and ReLU optional as above. Once fuse_for_inference has folded the
/// norm into the convolution this is tern::conv2d_act, which adds and cuts what it has just computed; before, it is
/// bn_act. x: [N, in_channels, H, W], f32 or f64; residual: of the result's shape. Throws what the layers alone throw.
[[nodiscard]] Tensor conv_bn_act(const Child<Conv2d>& conv, const Child<BatchNorm2d>& bn, const Tensor& x,
                                 const Tensor& residual = {}, bool activate = true);

/// activation(linear(x)): each block of the result gets its bias and activation while it is still in the caches.
/// x: [..., in_features], f32 or f64; the result is [..., out_features]. Throws what the layer alone throws.
[[nodiscard]] Tensor linear_act(const Child<Linear>& linear, const Tensor& x, Activation activation);

/// down(activation(up(x))), by blocks of rows: the values between the two layers are used while they are in the caches.
/// x: [..., up's in_features], f32 or f64; the result is [..., down's out_features]. Throws what the layers alone
/// throw.
[[nodiscard]] Tensor feed_forward(const Child<Linear>& up, const Child<Linear>& down, const Tensor& x,
                                  Activation activation);

/// {x + residual, norm(x + residual)}: the end of one residual branch and the start of the next. x: [..., width], f32
/// or f64. Throws what the norm alone throws, ShapeError for a residual of another shape than x's, DTypeError for one
/// of another dtype.
[[nodiscard]] ResidualNorm add_norm(const Child<LayerNorm>& norm, const Tensor& x, const Tensor& residual);
[[nodiscard]] ResidualNorm add_norm(const Child<RMSNorm>& norm, const Tensor& x, const Tensor& residual);

}  // namespace tern::nn
