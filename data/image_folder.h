// Image files: PNG, JPEG and BMP, one at a time or a folder of them.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include <tern/data/dataset.h>

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

/// The same from a file; throws IoError if it cannot be read or is larger than max_file_bytes.
[[nodiscard]] Tensor load_image(const std::string& path, const ImageLimits& limits = {});

/// A directory with one subdirectory a class, in the order of their names; each holds images (.png, .jpg, .jpeg, .bmp
/// in any case), also in subdirectories of its own, in the order of their paths. Other files, hidden ones and, within a
/// class, links to directories are passed over. Images are decoded when asked for (get() throws as load_image) and may
/// differ in size. Throws IoError if the directory cannot be read, has no class, or a class has no image.
class ImageFolder : public Dataset {
 public:
  explicit ImageFolder(const std::string& directory, const ImageLimits& limits = {});
  int64_t size() const override { return static_cast<int64_t>(content_->files.size()); }
  Example get(int64_t index) const override;
  int64_t label(int64_t index) const override;
  const std::vector<std::string>& class_names() const override { return content_->classes; }
  /// Of the classes, the files' paths within the directory, their sizes and the first and last 16 KiB of each, so files
  /// of up to 32 KiB as a whole. A change that keeps the size of a larger file and touches neither end goes unnoticed.
  /// Throws IoError where a file is gone or cannot be read.
  uint64_t fingerprint() const override;
  /// The file of an example. Throws ValueError for an index out of range.
  const std::string& path(int64_t index) const;

 private:
  struct File {
    std::string path;
    int64_t label;
  };
  struct Content {
    std::string directory;
    std::vector<std::string> classes;
    std::vector<File> files;
  };
  std::shared_ptr<const Content> content_;
  ImageLimits limits_;
};

}  // namespace tern::data
