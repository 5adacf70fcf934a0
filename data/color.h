// Changes of brightness, contrast, saturation and hue, as torchvision defines them on float images.
#pragma once

#include <cstdint>

namespace tern::data {

// Each works in place on planes of n pixels with values in [0, 1], [channels, n], and cuts its results to [0, 1].
// Nothing is checked.

/// v * factor
void adjust_brightness(float* image, int64_t channels, int64_t n, double factor);
/// factor * v + (1 - factor) * m, m the mean grey of the image (unless of 3 channels: the mean of all)
void adjust_contrast(float* image, int64_t channels, int64_t n, double factor);
/// factor * v + (1 - factor) * grey, grey = 0.2989 r + 0.587 g + 0.114 b; 3 channels
void adjust_saturation(float* image, int64_t n, double factor);
/// Turns the hue by `shift` of a full circle; 3 channels
void adjust_hue(float* image, int64_t n, double shift);

}  // namespace tern::data
