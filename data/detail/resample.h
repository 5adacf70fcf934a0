// Scaling images with a separable filter. Not part of the public interface.
#pragma once

#include <cstdint>
#include <vector>

#include <tern/data/transforms.h>

namespace tern::data::detail {

/// in: [channels, in_height, in_width], u8 or float; out: [channels, height, width]. Weights are those of the filter
/// around each output pixel, widened where the image shrinks, and sum to 1; columns first, then rows, in f32.
template <class T>
void resample(const T* in, int64_t channels, int64_t in_height, int64_t in_width, Interpolation interpolation,
              int64_t height, int64_t width, std::vector<float>& out);

}  // namespace tern::data::detail
