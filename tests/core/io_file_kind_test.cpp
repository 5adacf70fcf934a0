// Files that are given in place of others are called by their names, by every reader.
#include <gtest/gtest.h>

#include <tern/core/error.h>
#include <tern/core/io/bytes.h>
#include <tern/core/io/file_kind.h>
#include <tern/core/io/json.h>
#include <tern/core/io/npy.h>
#include <tern/core/io/safetensors.h>

#include "core/io_support.h"

namespace tern {
namespace {

using io::FileKind;
using std::string_literals::operator""s;

// A zip archive's first entry: its local header and name.
std::string zip_of(const std::string& name) {
  return "PK\x03\x04"s + std::string(22, '\0') + static_cast<char>(name.size()) + "\0\0\0"s + name + "data";
}

struct Example {
  FileKind kind;
  std::string start;
};
const std::vector<Example>& examples() {
  static const std::vector<Example> all{
      {FileKind::kPyTorch, zip_of("archive/data.pkl")},
      {FileKind::kPyTorch, zip_of("resnet20-12fca82f/data.pkl")},
      {FileKind::kNpz, zip_of("arr_0.npy")},
      {FileKind::kZip, zip_of("[Content_Types].xml")},
      {FileKind::kZip, "PK\x03\x04"},
      {FileKind::kOldPyTorch, "\x80\x02\x8a\nl\xfc\x9c\x46\xf9 j\xa8P\x19.\x80\x02M\xe9\x03."},
      {FileKind::kPickle, "\x80\x02}q\x00(X\x06\x00\x00\x00labels"s},  // CIFAR's version for Python
      {FileKind::kPickle, "\x80\x04\x95\x1a\0\0\0\0\0\0\0}"s},
      {FileKind::kNpy, "\x93NUMPY\x01\x00v\x00"s},
      {FileKind::kGguf, "GGUF\x03\0\0\0"s},
      {FileKind::kGgml, "tjgg\x03\0\0\0"s},
      {FileKind::kHdf5, "\x89HDF\r\n\x1a\n"},
      {FileKind::kGzip, "\x1f\x8b\x08\x00"s},
      {FileKind::kBzip2, "BZh91AY&SY"},
      {FileKind::kXz, "\xfd\x37zXZ\0\0"s},
      {FileKind::kZstd, "\x28\xb5\x2f\xfd\x04"},
      {FileKind::k7z, "7z\xbc\xaf\x27\x1c"},
      {FileKind::kTar, "model.safetensors" + std::string(240, '\0') + "ustar\0"s},
      {FileKind::kGitLfs, "version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"},
      {FileKind::kHtml, "\n <!DOCTYPE html>\n<html>"},
      {FileKind::kHtml, "\xef\xbb\xbf<HTML><head>"},
      {FileKind::kXml, "<?xml version=\"1.0\"?><Error>"},
      {FileKind::kPdf, "%PDF-1.7"},
      {FileKind::kPng, "\x89PNG\r\n\x1a\n"},
      {FileKind::kJpeg, "\xff\xd8\xff\xe0"},
      {FileKind::kGif, "GIF89a"},
      {FileKind::kBmp, "BM\x36\x0c\0\0\0\0\0\0"s},
      {FileKind::kWebP, "RIFF\x24\0\0\0WEBPVP8 "s},
      {FileKind::kTiff, "II*\0\x08\0\0\0"s},
      {FileKind::kHeif,
       "\0\0\0\x18"
       "ftypheic"s},
      {FileKind::kAvif, std::string(4, '\0') + "ftypavif"},
      {FileKind::kJpeg2000, "\0\0\0\x0cjP  \r\n\x87\n"s},
      {FileKind::kJpegXl, "\0\0\0\x0cJXL \r\n\x87\n"s},
      {FileKind::kPhotoshop, "8BPS\0\1"s},
      {FileKind::kSvg, "<svg xmlns="}};
  return all;
}

TEST(FileKind, IsToldByTheFirstBytes) {
  for (const Example& e : examples()) EXPECT_EQ(io::file_kind(io::bytes_of(e.start)), e.kind) << io::describe(e.kind);
  for (const std::string& other :
       {""s, "P"s, "{\"w\": 1}"s, "BMW"s, "GGU"s, "\x80\x02"s, "\x80\x02zz"s, "<x>"s, "once upon a time"s,
        io::serialize_safetensors({{"a", counted({2, 3}, DType::kF32)}})})
    EXPECT_EQ(io::file_kind(io::bytes_of(other)), FileKind::kUnknown) << other;
}

TEST(FileKind, EveryReaderNamesIt) {
  const ScratchDir dir;
  for (const Example& e : examples()) {
    std::string content = e.start;
    content.resize(std::max<size_t>(content.size(), 700), 'x');
    write_raw(dir / "f", content);
    const std::string note = "; the file is " + std::string(io::describe(e.kind));
    const auto ends_with_note = [&](const std::string& sentence) {
      return sentence.ends_with(note) && sentence.find(note) == sentence.rfind("; the file is ");
    };
    const auto check = [&](const char* reader, const std::string& sentence) {
      EXPECT_TRUE(ends_with_note(sentence)) << reader << ": " << sentence;
    };
    check("safetensors", sentence_of<FormatError>([&] { static_cast<void>(io::load_safetensors(dir / "f")); }));
    check("safetensors", sentence_of<FormatError>([&] { io::SafetensorsReader(dir / "f"); }));
    check("safetensors",
          sentence_of<FormatError>([&] { static_cast<void>(io::parse_safetensors(io::bytes_of(content))); }));
    check("JSON", sentence_of<FormatError>([&] { static_cast<void>(io::Json::parse_file("test", dir / "f")); }));
    if (e.kind == FileKind::kNpy) continue;  // a broken one says what is wrong with it
    check("npy", sentence_of<FormatError>([&] { static_cast<void>(io::load_npy(dir / "f")); }));
  }
  write_raw(dir / "f", "\x93NUMPY\x07");
  EXPECT_EQ(sentence_of<FormatError>([&] { static_cast<void>(io::load_npy(dir / "f")); }).find("; the file is"),
            std::string::npos);
}

}  // namespace
}  // namespace tern
