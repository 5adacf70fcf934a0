// Directories that are held open, and places of files: a path, or a name in such a directory.
#pragma once

#include <concepts>
#include <memory>
#include <string>
#include <vector>

namespace tern::io {

class Directory;
using DirectoryHandle = std::shared_ptr<const Directory>;

/// Where a file is: a path, which the system looks up again for every call and whose symbolic links it follows, or a
/// name in a Directory, whose links are not followed: readers refuse a link, writers replace it.
class FilePath {
 public:
  /// None.
  FilePath() = default;
  /// A path: a std::string, a literal, a std::filesystem::path.
  template <class T>
  requires std::convertible_to<const T&, std::string> FilePath(const T& path)  // NOLINT: a path is one
      : text_(path), name_(text_) {}
  /// A name in a directory. Throws ValueError for one that leads elsewhere: empty, ".", ".." or with a slash.
  FilePath(DirectoryHandle directory, const std::string& name);

  bool empty() const { return text_.empty(); }
  /// For messages: the path, or the directory's with the name.
  const std::string& text() const { return text_; }
  /// The directory; null for a path.
  const DirectoryHandle& directory() const { return directory_; }
  /// What openat() and the like take: a directory's descriptor (AT_FDCWD for a path) and the name there.
  int descriptor() const;
  const std::string& name() const { return name_; }
  /// A file of that name in the same directory.
  FilePath beside(const std::string& name) const;
  /// Whether there is something of that name: of a path, behind its links; in a directory, a link itself.
  bool exists() const;
  /// Whether that is a regular file.
  bool is_regular() const;

 private:
  DirectoryHandle directory_;
  std::string text_, name_;
};

/// A directory held open: its files are found, written and removed in it wherever it is moved to and whatever takes its
/// path meanwhile.
///
///   const io::DirectoryHandle runs = io::Directory::open("report", "runs/a");
///   io::write_file_atomic("report", runs->file("report.html"), page);
class Directory : public std::enable_shared_from_this<Directory> {
 public:
  /// A symbolic link to a directory is followed. Throws IoError, with the path and the system's reason. `op` stands
  /// first in messages and must outlive the object.
  static DirectoryHandle open(const char* op, const std::string& path);
  ~Directory();
  Directory(const Directory&) = delete;
  Directory& operator=(const Directory&) = delete;

  /// As it was opened, and where it is now: the same as long as that path leads to it, else what the system says of it.
  const std::string& path() const { return path_; }
  std::string present_path() const;
  int descriptor() const { return descriptor_; }

  /// A file in it. Throws ValueError as FilePath.
  FilePath file(const std::string& name) const { return FilePath(shared_from_this(), name); }
  bool has(const std::string& name) const { return file(name).exists(); }
  /// Removes a file, if it is there; of a link the link. Throws IoError.
  void remove(const std::string& name) const;
  /// Gives a file another name, in the place of a file that has it. Throws IoError.
  void rename(const std::string& from, const std::string& to) const;
  /// Gives a file a second name, that must be free; false where the file system has no such names.
  bool link(const std::string& from, const std::string& to) const;
  /// Names of everything in it but "." and "..", sorted. Throws IoError.
  std::vector<std::string> names() const;

 private:
  friend class AtomicFile;
  static DirectoryHandle try_open(const char* op, const std::string& path);  // null, and errno says why
  Directory(const char* op, const std::string& path, int descriptor) : op_(op), path_(path), descriptor_(descriptor) {}
  const char* op_;
  std::string path_;
  int descriptor_ = -1;
};

}  // namespace tern::io
