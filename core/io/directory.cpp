#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tern/core/error.h>
#include <tern/core/io/directory.h>
#include <tern/core/text.h>

namespace tern::io {
namespace {

namespace fs = std::filesystem;

}  // namespace

FilePath::FilePath(DirectoryHandle directory, const std::string& name) : directory_(std::move(directory)), name_(name) {
  TERN_CHECK(!name.empty() && name != "." && name != ".." && name.find('/') == std::string::npos &&
                 name.find('\0') == std::string::npos,
             ValueError, "[directory] expected the name of a file in ", directory_->path(), ", got '", name, "'");
  text_ = (fs::path(directory_->path()) / name).string();
}

int FilePath::descriptor() const {
  return directory_ != nullptr ? directory_->descriptor() : AT_FDCWD;
}

FilePath FilePath::beside(const std::string& name) const {
  return directory_ != nullptr ? directory_->file(name) : FilePath(fs::path(text_).parent_path() / name);
}

bool FilePath::exists() const {
  struct stat info;
  return ::fstatat(descriptor(), name_.c_str(), &info, directory_ != nullptr ? AT_SYMLINK_NOFOLLOW : 0) == 0;
}

bool FilePath::is_regular() const {
  struct stat info;
  return ::fstatat(descriptor(), name_.c_str(), &info, directory_ != nullptr ? AT_SYMLINK_NOFOLLOW : 0) == 0 &&
         S_ISREG(info.st_mode);
}

DirectoryHandle Directory::try_open(const char* op, const std::string& path) {
  int descriptor = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  // One that may be used but not listed.
  if (descriptor < 0 && errno == EACCES) descriptor = ::open(path.c_str(), O_PATH | O_DIRECTORY | O_CLOEXEC);
  return descriptor >= 0 ? DirectoryHandle(new Directory(op, path, descriptor)) : nullptr;
}

DirectoryHandle Directory::open(const char* op, const std::string& path) {
  DirectoryHandle directory = try_open(op, path);
  TERN_CHECK(directory != nullptr, IoError, "[", op, "] cannot open the directory '", path,
             "': ", system_reason(errno));
  return directory;
}

Directory::~Directory() {
  ::close(descriptor_);
}

std::string Directory::present_path() const {
  struct stat held, named;
  if (::fstat(descriptor_, &held) != 0 ||
      (::stat(path_.c_str(), &named) == 0 && held.st_ino == named.st_ino && held.st_dev == named.st_dev))
    return path_;
  std::error_code error;
  const fs::path now = fs::read_symlink(concat("/proc/self/fd/", descriptor_), error);
  return error ? path_ : now.string();
}

void Directory::remove(const std::string& name) const {
  TERN_CHECK(::unlinkat(descriptor_, file(name).name().c_str(), 0) == 0 || errno == ENOENT, IoError, "[", op_,
             "] cannot remove '", file(name).text(), "': ", system_reason(errno));
}

void Directory::rename(const std::string& from, const std::string& to) const {
  TERN_CHECK(::renameat(descriptor_, file(from).name().c_str(), descriptor_, file(to).name().c_str()) == 0, IoError,
             "[", op_, "] cannot rename '", file(from).text(), "' to ", to, ": ", system_reason(errno));
}

bool Directory::link(const std::string& from, const std::string& to) const {
  return ::linkat(descriptor_, file(from).name().c_str(), descriptor_, file(to).name().c_str(), 0) == 0;
}

std::vector<std::string> Directory::names() const {
  // By a descriptor of its own: the position in the one that is held is shared by all threads that list it.
  const int own = ::openat(descriptor_, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  DIR* const stream = own >= 0 ? ::fdopendir(own) : nullptr;
  int error = stream == nullptr ? errno : 0;
  if (stream == nullptr && own >= 0) ::close(own);
  std::vector<std::string> names;
  while (stream != nullptr) {
    errno = 0;  // the end and an error both give a null pointer
    const dirent* const entry = ::readdir(stream);
    if (entry == nullptr) {
      error = errno;
      ::closedir(stream);
      break;
    }
    std::string name = entry->d_name;
    if (name != "." && name != "..") names.push_back(std::move(name));
  }
  TERN_CHECK(error == 0, IoError, "[", op_, "] cannot list the directory '", path_, "': ", system_reason(error));
  std::sort(names.begin(), names.end());
  return names;
}

}  // namespace tern::io
