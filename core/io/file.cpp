#include <cerrno>
#include <cstring>
#include <filesystem>
#include <system_error>
#include <utility>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tern/core/error.h>
#include <tern/core/io/file.h>
#include <tern/core/text.h>

namespace tern::io {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;

// The temporary names of a target: ".NAME.NUMBER.tmp" beside it.
std::string temporary_prefix(const std::string& name) {
  return "." + name + ".";
}
constexpr std::string_view kTemporarySuffix = ".tmp";

bool is_temporary_of(std::string_view file, std::string_view prefix) {
  if (file.size() <= prefix.size() + kTemporarySuffix.size() || !file.starts_with(prefix) ||
      !file.ends_with(kTemporarySuffix))
    return false;
  file.remove_prefix(prefix.size());
  file.remove_suffix(kTemporarySuffix.size());
  return file.find_first_not_of("0123456789") == std::string_view::npos;
}

// Removes temporaries whose writer is gone: a living writer holds a lock on its own.
void remove_stale(const Directory& directory, const std::string& prefix) try {
  for (const std::string& name : directory.names()) {
    if (!is_temporary_of(name, prefix)) continue;
    const int descriptor =
        ::openat(directory.descriptor(), name.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (descriptor < 0) continue;
    if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) ::unlinkat(directory.descriptor(), name.c_str(), 0);
    ::close(descriptor);
  }
} catch (const IoError&) {  // what cannot be listed is not cleaned
}

// Not to follow a link in a directory that is held open.
int link_flag(const FilePath& path) {
  return path.directory() != nullptr ? O_NOFOLLOW : 0;
}

// The sentence for a descriptor that could not be opened.
[[noreturn]] void fail_to_open(const char* op, const FilePath& path, int error) {
  TERN_CHECK(error != ELOOP || path.directory() == nullptr, IoError, "[", op,
             "] expected a regular file, got the symbolic link '", path.text(), "'");
  throw IoError(concat("[", op, "] cannot open '", path.text(), "': ", system_reason(error)));
}

// Of an open regular file; closes what is none.
struct stat regular_status(const char* op, const FilePath& path, int descriptor) {
  struct stat info;
  const int failed = ::fstat(descriptor, &info) == 0 ? 0 : errno;
  if (failed != 0 || !S_ISREG(info.st_mode)) {
    ::close(descriptor);
    TERN_CHECK(failed == 0, IoError, "[", op, "] cannot read '", path.text(), "': ", system_reason(failed));
    throw IoError(concat("[", op, "] expected a regular file, got ",
                         S_ISDIR(info.st_mode) ? "the directory" : "the device or pipe", " '", path.text(), "'"));
  }
  return info;
}

// Whether all of it was written; errno says why not.
bool write_all(int descriptor, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t got = ::write(descriptor, bytes.data(), bytes.size());
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return false;
    bytes.remove_prefix(static_cast<size_t>(got));
  }
  return true;
}

}  // namespace

InputFile::InputFile(const char* op, const FilePath& path) : op_(op), path_(path.text()) {
  // A pipe would be waited for without O_NONBLOCK.
  descriptor_ = ::openat(path.descriptor(), path.name().c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK | link_flag(path));
  if (descriptor_ < 0) fail_to_open(op, path, errno);
  size_ = static_cast<uint64_t>(regular_status(op, path, descriptor_).st_size);
}

InputFile::InputFile(InputFile&& other) noexcept
    : op_(other.op_),
      path_(std::move(other.path_)),
      descriptor_(std::exchange(other.descriptor_, -1)),
      size_(other.size_) {}

InputFile::~InputFile() {
  if (descriptor_ >= 0) ::close(descriptor_);
}

void InputFile::read_at(uint64_t position, std::span<std::byte> out) const {
  size_t done = 0;
  while (done < out.size()) {
    const ssize_t got = ::pread(descriptor_, out.data() + done, out.size() - done, static_cast<off_t>(position + done));
    if (got < 0 && errno == EINTR) continue;
    TERN_CHECK(got >= 0, IoError, "[", op_, "] cannot read '", path_, "': ", system_reason(errno));
    TERN_CHECK(got > 0, IoError, "[", op_, "] expected ", size_, " bytes in '", path_, "', got the end at byte ",
               position + done, "; the file became shorter while it was read");
    done += static_cast<size_t>(got);
  }
}

std::string read_file(const char* op, const FilePath& path, uint64_t max_bytes) {
  const InputFile file(op, path);
  TERN_CHECK(file.size() <= max_bytes, IoError, "[", op, "] expected at most ", max_bytes, " bytes in '", path.text(),
             "', got ", file.size());
  std::string content(file.size(), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(content)));
  return content;
}

AtomicFile::AtomicFile(const char* op, const FilePath& path) : op_(op), path_(path.text()), target_(path) {
  if (path.directory() == nullptr) {
    std::error_code error;
    for (int links = 0; std::filesystem::is_symlink(path_, error) && links < 40; ++links) {
      const std::filesystem::path to = std::filesystem::read_symlink(path_, error);
      if (error) fail(error.value());
      path_ = (to.is_absolute() ? to : std::filesystem::path(path_).parent_path() / to).string();
    }
  }
  const std::filesystem::path target(path_);
  const std::string name = target.filename().string();
  const auto need_regular = [&](bool regular) {
    TERN_CHECK(regular, IoError, "[", op_, "] expected the path of a regular file to write, got '", path.text(), "'");
  };
  need_regular(!name.empty() && name != "." && name != "..");
  if (path.directory() == nullptr) {
    const DirectoryHandle directory =
        Directory::try_open(op, target.has_parent_path() ? target.parent_path().string() : ".");
    if (directory == nullptr) fail(errno);
    target_ = directory->file(name);
  }
  struct stat info;
  bool exists = ::fstatat(target_.descriptor(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0;
  if (exists && S_ISLNK(info.st_mode)) exists = false;  // replaced, and its own mode means nothing
  need_regular(!exists || S_ISREG(info.st_mode));
  const std::string prefix = temporary_prefix(name);
  remove_stale(*target_.directory(), prefix);
  for (uint64_t number = static_cast<uint64_t>(::getpid()) * 1000;; ++number) {
    temporary_ = prefix + std::to_string(number) + std::string(kTemporarySuffix);
    descriptor_ = ::openat(target_.descriptor(), temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (descriptor_ < 0 && (errno == EEXIST || errno == EINTR)) continue;
    if (descriptor_ < 0) fail(errno);
    // Another writer may have taken the new file for a stale one before it was locked. Where the file system has no
    // locks, nobody takes anything for stale.
    const int refused = ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    struct stat mine;
    if (refused == 0 ? ::fstat(descriptor_, &mine) == 0 && mine.st_nlink == 1 : refused != EWOULDBLOCK) break;
    discard();
  }
  if (exists && ::fchmod(descriptor_, info.st_mode & 07777) != 0) {
    const int failed = errno;
    discard();
    fail(failed);
  }
}

AtomicFile::~AtomicFile() {
  discard();
}

void AtomicFile::discard() noexcept {
  if (descriptor_ < 0) return;
  ::unlinkat(target_.descriptor(), temporary_.c_str(), 0);
  ::close(descriptor_);
  descriptor_ = -1;
}

void AtomicFile::fail(int error) const {
  throw IoError(concat("[", op_, "] cannot write '", path_, "': ", system_reason(error)));
}

void AtomicFile::write(const void* data, size_t bytes) {
  TERN_CHECK(descriptor_ >= 0, StateError, "[", op_, "] expected an open file, got '", path_,
             "' after it was committed");
  const auto* text = static_cast<const char*>(data);
  while (bytes > 0) {
    const size_t part = std::min(bytes, kBufferBytes - buffer_.size());
    buffer_.append(text, part);
    text += part;
    bytes -= part;
    if (buffer_.size() == kBufferBytes) flush();
  }
}

void AtomicFile::flush() {
  if (!write_all(descriptor_, buffer_)) fail(errno);
  buffer_.clear();
}

void AtomicFile::commit() {
  TERN_CHECK(descriptor_ >= 0, StateError, "[", op_, "] expected an open file, got '", path_,
             "' after it was committed");
  flush();
  if (::fsync(descriptor_) != 0) fail(errno);
  const int directory = target_.descriptor();
  if (::renameat(directory, temporary_.c_str(), directory, target_.name().c_str()) != 0) fail(errno);
  ::close(descriptor_);
  descriptor_ = -1;
  // The new name is on disk only once the directory is. Some file systems do not sync directories, nor can one that was
  // opened without the right to list it be synced; that is no error.
  if (::fsync(directory) != 0 && errno != EINVAL && errno != ENOTSUP && errno != EBADF) fail(errno);
}

void write_file_atomic(const char* op, const FilePath& path, std::string_view content) {
  AtomicFile file(op, path);
  file.write(content);
  file.commit();
}

AppendFile::AppendFile(const char* op, const FilePath& path, Open open) : op_(op), path_(path.text()) {
  const auto fail = [&](int error) {
    throw IoError(concat("[", op_, "] cannot write '", path_, "': ", system_reason(error)));
  };
  if (open == Open::kNew) write_file_atomic(op, path, "");  // not emptied: another name may be left of it
  int flags = O_WRONLY | O_APPEND | O_CLOEXEC | O_NONBLOCK | link_flag(path);
  flags |= open == Open::kExclusive ? O_CREAT | O_EXCL : open == Open::kAppend ? O_CREAT : 0;
  for (;;) {
    descriptor_ = ::openat(path.descriptor(), path.name().c_str(), flags, 0666);
    if (descriptor_ < 0 && errno == ELOOP) fail_to_open(op, path, errno);
    // Nobody reads the pipe that has the name.
    if (descriptor_ < 0 && errno == ENXIO)
      throw IoError(concat("[", op, "] expected a regular file, got the device or pipe '", path_, "'"));
    if (descriptor_ < 0) fail(errno);
    if (regular_status(op, path, descriptor_).st_nlink <= 1) return;
    ::close(descriptor_);
    write_file_atomic(op, path, read_file(op, path));
  }
}

AppendFile::~AppendFile() {
  ::close(descriptor_);
}

void AppendFile::write(std::string_view text) {
  TERN_CHECK(write_all(descriptor_, text), IoError, "[", op_, "] cannot write '", path_, "': ", system_reason(errno));
}

}  // namespace tern::io
