#include "data/image_writer.h"

#define STB_IMAGE_WRITE_IMPLEMENTATION
#define STB_IMAGE_WRITE_STATIC
#define STBI_WRITE_NO_STDIO
#include <stb/stb_image_write.h>

namespace tern::test {
namespace {

void append(void* out, void* data, int size) {
  static_cast<std::string*>(out)->append(static_cast<const char*>(data), static_cast<size_t>(size));
}

}  // namespace

std::string png_of(const std::vector<uint8_t>& pixels, int width, int height, int channels) {
  std::string out;
  stbi_write_png_to_func(append, &out, width, height, channels, pixels.data(), width * channels);
  return out;
}
std::string bmp_of(const std::vector<uint8_t>& pixels, int width, int height, int channels) {
  std::string out;
  stbi_write_bmp_to_func(append, &out, width, height, channels, pixels.data());
  return out;
}
std::string jpg_of(const std::vector<uint8_t>& pixels, int width, int height, int channels, int quality) {
  std::string out;
  stbi_write_jpg_to_func(append, &out, width, height, channels, pixels.data(), quality);
  return out;
}

}  // namespace tern::test
