#include <tern/core/error.h>
#include <tern/data/detail/image_file.h>
#include <tern/data/detail/read_bmp.h>
#include <tern/data/detail/read_jpeg.h>
#include <tern/data/detail/read_png.h>
#include <tern/data/image_folder.h>

namespace tern::data {
namespace {

constexpr const char* kOp = "decode_image";

// Content that is often found under the name of an image, by the bytes at some offset.
struct Signature {
  size_t offset;
  std::string_view bytes;
  const char* name;
};
constexpr Signature kOthers[] = {
    {0, "GIF8", "a GIF image"},
    {8, "WEBP", "a WebP image"},
    {4, "ftypavif", "an AVIF image"},
    {4, "ftypheic", "a HEIC image"},
    {4, "ftypheix", "a HEIC image"},
    {4, "ftypmif1", "a HEIF image"},
    {0, std::string_view("II*\0", 4), "a TIFF image"},
    {0, std::string_view("MM\0*", 4), "a TIFF image"},
    {4, "jP  \r\n", "a JPEG 2000 image"},
    {0, "\xff\x4f\xff\x51", "a JPEG 2000 image"},
    {0, "\xff\x0a", "a JPEG XL image"},
    {4, "JXL \r\n", "a JPEG XL image"},
    {0, std::string_view("\0\0\1\0", 4), "an icon"},
    {0, "8BPS", "a Photoshop document"},
    {0, "%PDF", "a PDF document"},
    {0, "<!DOCTYPE", "a page of HTML"},
    {0, "<!doctype", "a page of HTML"},
    {0, "<html", "a page of HTML"},
    {0, "<svg", "an SVG image"},
    {0, "<?xml", "XML"},
    {0, "BA", "an OS/2 bitmap array"},
    {0, "version https://git-lfs", "the pointer that Git LFS leaves in a file's place"},
};

const char* name_of(std::string_view content) {
  if (content.empty()) return "an empty file";
  for (const auto& [offset, bytes, name] : kOthers)
    if (content.size() > offset && content.substr(offset).starts_with(bytes)) return name;
  return "other content";
}

}  // namespace

Tensor decode_image(std::span<const std::byte> bytes, const std::string& name, const ImageLimits& limits) {
  TERN_CHECK(static_cast<int64_t>(bytes.size()) <= limits.max_file_bytes, FormatError, "[", kOp, "] expected at most ",
             limits.max_file_bytes, " bytes in '", name, "', got ", bytes.size());
  const detail::ImageFile file{bytes, name, limits};
  const std::string_view content(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (content.starts_with("\x89PNG")) return read_png(file);
  if (content.starts_with("\xff\xd8")) return read_jpeg(file);
  if (content.starts_with("BM")) return read_bmp(file);
  file.throw_unsupported("a PNG, JPEG or BMP image", name_of(content));
}

}  // namespace tern::data
