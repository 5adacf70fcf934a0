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

std::string big_endian(uint32_t v) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(v >> shift & 255);
  return out;
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

std::string png_chunk(const std::string& type, const std::string& data) {
  const std::string named = type + data;
  uint32_t sum = 0xffffffff;
  for (const char c : named) {
    sum ^= static_cast<uint8_t>(c);
    for (int bit = 0; bit < 8; ++bit) sum = sum >> 1 ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return big_endian(static_cast<uint32_t>(data.size())) + named + big_endian(~sum);
}
std::string zlib_stored(const std::string& data) {
  std::string out = "\x78\x01";
  uint32_t a = 1, b = 0;
  for (const char c : data) {
    a = (a + static_cast<uint8_t>(c)) % 65521;
    b = (b + a) % 65521;
  }
  const auto size = static_cast<uint16_t>(data.size());
  for (const int v : {1, size & 255, size >> 8, ~size & 255, (~size >> 8) & 255}) out += static_cast<char>(v);
  return out + data + big_endian(b << 16 | a);
}
std::string png_head(int width, int height, int depth, int kind, bool interlaced) {
  std::string header = big_endian(static_cast<uint32_t>(width)) + big_endian(static_cast<uint32_t>(height));
  for (const int v : {depth, kind, 0, 0, interlaced ? 1 : 0}) header += static_cast<char>(v);
  return "\x89PNG\r\n\x1a\n" + png_chunk("IHDR", header);
}

}  // namespace tern::test
