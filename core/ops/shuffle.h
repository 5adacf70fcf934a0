// Channels into pixels and back, and channels among groups.
#pragma once

#include <cstdint>

#include <tern/core/tensor.h>

namespace tern {

// x: [N, C, H, W], any dtype; differentiable for floating ones. Results are row-major copies. All throw ShapeError for
// shapes that do not divide, ValueError for a number below 1.

/// Each run of factor^2 channels becomes a square of pixels (Shi et al., 2016): [N, C, H factor, W factor] from
/// [N, C factor^2, H, W], with y[n, c, i factor + u, j factor + v] = x[n, (c factor + u) factor + v, i, j].
[[nodiscard]] Tensor pixel_shuffle(const Tensor& x, int64_t factor);

/// The inverse of pixel_shuffle: [N, C factor^2, H / factor, W / factor].
[[nodiscard]] Tensor pixel_unshuffle(const Tensor& x, int64_t factor);

/// Channel k of group g becomes channel k groups + g (Zhang et al., ShuffleNet, 2017).
[[nodiscard]] Tensor channel_shuffle(const Tensor& x, int64_t groups);

}  // namespace tern
