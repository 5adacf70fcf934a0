// The only user of stb_image.
#include <algorithm>
#include <climits>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace {

// stb_image asks for as much as a damaged or hostile file says, in places (the length of a chunk, what a stream
// inflates to), so it gets no block larger than this. decode_image sets it from the sizes of the file and of the image.
thread_local size_t largest_block = 0;

// Zeros: what the scans of a damaged JPEG leave out, tables or pixels, is taken from the memory as it was allocated.
void* limited_malloc(size_t bytes) {
  return bytes <= largest_block ? std::calloc(1, bytes) : nullptr;
}
void* limited_realloc(void* block, size_t bytes) {
  return bytes <= largest_block ? std::realloc(block, bytes) : nullptr;
}

}  // namespace

#define STBI_MALLOC(bytes) limited_malloc(bytes)
#define STBI_REALLOC(block, bytes) limited_realloc(block, bytes)
#define STBI_FREE(block) std::free(block)
// A damaged JPEG can break one of its assertions, about a code; what a wrong one decodes to are only pixels.
#define STBI_ASSERT(condition) static_cast<void>(0)

#define STB_IMAGE_IMPLEMENTATION
#define STB_IMAGE_STATIC
#define STBI_NO_STDIO
#define STBI_NO_LINEAR
#define STBI_NO_HDR
#define STBI_ONLY_PNG
#define STBI_ONLY_JPEG
#define STBI_ONLY_BMP
#include <stb/stb_image.h>

#include <tern/core/error.h>
#include <tern/data/image_folder.h>

namespace tern::data {
namespace {

// No file of these formats holds more pixels a byte: deflate packs at most 1032 to 1, and a pixel has at least one bit.
constexpr int64_t kMaxPixelsPerByte = 1032 * 8;

// What decoding needs in one block: the file twice (its data, gathered in a buffer that doubles), or the pixels, of at
// most four samples of two bytes and a byte before each row, in a buffer that doubles likewise, or two bytes for each
// pixel of one colour in whole squares of a JPEG; and the tables of a decoder.
constexpr int64_t kBytesPerPixel = 2 * 4 * 2, kBytesPerRow = 2, kSquare = 32, kTables = int64_t{1} << 20;
size_t block_limit(int64_t file_bytes, int64_t width, int64_t height, bool jpeg) {
  const int64_t squares = jpeg ? 2 * (width + kSquare) * (height + kSquare) : 0;
  const int64_t rows = kBytesPerPixel * width * height + kBytesPerRow * height;
  return static_cast<size_t>(2 * file_bytes + std::max(rows, squares) + kTables);
}

std::string reason() {
  const char* text = stbi_failure_reason();
  return text == nullptr ? "unknown" : text;
}

// Width and height as the header of a PNG gives them, 0 for other files. stb_image calls a PNG that it finds too large
// an unknown type, so its size is looked at before.
struct PngSize {
  int64_t width = 0, height = 0;
};
PngSize png_size(std::span<const std::byte> bytes) {
  constexpr uint8_t kStart[] = {0x89, 'P', 'N', 'G', '\r', '\n', 0x1a, '\n', 0, 0, 0, 13, 'I', 'H', 'D', 'R'};
  if (bytes.size() < sizeof kStart + 8 || std::memcmp(bytes.data(), kStart, sizeof kStart) != 0) return {};
  const auto big_endian = [&](size_t at) {
    int64_t v = 0;
    for (size_t i = at; i < at + 4; ++i) v = v << 8 | std::to_integer<int64_t>(bytes[i]);
    return v;
  };
  return {big_endian(sizeof kStart), big_endian(sizeof kStart + 4)};
}

// What stb_image does not look at in a JPEG: whether a Huffman table has more than the 256 codes that the format
// allows, for which it has room, and whether there is a scan at all. Found where it finds them: segment after segment
// by their lengths, and by their markers after the data of a scan.
struct JpegFacts {
  bool jpeg = false;
  int64_t most_codes = 0;  // of any Huffman table
  int64_t scans = 0;
};
JpegFacts jpeg_facts(std::span<const std::byte> bytes) {
  JpegFacts facts;
  const auto byte = [&](size_t at) { return at < bytes.size() ? std::to_integer<unsigned>(bytes[at]) : 0U; };
  size_t start = 0;
  while (byte(start) == 0xFF) ++start;  // a marker may have any number of fill bytes in front
  facts.jpeg = start > 0 && byte(start) == 0xD8;
  if (!facts.jpeg) return facts;
  for (size_t at = start + 1; at + 1 < bytes.size();) {
    if (byte(at) != 0xFF || byte(at + 1) == 0xFF || byte(at + 1) == 0) {
      ++at;  // padding, fill bytes, or the data of a scan
      continue;
    }
    const unsigned marker = byte(at + 1);
    at += 2;
    if (marker == 0xD9) break;                                           // end of image
    if ((marker >= 0xD0 && marker <= 0xD8) || marker == 0x01) continue;  // markers without a segment
    const int64_t length = byte(at) << 8 | byte(at + 1);
    if (marker == 0xDA) ++facts.scans;
    if (marker == 0xC4) {  // a segment of tables: class, counts of the 16 lengths, values
      size_t table = at + 2;
      for (int64_t left = length - 2; left > 0 && table < bytes.size();) {
        int64_t codes = 0;
        for (size_t i = 1; i <= 16; ++i) codes += byte(table + i);
        facts.most_codes = std::max(facts.most_codes, codes);
        table += 17 + static_cast<size_t>(codes);
        left -= 17 + codes;
      }
    }
    at += static_cast<size_t>(std::max<int64_t>(length, 2));
  }
  return facts;
}

}  // namespace

Tensor decode_image(std::span<const std::byte> bytes, const std::string& name, const ImageLimits& limits) {
  constexpr const char* kOp = "decode_image";
  const auto size = static_cast<int64_t>(bytes.size());
  TERN_CHECK(size <= limits.max_file_bytes && size <= INT_MAX, FormatError, "[", kOp, "] expected at most ",
             limits.max_file_bytes, " bytes in '", name, "', got ", size);
  const auto* data = reinterpret_cast<const stbi_uc*>(bytes.data());
  const auto check_pixels = [&](int64_t w, int64_t h) {
    TERN_CHECK(w > 0 && h > 0 && w <= limits.max_pixels / h, FormatError, "[", kOp, "] expected an image of 1 to ",
               limits.max_pixels, " pixels in '", name, "', got ", w, " x ", h);
  };
  if (const auto [w, h] = png_size(bytes); w > 0 && h > 0) check_pixels(w, h);
  const JpegFacts facts = jpeg_facts(bytes);
  TERN_CHECK(facts.most_codes <= 256, FormatError, "[", kOp, "] expected Huffman tables of at most 256 codes in '",
             name, "', got ", facts.most_codes);
  int width = 0, height = 0, channels = 0;
  largest_block = block_limit(size, 0, 0, facts.jpeg);
  TERN_CHECK(stbi_info_from_memory(data, static_cast<int>(size), &width, &height, &channels) != 0, FormatError, "[",
             kOp, "] expected a PNG, JPEG or BMP image in '", name, "', got other content (", reason(), ")");
  TERN_CHECK(!facts.jpeg || facts.scans > 0, FormatError, "[", kOp, "] expected a whole image in '", name,
             "', got a JPEG without a scan");
  if (height < 0 && height > INT_MIN) height = -height;  // a BMP whose rows go from top to bottom
  const int64_t pixels = int64_t{width} * height;
  check_pixels(width, height);
  TERN_CHECK(pixels <= size * kMaxPixelsPerByte, FormatError, "[", kOp, "] expected the pixels of a ", width, " x ",
             height, " image in '", name, "', got a file of only ", size, " bytes");
  largest_block = block_limit(size, width, height, facts.jpeg);
  int decoded_width = 0, decoded_height = 0;
  const std::unique_ptr<stbi_uc, void (*)(void*)> interleaved(
      stbi_load_from_memory(data, static_cast<int>(size), &decoded_width, &decoded_height, &channels, 3),
      stbi_image_free);
  TERN_CHECK(interleaved != nullptr && decoded_width == width && decoded_height == height, FormatError, "[", kOp,
             "] expected a whole image in '", name, "', got a damaged one (", reason(), ")");
  Tensor out = empty({3, height, width}, DType::kU8);
  uint8_t* planes = out.data<uint8_t>();
  for (int64_t i = 0; i < pixels; ++i)
    for (int64_t c = 0; c < 3; ++c) planes[c * pixels + i] = interleaved.get()[i * 3 + c];
  return out;
}

}  // namespace tern::data
