// Files: reading with sizes known beforehand, writing so that a crash leaves the old file or the new one.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>

#include <tern/core/io/directory.h>

namespace tern::io {

/// What read_file refuses to go beyond unless told otherwise: 4 GiB.
inline constexpr uint64_t kMaxFileBytes = uint64_t{4} << 30;

/// A regular file open for reading at any position. Throws IoError, with the path and the system's reason, if it cannot
/// be opened or is not a regular file; a symbolic link in a Directory is none. `op` stands first in messages and must
/// outlive the object.
class InputFile {
 public:
  InputFile(const char* op, const FilePath& path);
  ~InputFile();
  InputFile(InputFile&& other) noexcept;
  InputFile& operator=(InputFile&&) = delete;
  const std::string& path() const { return path_; }
  /// Size in bytes when it was opened.
  uint64_t size() const { return size_; }
  /// Fills `out` from the position. Throws IoError on a read error, and where the file has become shorter.
  void read_at(uint64_t position, std::span<std::byte> out) const;

 private:
  const char* op_;
  std::string path_;
  int descriptor_ = -1;
  uint64_t size_ = 0;
};

/// The bytes of a whole file. Throws IoError if it cannot be read or holds more than `max_bytes`.
[[nodiscard]] std::string read_file(const char* op, const FilePath& path, uint64_t max_bytes = kMaxFileBytes);

/// Replaces a file as a whole: bytes go to a temporary file in the same directory, commit() syncs it, renames it over
/// the target and syncs the directory. Without commit() (an exception, a full disk) the target stays as it was and the
/// temporary file is removed; one left behind by a killed process is removed by the next writer of the same target.
/// A symbolic link is followed, one in a Directory replaced; a target that exists and is no regular file is refused,
/// one that is keeps its permissions. The target's directory is held open: what is moved away meanwhile is written
/// where it then is. Everything throws IoError, with the path and the system's reason; write() and commit() after
/// commit() throw StateError.
class AtomicFile {
 public:
  AtomicFile(const char* op, const FilePath& path);
  ~AtomicFile();
  AtomicFile(const AtomicFile&) = delete;
  AtomicFile& operator=(const AtomicFile&) = delete;
  void write(const void* data, size_t bytes);
  void write(std::string_view text) { write(text.data(), text.size()); }
  void commit();

 private:
  void flush();
  [[noreturn]] void fail(int error) const;
  void discard() noexcept;

  const char* op_;
  std::string path_;       // for messages: the target, links resolved
  FilePath target_;        // in the directory where it lies
  std::string temporary_;  // a name there
  std::string buffer_;
  int descriptor_ = -1;
};

/// Writes a whole file through AtomicFile. Throws IoError.
void write_file_atomic(const char* op, const FilePath& path, std::string_view content);

/// A regular file open for writing behind what it holds, flushed after every write, for logs that can be read whatever
/// happens to the program. A file with another name (a hard link) is copied first, so that the other keeps its content.
/// Everything throws IoError, with the path and the system's reason: also for what is no regular file, and for a
/// symbolic link in a Directory.
class AppendFile {
 public:
  /// Goes on behind what the file holds, begins an empty one in its place, or begins one that must not be there.
  enum class Open { kAppend, kNew, kExclusive };
  AppendFile(const char* op, const FilePath& path, Open open);
  ~AppendFile();
  AppendFile(const AppendFile&) = delete;
  AppendFile& operator=(const AppendFile&) = delete;
  const std::string& path() const { return path_; }
  void write(std::string_view text);

 private:
  const char* op_;
  std::string path_;
  int descriptor_ = -1;
};

}  // namespace tern::io
