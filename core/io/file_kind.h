// What a file is that is not what a reader expected, by its first bytes: so that a PyTorch file given as safetensors,
// or a download that is a web page, is called by its name.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include <tern/core/error.h>
#include <tern/core/io/file.h>

namespace tern::io {

/// Kinds that are told apart. kUnknown: none of them; safetensors and llama2.c's files are, as they begin with numbers.
enum class FileKind {
  kUnknown,
  kPyTorch,     ///< a zip archive with data.pkl, as torch.save writes since 1.6
  kOldPyTorch,  ///< several pickles, as torch.save wrote before
  kPickle,
  kNpz,
  kZip,
  kNpy,
  kGguf,
  kGgml,
  kHdf5,
  kGzip,
  kBzip2,
  kXz,
  kZstd,
  k7z,
  kTar,
  kGitLfs,
  kHtml,
  kXml,
  kPdf,
  kPng,
  kJpeg,
  kGif,
  kBmp,
  kWebP,
  kTiff,
  kHeif,
  kAvif,
  kJpeg2000,
  kJpegXl,
  kPhotoshop,
  kSvg
};

/// How many bytes from the start of a file tell its kind.
inline constexpr size_t kFileKindBytes = 512;

/// From a file's first bytes, kFileKindBytes of them if it has so many.
[[nodiscard]] FileKind file_kind(std::span<const std::byte> start);
/// "a PyTorch file ...", with what to do about it where there is something.
[[nodiscard]] std::string_view describe(FileKind kind);
/// For the end of a reader's sentence: "; the file is ...", or nothing for an unknown kind or the reader's own.
[[nodiscard]] std::string kind_note(std::span<const std::byte> start, FileKind own = FileKind::kUnknown);
[[nodiscard]] std::string kind_note(const InputFile& file, FileKind own = FileKind::kUnknown);

/// read(), a reader of `source`, the first bytes of a file or an InputFile; a FormatError that comes out of it also
/// says what the file is, if it is of another kind than `own`.
template <class Source, class F>
decltype(auto) naming_kind(const Source& source, FileKind own, F&& read) {
  try {
    return std::forward<F>(read)();
  } catch (const FormatError& error) {
    const std::string note = kind_note(source, own);
    if (note.empty()) throw;
    throw FormatError(error.message() + note);
  }
}

}  // namespace tern::io
