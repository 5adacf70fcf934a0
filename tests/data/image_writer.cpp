#include "data/image_writer.h"

#include <cstdio>
#include <cstdlib>
#include <stdexcept>

#include <jpeglib.h>
#include <png.h>

namespace tern::test {
namespace {

std::string big_endian(uint32_t v) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) out += static_cast<char>(v >> shift & 255);
  return out;
}

}  // namespace

std::string png_of(const std::vector<uint8_t>& pixels, int width, int height, int channels) {
  constexpr png_uint_32 kFormats[] = {PNG_FORMAT_GRAY, PNG_FORMAT_GA, PNG_FORMAT_RGB, PNG_FORMAT_RGBA};
  png_image header = {};
  header.version = PNG_IMAGE_VERSION;
  header.width = static_cast<png_uint_32>(width);
  header.height = static_cast<png_uint_32>(height);
  header.format = kFormats[channels - 1];
  png_alloc_size_t bytes = PNG_IMAGE_PNG_SIZE_MAX(header);
  std::string out(bytes, '\0');
  if (png_image_write_to_memory(&header, out.data(), &bytes, 0, pixels.data(), 0, nullptr) == 0)
    throw std::runtime_error(header.message);
  out.resize(bytes);
  return out;
}

std::string bmp_of(const std::vector<uint8_t>& pixels, int width, int height, int channels) {
  const auto number = [](int v, int count) {
    std::string out;
    for (int i = 0; i < count; ++i) out += static_cast<char>(v >> (8 * i) & 255);
    return out;
  };
  std::string rows;
  for (int y = height - 1; y >= 0; --y) {
    for (int x = 0; x < width; ++x)
      for (int c = 2; c >= 0; --c)
        rows += static_cast<char>(pixels[static_cast<size_t>((y * width + x) * channels + (channels >= 3 ? c : 0))]);
    rows.resize((rows.size() + 3) / 4 * 4);
  }
  return "BM" + number(54 + static_cast<int>(rows.size()), 4) + number(0, 4) + number(54, 4) + number(40, 4) +
         number(width, 4) + number(height, 4) + number(1, 2) + number(24, 2) + std::string(24, '\0') + rows;
}

std::string jpg_of(const std::vector<uint8_t>& pixels, int width, int height, int channels, int quality) {
  const int kept = channels >= 3 ? 3 : 1;  // without alpha
  jpeg_compress_struct info;
  jpeg_error_mgr errors;
  info.err = jpeg_std_error(&errors);
  jpeg_create_compress(&info);
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  jpeg_mem_dest(&info, &bytes, &size);
  info.image_width = static_cast<JDIMENSION>(width);
  info.image_height = static_cast<JDIMENSION>(height);
  info.input_components = kept;
  info.in_color_space = kept == 3 ? JCS_RGB : JCS_GRAYSCALE;
  jpeg_set_defaults(&info);
  jpeg_set_quality(&info, quality, TRUE);
  jpeg_start_compress(&info, TRUE);
  std::vector<uint8_t> row(static_cast<size_t>(width * kept));
  for (int y = 0; y < height; ++y) {
    for (int i = 0; i < width * kept; ++i)
      row[static_cast<size_t>(i)] = pixels[static_cast<size_t>((y * width + i / kept) * channels + i % kept)];
    JSAMPROW start = row.data();
    jpeg_write_scanlines(&info, &start, 1);
  }
  jpeg_finish_compress(&info);
  std::string out(reinterpret_cast<const char*>(bytes), size);
  jpeg_destroy_compress(&info);
  std::free(bytes);
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
