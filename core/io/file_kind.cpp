#include <algorithm>
#include <array>

#include <tern/core/io/bytes.h>
#include <tern/core/io/file_kind.h>

namespace tern::io {
namespace {

using std::string_view_literals::operator""sv;

struct Magic {
  size_t offset;
  std::string_view bytes;
  FileKind kind;
};
// The first that fits.
constexpr Magic kMagics[] = {{0, "\x93NUMPY"sv, FileKind::kNpy},
                             {0, "GGUF"sv, FileKind::kGguf},
                             {0, "lmgg"sv, FileKind::kGgml},  // numbers in their time, so their letters stand backwards
                             {0, "fmgg"sv, FileKind::kGgml},
                             {0, "tjgg"sv, FileKind::kGgml},
                             {0, "\x89HDF\r\n\x1a\n"sv, FileKind::kHdf5},
                             {0, "\x1f\x8b\x08"sv, FileKind::kGzip},
                             {0, "BZh"sv, FileKind::kBzip2},
                             {0,
                              "\xfd"
                              "7zXZ\0"sv,
                              FileKind::kXz},
                             {0, "\x28\xb5\x2f\xfd"sv, FileKind::kZstd},
                             {0, "7z\xbc\xaf\x27\x1c"sv, FileKind::k7z},
                             {257, "ustar"sv, FileKind::kTar},
                             {0, "version https://git-lfs.github.com/spec/"sv, FileKind::kGitLfs},
                             {0, "%PDF-"sv, FileKind::kPdf},
                             {0, "\x89PNG\r\n\x1a\n"sv, FileKind::kPng},
                             {0, "\xff\xd8\xff"sv, FileKind::kJpeg},
                             {0, "GIF8"sv, FileKind::kGif},
                             {0, "II*\0"sv, FileKind::kTiff},
                             {0, "MM\0*"sv, FileKind::kTiff},
                             {8, "WEBPVP8"sv, FileKind::kWebP},
                             {4, "ftypavif"sv, FileKind::kAvif},
                             {4, "ftyphei"sv, FileKind::kHeif},
                             {4, "ftypmif1"sv, FileKind::kHeif},
                             {4, "jP  \r\n"sv, FileKind::kJpeg2000},
                             {0, "\xff\x4f\xff\x51"sv, FileKind::kJpeg2000},
                             {4, "JXL \r\n"sv, FileKind::kJpegXl},
                             {0, "8BPS"sv, FileKind::kPhotoshop},
                             // The number 0x1950a86a20f9469cfc6c as a pickle of protocol 2.
                             {0, "\x80\x02\x8a\x0al\xfc\x9c\x46\xf9\x20\x6a\xa8\x50\x19."sv, FileKind::kOldPyTorch}};

bool has_at(std::string_view text, size_t offset, std::string_view bytes) {
  return text.size() >= offset && text.substr(offset).starts_with(bytes);
}

bool starts_with_ignoring_case(std::string_view text, std::string_view word) {
  return text.size() >= word.size() && std::equal(word.begin(), word.end(), text.begin(), [](char a, char b) {
           return a == (b >= 'A' && b <= 'Z' ? static_cast<char>(b + ('a' - 'A')) : b);
         });
}

// By the name of the first file in the archive.
FileKind kind_of_zip(std::string_view text) {
  constexpr size_t kNameLength = 26, kName = 30;
  if (text.size() < kName) return FileKind::kZip;
  const auto byte = [&](size_t i) { return static_cast<size_t>(static_cast<unsigned char>(text[i])); };
  const std::string_view name = text.substr(kName, byte(kNameLength) | byte(kNameLength + 1) << 8);
  if (name.ends_with("/data.pkl") || name.ends_with("/byteorder") || name.ends_with("/.format_version"))
    return FileKind::kPyTorch;
  return name.ends_with(".npy") ? FileKind::kNpz : FileKind::kZip;
}

FileKind kind_of_markup(std::string_view text) {
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  text.remove_prefix(std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  for (const std::string_view start : {"<!doctype html", "<html", "<head", "<body"})
    if (starts_with_ignoring_case(text, start)) return FileKind::kHtml;
  if (text.starts_with("<svg")) return FileKind::kSvg;
  return text.starts_with("<?xml") ? FileKind::kXml : FileKind::kUnknown;
}

// From protocol 2 on: the protocol first, which from 4 on a frame follows; else what a dictionary, a list, a tuple, an
// object or a text begins with.
bool is_pickle(std::string_view text) {
  if (text.size() < 3 || text[0] != '\x80' || text[1] < 2 || text[1] > 5) return false;
  return text[1] >= 4 ? text[2] == '\x95' : std::string_view("}](ccXU)").find(text[2]) != std::string_view::npos;
}

}  // namespace

FileKind file_kind(std::span<const std::byte> start) {
  const std::string_view text(reinterpret_cast<const char*>(start.data()), start.size());
  if (text.starts_with("PK\x03\x04")) return kind_of_zip(text);
  for (const Magic& magic : kMagics)
    if (has_at(text, magic.offset, magic.bytes)) return magic.kind;
  if (is_pickle(text)) return FileKind::kPickle;
  // "BM", the size of the file, four zero bytes.
  if (text.starts_with("BM") && has_at(text, 6, "\0\0\0\0"sv)) return FileKind::kBmp;
  return kind_of_markup(text);
}

std::string_view describe(FileKind kind) {
  switch (kind) {
    case FileKind::kUnknown:
      return "of an unknown kind";
    case FileKind::kPyTorch:
      return "a PyTorch file (a zip archive with a pickle); write its tensors as safetensors";
    case FileKind::kOldPyTorch:
      return "a PyTorch file of before version 1.6 (pickles); write its tensors as safetensors";
    case FileKind::kPickle:
      return "a Python pickle";
    case FileKind::kNpz:
      return "a NumPy .npz archive; unpack the .npy files in it";
    case FileKind::kZip:
      return "a zip archive";
    case FileKind::kNpy:
      return "a NumPy array (.npy)";
    case FileKind::kGguf:
      return "a GGUF file";
    case FileKind::kGgml:
      return "a GGML file of before GGUF";
    case FileKind::kHdf5:
      return "an HDF5 file";
    case FileKind::kGzip:
      return "compressed by gzip; unpack it";
    case FileKind::kBzip2:
      return "compressed by bzip2; unpack it";
    case FileKind::kXz:
      return "compressed by xz; unpack it";
    case FileKind::kZstd:
      return "compressed by zstd; unpack it";
    case FileKind::k7z:
      return "a 7z archive";
    case FileKind::kTar:
      return "a tar archive";
    case FileKind::kGitLfs:
      return "a Git LFS pointer; fetch what it stands for with git lfs pull";
    case FileKind::kHtml:
      return "an HTML page";
    case FileKind::kXml:
      return "an XML text";
    case FileKind::kPdf:
      return "a PDF document";
    case FileKind::kPng:
      return "a PNG image";
    case FileKind::kJpeg:
      return "a JPEG image";
    case FileKind::kGif:
      return "a GIF image";
    case FileKind::kBmp:
      return "a BMP image";
    case FileKind::kWebP:
      return "a WebP image";
    case FileKind::kTiff:
      return "a TIFF image";
    case FileKind::kHeif:
      return "a HEIF image";
    case FileKind::kAvif:
      return "an AVIF image";
    case FileKind::kJpeg2000:
      return "a JPEG 2000 image";
    case FileKind::kJpegXl:
      return "a JPEG XL image";
    case FileKind::kPhotoshop:
      return "a Photoshop document";
    case FileKind::kSvg:
      return "an SVG image";
  }
  return "of an unknown kind";
}

std::string kind_note(std::span<const std::byte> start, FileKind own) {
  const FileKind kind = file_kind(start.first(std::min(start.size(), kFileKindBytes)));
  return kind == FileKind::kUnknown || kind == own ? std::string() : concat("; the file is ", describe(kind));
}

std::string kind_note(const InputFile& file, FileKind own) try {
  std::array<std::byte, kFileKindBytes> start;
  const std::span<std::byte> read(start.data(), std::min<uint64_t>(file.size(), start.size()));
  file.read_at(0, read);
  return kind_note(std::span<const std::byte>(read), own);
} catch (const IoError&) {  // the sentence before it says enough
  return {};
}

}  // namespace tern::io
