// Encoded images for tests.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tern::test {

/// pixels: [height, width, channels] in rows. Returns the bytes of the file.
std::string png_of(const std::vector<uint8_t>& pixels, int width, int height, int channels);
std::string bmp_of(const std::vector<uint8_t>& pixels, int width, int height, int channels);
std::string jpg_of(const std::vector<uint8_t>& pixels, int width, int height, int channels, int quality);

}  // namespace tern::test
