#include <tern/core/error.h>
#include <tern/core/ops/conv.h>
#include <tern/core/ops/conv1d.h>
#include <tern/core/ops/shape.h>

namespace tern {

Tensor conv1d(const Tensor& x, const Tensor& weight, const Tensor& bias, const Conv1dOptions& o) {
  check_defined("conv1d", x, weight);
  TERN_CHECK(x.dim() == 3, ShapeError, "[conv1d] expected an input of shape [N, C, L], got ", x.shape());
  TERN_CHECK(weight.dim() == 3, ShapeError,
             "[conv1d] expected a weight of shape [out_channels, in_channels / groups, k], got ", weight.shape());
  return squeeze(
      conv2d(unsqueeze(x, 2), unsqueeze(weight, 2), bias,
             {.stride = {1, o.stride}, .padding = {0, o.padding}, .dilation = {1, o.dilation}, .groups = o.groups}),
      2);
}

}  // namespace tern
