#include <tern/core/error.h>
#include <tern/core/io/file_kind.h>
#include <tern/data/decode_image.h>
#include <tern/data/detail/image_file.h>
#include <tern/data/detail/read_bmp.h>
#include <tern/data/detail/read_jpeg.h>
#include <tern/data/detail/read_png.h>

namespace tern::data {
namespace {

// What a file is that is no PNG, JPEG or BMP. Beginnings that are too short to tell in any file tell among images.
std::string_view name_of(std::span<const std::byte> bytes) {
  if (bytes.empty()) return "an empty file";
  if (const io::FileKind kind = io::file_kind(bytes); kind != io::FileKind::kUnknown) return io::describe(kind);
  const std::string_view content(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (content.starts_with("\xff\x0a")) return "a JPEG XL image";
  if (content.starts_with(std::string_view("\0\0\1\0", 4))) return "an icon";
  if (content.starts_with("BA")) return "an OS/2 bitmap array";
  return "other content";
}

}  // namespace

Tensor decode_image(std::span<const std::byte> bytes, const std::string& name, const ImageLimits& limits) {
  TERN_CHECK(static_cast<int64_t>(bytes.size()) <= limits.max_file_bytes, FormatError,
             "[decode_image] expected at most ", limits.max_file_bytes, " bytes in '", name, "', got ", bytes.size());
  const detail::ImageFile file{bytes, name, limits};
  const std::string_view content(reinterpret_cast<const char*>(bytes.data()), bytes.size());
  if (content.starts_with("\x89PNG")) return read_png(file);
  if (content.starts_with("\xff\xd8")) return read_jpeg(file);
  if (content.starts_with("BM")) return read_bmp(file);
  file.throw_unsupported("a PNG, JPEG or BMP image", name_of(bytes));
}

}  // namespace tern::data
