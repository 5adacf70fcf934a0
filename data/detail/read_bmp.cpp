#include <algorithm>
#include <array>
#include <bit>
#include <cstring>
#include <vector>

#include <tern/core/error.h>
#include <tern/core/io/bytes.h>
#include <tern/core/ops/create.h>
#include <tern/data/detail/read_bmp.h>

namespace tern::data::detail {
namespace {

enum Compression : uint32_t { kNone = 0, kRle8 = 1, kRle4 = 2, kMasks = 3, kJpeg = 4, kPng = 5, kMasksWithAlpha = 6 };
constexpr uint32_t kFileHeader = 14, kCoreHeader = 12, kInfoHeader = 40, kOs2Header = 64;

using Colour = std::array<uint8_t, 3>;

// The value of a mask's bits, scaled to 0 to 255 and cut.
class Channel {
 public:
  explicit Channel(uint32_t mask) : mask_(mask), shift_(std::countr_zero(mask)), most_(mask >> shift_) {}
  uint8_t of(uint32_t pixel) const { return static_cast<uint8_t>(uint64_t{(pixel & mask_) >> shift_} * 255 / most_); }

 private:
  uint32_t mask_;
  int shift_;
  uint32_t most_;
};

class BmpReader {
 public:
  explicit BmpReader(const ImageFile& file) : file_(file), reader_("decode_image", file.name, file.bytes) {}
  Tensor read();

 private:
  void read_header();
  void check_kind(uint32_t header_bytes);
  void read_masks(uint32_t header_bytes, std::span<const std::byte> header);
  void read_palette(bool core, uint32_t colours);
  void read_indexed(uint8_t* planes) const;
  void read_direct(uint8_t* planes) const;
  Tensor unpack_runs() const;

  bool indexed() const { return bits_ <= 8; }
  bool in_runs() const { return compression_ == kRle8 || compression_ == kRle4; }
  size_t stride() const { return static_cast<size_t>((width_ * bits_ + 31) / 32 * 4); }
  // The bytes of a row of the image, without those that fill it up; rows count from the top.
  const uint8_t* row(int64_t y) const {
    const auto stored = static_cast<size_t>(top_down_ ? y : height_ - 1 - y);
    return reinterpret_cast<const uint8_t*>(file_.bytes.data()) + pixels_at_ + stored * stride();
  }
  const Colour& colour(size_t index) const {
    if (index >= palette_.size()) file_.throw_damaged("a colour that the palette lacks");
    return palette_[index];
  }

  const ImageFile& file_;
  io::ByteReader reader_;
  int64_t width_ = 0, height_ = 0;
  bool top_down_ = false;
  int64_t bits_ = 0;
  uint32_t compression_ = kNone;
  std::array<uint32_t, 3> masks_ = {};
  std::vector<Colour> palette_;
  size_t pixels_at_ = 0;
};

template <class T>
T number_at(std::span<const std::byte> bytes, size_t offset) {
  T v;
  std::memcpy(&v, bytes.data() + offset, sizeof v);
  return v;
}

// What the header's size and its fields say of how the pixels are stored; what is not read is named.
void BmpReader::check_kind(uint32_t header_bytes) {
  // Headers of OS/2 2 may end after any field, and its compressions have numbers that Windows gave to others.
  const bool windows = header_bytes == kInfoHeader || header_bytes == 52 || header_bytes == 56 || header_bytes == 108 ||
                       header_bytes == 124;
  const bool os2 = header_bytes >= 16 && header_bytes <= kOs2Header && !windows;
  if (!windows && !os2 && header_bytes != kCoreHeader)
    file_.throw_unsupported("a BMP with a header of 12, 16 to 64, 108 or 124 bytes", concat("one of ", header_bytes));
  const char* wanted = "a BMP without compression, with runs (RLE4, RLE8) or with masks";
  if (compression_ == kMasks && bits_ == 1) file_.throw_unsupported(wanted, "one with Huffman codes");
  if (compression_ == kJpeg && (os2 || bits_ == 24))
    file_.throw_unsupported(wanted, "one with runs of 24 bits (RLE24)");
  if (compression_ == kJpeg) file_.throw_unsupported(wanted, "one that wraps a JPEG");
  if (compression_ == kPng) file_.throw_unsupported(wanted, "one that wraps a PNG");
  if (compression_ > kMasksWithAlpha || (os2 && compression_ > kRle4))
    file_.throw_unsupported(wanted, concat("one with compression ", compression_));
  const bool known = bits_ == 1 || bits_ == 2 || bits_ == 4 || bits_ == 8 || bits_ == 16 || bits_ == 24 || bits_ == 32;
  if (!known) file_.throw_unsupported("a BMP of 1, 2, 4, 8, 16, 24 or 32 bits a pixel", concat("one of ", bits_));
  const bool fits = compression_ == kNone || (compression_ == kRle8 && bits_ == 8) ||
                    (compression_ == kRle4 && bits_ == 4) || (compression_ >= kMasks && bits_ > 8);
  if (!fits) file_.throw_damaged(concat("compression ", compression_, " of ", bits_, " bits a pixel"));
}

void BmpReader::read_header() {
  reader_.take(10, "a BMP's file header");
  pixels_at_ = reader_.read<uint32_t>("where a BMP's pixels begin");
  const auto header_bytes = reader_.read<uint32_t>("the size of a BMP's header");
  std::array<std::byte, 124> fields = {};  // those that a short header lacks are 0
  const size_t rest = header_bytes < 4 ? 0 : std::min<size_t>(header_bytes, fields.size()) - 4;
  const auto stored = reader_.take(rest, "a BMP's header");
  std::copy(stored.begin(), stored.end(), fields.begin() + 4);
  const std::span<const std::byte> header(fields);
  const bool core = header_bytes == kCoreHeader;
  uint32_t colours = 0;
  if (core) {
    width_ = number_at<uint16_t>(header, 4);
    height_ = number_at<uint16_t>(header, 6);
    bits_ = number_at<uint16_t>(header, 10);
  } else {
    width_ = number_at<int32_t>(header, 4);
    height_ = number_at<int32_t>(header, 8);
    bits_ = number_at<uint16_t>(header, 14);
    compression_ = number_at<uint32_t>(header, 16);
    colours = number_at<uint32_t>(header, 32);
  }
  check_kind(header_bytes);
  const auto planes = number_at<uint16_t>(header, core ? 8 : 12);
  if (planes != 1) file_.throw_damaged(concat(planes, " planes"));
  top_down_ = height_ < 0;
  if (top_down_) height_ = -height_;
  if (bits_ > 8) read_masks(header_bytes, header);
  if (indexed()) read_palette(core, colours);
  if (pixels_at_ == 0) pixels_at_ = reader_.offset();
  if (pixels_at_ < reader_.offset()) file_.throw_damaged("pixels that begin within the header");
}

void BmpReader::read_masks(uint32_t header_bytes, std::span<const std::byte> header) {
  const auto usual =
      bits_ == 16 ? std::array<uint32_t, 3>{0x7C00, 0x3E0, 0x1F} : std::array<uint32_t, 3>{0xFF0000, 0xFF00, 0xFF};
  masks_ = usual;
  if (compression_ == kNone) return;
  for (size_t c = 0; c < 3; ++c)
    masks_[c] = header_bytes > kInfoHeader ? number_at<uint32_t>(header, kInfoHeader + 4 * c)
                                           : reader_.read<uint32_t>("a BMP's masks");
  if (header_bytes == kInfoHeader && compression_ == kMasksWithAlpha) reader_.take(4, "a BMP's masks");
  if (masks_ == std::array<uint32_t, 3>{}) masks_ = usual;
  uint32_t taken = 0;
  for (const uint32_t mask : masks_) {
    const uint32_t run = mask == 0 ? 0 : mask >> std::countr_zero(mask);
    const bool whole = run != 0 && (run & (run + 1)) == 0 && (taken & mask) == 0 && uint64_t{mask} >> bits_ == 0;
    if (!whole) file_.throw_damaged("masks of colours that are empty, in pieces or overlap");
    taken |= mask;
  }
}

// Reads what of the palette there is before the pixels. Files may say that it is longer than they need.
void BmpReader::read_palette(bool core, uint32_t colours) {
  const size_t entry = core ? 3 : 4, start = reader_.offset();
  if (uint64_t{colours} * entry > file_.bytes.size()) file_.throw_damaged(concat("a palette of ", colours, " colours"));
  if (colours == 0) colours = 1U << bits_;
  // Some programs forget the palette in saying where the pixels begin.
  if (pixels_at_ == 0 || pixels_at_ == start) pixels_at_ = start + colours * entry;
  if (pixels_at_ < start) file_.throw_damaged("pixels that begin within the header");
  const size_t count = std::min({static_cast<size_t>(colours), (pixels_at_ - start) / entry, size_t{1} << bits_});
  palette_.resize(count);
  for (Colour& colour : palette_) {
    const auto stored = reader_.take(entry, "a BMP's palette");
    for (size_t c = 0; c < 3; ++c) colour[c] = std::to_integer<uint8_t>(stored[2 - c]);
  }
}

// The index of each pixel, rows from the bottom, or from the top where the header says so. Where codes leave pixels
// out, they are 0.
Tensor BmpReader::unpack_runs() const {
  const auto width = static_cast<size_t>(width_), height = static_cast<size_t>(height_);
  const bool half = compression_ == kRle4;
  Tensor unpacked = zeros({height_, width_}, DType::kU8);
  uint8_t* const indices = unpacked.data<uint8_t>();
  size_t x = 0, y = 0, at = pixels_at_;
  const auto next = [&]() -> unsigned {
    if (at >= file_.bytes.size()) file_.throw_damaged("its runs end early");
    return std::to_integer<unsigned>(file_.bytes[at++]);
  };
  const auto check_room = [&](size_t count) {
    if (y >= height || count > width - x) file_.throw_damaged("a run beyond the end of its row");
  };
  while (true) {
    // The mark of the end may be missing.
    if (at == file_.bytes.size() && (y == height || (y == height - 1 && x == width))) break;
    const unsigned count = next(), code = next();
    if (count > 0) {
      check_room(count);
      for (unsigned i = 0; i < count; ++i)
        indices[y * width + x++] = static_cast<uint8_t>(half ? (i % 2 == 0 ? code >> 4 : code & 15) : code);
    } else if (code == 0) {
      x = 0;
      if (++y > height) file_.throw_damaged("too many rows");
    } else if (code == 1) {
      break;
    } else if (code == 2) {
      x += next();
      y += next();
      if (x > width || y > height) file_.throw_damaged("a jump out of the image");
    } else {  // that many pixels as they are, in pairs of bytes
      check_room(code);
      const size_t bytes = half ? (code + 1) / 2 : code;
      unsigned pair = 0;
      for (unsigned i = 0; i < code; ++i) {
        if (!half || i % 2 == 0) pair = next();
        indices[y * width + x++] = static_cast<uint8_t>(half ? (i % 2 == 0 ? pair >> 4 : pair & 15) : pair);
      }
      if (bytes % 2 != 0) next();
    }
  }
  return unpacked;
}

void BmpReader::read_indexed(uint8_t* planes) const {
  const auto width = static_cast<size_t>(width_), height = static_cast<size_t>(height_), pixels = width * height;
  const Tensor unpacked = in_runs() ? unpack_runs() : Tensor();
  const uint8_t* const runs = in_runs() ? unpacked.data<uint8_t>() : nullptr;
  const auto bits = static_cast<size_t>(bits_), per_byte = 8 / bits;
  for (size_t y = 0; y < height; ++y) {
    const uint8_t* packed = in_runs() ? runs + (top_down_ ? y : height - 1 - y) * width : row(static_cast<int64_t>(y));
    for (size_t x = 0; x < width; ++x) {
      const size_t index =
          in_runs() ? packed[x] : packed[x / per_byte] >> (8 - bits * (x % per_byte + 1)) & ((1U << bits) - 1);
      const Colour& rgb = colour(index);
      for (size_t c = 0; c < 3; ++c) planes[c * pixels + y * width + x] = rgb[c];
    }
  }
}

void BmpReader::read_direct(uint8_t* planes) const {
  const auto width = static_cast<size_t>(width_), height = static_cast<size_t>(height_), pixels = width * height;
  const auto bytes = static_cast<size_t>(bits_ / 8);
  const std::array<Channel, 3> channels{Channel(masks_[0]), Channel(masks_[1]), Channel(masks_[2])};
  for (size_t y = 0; y < height; ++y) {
    const uint8_t* in = row(static_cast<int64_t>(y));
    for (size_t x = 0; x < width; ++x, in += bytes) {
      uint32_t pixel = 0;
      for (size_t i = 0; i < bytes; ++i) pixel |= uint32_t{in[i]} << (8 * i);
      for (size_t c = 0; c < 3; ++c) planes[c * pixels + y * width + x] = channels[c].of(pixel);
    }
  }
}

Tensor BmpReader::read() {
  read_header();
  Tensor image = file_.canvas(width_, height_);
  if (!in_runs()) {
    // The last row need not be filled up.
    const uint64_t needed =
        pixels_at_ + stride() * static_cast<uint64_t>(height_ - 1) + static_cast<uint64_t>((width_ * bits_ + 7) / 8);
    if (needed > file_.bytes.size())
      file_.throw_damaged(concat("pixels up to byte ", needed, ", of which there are ", file_.bytes.size()));
  }
  if (indexed()) {
    read_indexed(image.data<uint8_t>());
  } else {
    read_direct(image.data<uint8_t>());
  }
  return image;
}

}  // namespace

Tensor read_bmp(const ImageFile& file) {
  return BmpReader(file).read();
}

}  // namespace tern::data::detail
