// Encoded images for tests.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace tern::test {

/// pixels: [height, width, channels] in rows: grey, grey and alpha, colour, or colour and alpha, which only PNG keeps.
/// Returns the bytes of the file.
std::string png_of(const std::vector<uint8_t>& pixels, int width, int height, int channels);
std::string bmp_of(const std::vector<uint8_t>& pixels, int width, int height, int channels);
std::string jpg_of(const std::vector<uint8_t>& pixels, int width, int height, int channels, int quality);

/// A chunk of a PNG with its length and its sum.
std::string png_chunk(const std::string& type, const std::string& data);
/// A zlib stream that holds the data as they are.
std::string zlib_stored(const std::string& data);
/// The start of a PNG and its IHDR. kind: 0 grey, 2 colour, 3 palette, 4 grey and alpha, 6 colour and alpha.
std::string png_head(int width, int height, int depth, int kind, bool interlaced = false);

}  // namespace tern::test
