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

namespace tern::io {
namespace {

constexpr size_t kBufferBytes = size_t{1} << 20;

std::string reason(int error) {
  return std::generic_category().message(error);
}

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
void remove_stale(const std::string& directory, const std::string& prefix) {
  std::error_code ignored;
  for (std::filesystem::directory_iterator it(directory, ignored), end; !ignored && it != end; it.increment(ignored)) {
    const std::string name = it->path().filename().string();
    if (!is_temporary_of(name, prefix)) continue;
    const int descriptor = ::open(it->path().c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (descriptor < 0) continue;
    if (::flock(descriptor, LOCK_EX | LOCK_NB) == 0) ::unlink(it->path().c_str());
    ::close(descriptor);
  }
}

}  // namespace

InputFile::InputFile(const char* op, const std::string& path) : op_(op), path_(path) {
  descriptor_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK);
  TERN_CHECK(descriptor_ >= 0, IoError, "[", op, "] cannot open '", path, "': ", reason(errno));
  struct stat info;
  const int failed = ::fstat(descriptor_, &info) == 0 ? 0 : errno;
  if (failed != 0 || !S_ISREG(info.st_mode)) {
    ::close(descriptor_);
    TERN_CHECK(failed == 0, IoError, "[", op, "] cannot read '", path, "': ", reason(failed));
    throw IoError(concat("[", op, "] expected a regular file, got ",
                         S_ISDIR(info.st_mode) ? "the directory" : "the device or pipe", " '", path, "'"));
  }
  size_ = static_cast<uint64_t>(info.st_size);
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
    TERN_CHECK(got >= 0, IoError, "[", op_, "] cannot read '", path_, "': ", reason(errno));
    TERN_CHECK(got > 0, IoError, "[", op_, "] expected ", size_, " bytes in '", path_, "', got the end at byte ",
               position + done, "; the file became shorter while it was read");
    done += static_cast<size_t>(got);
  }
}

std::string read_file(const char* op, const std::string& path, uint64_t max_bytes) {
  const InputFile file(op, path);
  TERN_CHECK(file.size() <= max_bytes, IoError, "[", op, "] expected at most ", max_bytes, " bytes in '", path,
             "', got ", file.size());
  std::string content(file.size(), '\0');
  file.read_at(0, std::as_writable_bytes(std::span(content)));
  return content;
}

AtomicFile::AtomicFile(const char* op, const std::string& path) : op_(op), path_(path) {
  std::error_code error;
  for (int links = 0; std::filesystem::is_symlink(path_, error) && links < 40; ++links) {
    const std::filesystem::path to = std::filesystem::read_symlink(path_, error);
    if (error) fail(error.value());
    path_ = (to.is_absolute() ? to : std::filesystem::path(path_).parent_path() / to).string();
  }
  const std::filesystem::path target(path_);
  const std::string name = target.filename().string();
  directory_ = target.has_parent_path() ? target.parent_path().string() : ".";
  struct stat info;
  const bool exists = ::stat(path_.c_str(), &info) == 0;
  TERN_CHECK(!name.empty() && name != "." && name != ".." && (!exists || S_ISREG(info.st_mode)), IoError, "[", op_,
             "] expected the path of a regular file to write, got '", path, "'");
  const std::string prefix = temporary_prefix(name);
  remove_stale(directory_, prefix);
  for (uint64_t number = static_cast<uint64_t>(::getpid()) * 1000;; ++number) {
    temporary_ = directory_ + "/" + prefix + std::to_string(number) + std::string(kTemporarySuffix);
    descriptor_ = ::open(temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
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
  ::unlink(temporary_.c_str());
  ::close(descriptor_);
  descriptor_ = -1;
}

void AtomicFile::fail(int error) const {
  throw IoError(concat("[", op_, "] cannot write '", path_, "': ", reason(error)));
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
  size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t got = ::write(descriptor_, buffer_.data() + done, buffer_.size() - done);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) fail(errno);
    done += static_cast<size_t>(got);
  }
  buffer_.clear();
}

void AtomicFile::commit() {
  TERN_CHECK(descriptor_ >= 0, StateError, "[", op_, "] expected an open file, got '", path_,
             "' after it was committed");
  flush();
  if (::fsync(descriptor_) != 0) fail(errno);
  if (::rename(temporary_.c_str(), path_.c_str()) != 0) fail(errno);
  ::close(descriptor_);
  descriptor_ = -1;
  // The new name is on disk only once the directory is. Some file systems do not sync directories; that is no error.
  const int directory = ::open(directory_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (directory < 0) return;
  const int failed = ::fsync(directory) == 0 || errno == EINVAL || errno == ENOTSUP ? 0 : errno;
  ::close(directory);
  if (failed != 0) fail(failed);
}

void write_file_atomic(const char* op, const std::string& path, std::string_view content) {
  AtomicFile file(op, path);
  file.write(content);
  file.commit();
}

}  // namespace tern::io
