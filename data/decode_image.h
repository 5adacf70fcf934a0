// Image files: PNG, JPEG and BMP.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>

#include <tern/core/tensor.h>

namespace tern::data {

/// What is refused before it is decoded.
struct ImageLimits {
  int64_t max_file_bytes = int64_t{64} << 20;
  int64_t max_pixels = 64'000'000;  ///< height times width
};

/// Decodes a PNG, JPEG or BMP file in memory to u8 [3, H, W]: grey becomes three equal channels, transparency is
/// dropped, 16-bit samples are cut to 8. The pixels are those of PIL's convert("RGB"), JPEG included (but PIL
/// limits 16-bit grey to 255); the orientation in Exif data, colour profiles and gamma change nothing, as there.
///
/// PNG: every kind of the standard, read by libpng. JPEG: baseline and progressive, Huffman or arithmetic codes, grey,
/// colour, and four inks with Adobe's marker, read by libjpeg. BMP: headers of Windows and OS/2; 1, 2, 4 and 8 bits
/// with palette, also in runs (RLE4, RLE8; pixels that they leave out have colour 0); 16, 24 and 32 bits, with masks.
///
/// `name` is for messages. Throws FormatError for anything else, saying what it is where that is known (a WebP image, a
/// JPEG of 12 bits); for what exceeds the limits; and for damage: a file cut short, a wrong sum of any chunk of a PNG,
/// data of a JPEG that libjpeg would repair with a guess, an index beyond the palette, a run beyond its row. Bytes
/// behind the end of an image, and in a JPEG between its last scan and its end, are passed over.
/// MemoryError where the system gives no memory.
[[nodiscard]] Tensor decode_image(std::span<const std::byte> bytes, const std::string& name,
                                  const ImageLimits& limits = {});

}  // namespace tern::data
