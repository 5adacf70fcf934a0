// Weighted sums of the pixels of an image, one axis' weights times the other's: interpolation, padding by reflection,
// and the transposes of both.
#pragma once

#include <tern/core/kernels/pool.h>

namespace tern {

/// For each output position i of an axis the input positions it sees: index[k] with weight[k], k from begin[i] to
/// begin[i + 1].
struct ResampleAxis {
  const int64_t* begin = nullptr;
  const int64_t* index = nullptr;
  const double* weight = nullptr;
};

}  // namespace tern

TERN_DECLARE_KERNELS(
    /// y[n, c, i, j] = sum over the positions u of row i and v of column j of their weights' product times
    /// x[n, c, u, v], in order; x and y as `images` says.
    template <class T>
    void resample(const PoolImages& images, const ResampleAxis& rows, const ResampleAxis& columns, const T* x, T* y);)
