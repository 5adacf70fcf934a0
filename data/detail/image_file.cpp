#include <tern/core/error.h>
#include <tern/data/detail/image_file.h>

namespace tern::data::detail {
namespace {

constexpr const char* kOp = "decode_image";

// No file of these formats holds more pixels a byte: deflate packs at most 1032 to 1, and a pixel has at least one bit.
constexpr int64_t kMaxPixelsPerByte = 1032 * 8;

}  // namespace

Tensor ImageFile::canvas(int64_t width, int64_t height) const {
  TERN_CHECK(width > 0 && height > 0 && width <= limits.max_pixels / height, FormatError, "[", kOp,
             "] expected an image of 1 to ", limits.max_pixels, " pixels in '", name, "', got ", width, " x ", height);
  const auto size = static_cast<int64_t>(bytes.size());
  TERN_CHECK(width * height / kMaxPixelsPerByte <= size, FormatError, "[", kOp, "] expected the pixels of a ", width,
             " x ", height, " image in '", name, "', got a file of only ", size, " bytes");
  return empty({3, height, width}, DType::kU8);
}

void ImageFile::throw_damaged(std::string_view reason) const {
  throw FormatError(concat("[", kOp, "] expected a whole image in '", name, "', got a damaged one (", reason, ")"));
}

void ImageFile::throw_unsupported(std::string_view wanted, std::string_view found) const {
  throw FormatError(concat("[", kOp, "] expected ", wanted, " in '", name, "', got ", found));
}

void ImageFile::throw_no_memory() const {
  throw MemoryError(concat("[", kOp, "] expected memory to decode '", name, "', got none"));
}

void put_rgb(const uint8_t* samples, uint8_t* out, size_t width, size_t plane) {
  uint8_t *red = out, *green = red + plane, *blue = green + plane;
  for (size_t x = 0; x < width; ++x, samples += 3) {
    red[x] = samples[0];
    green[x] = samples[1];
    blue[x] = samples[2];
  }
}

}  // namespace tern::data::detail
