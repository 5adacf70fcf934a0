#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tern/core/error.h>
#include <tern/train/process.h>
#include <tern/train/run_directory.h>
#include <tern/train/schema.h>

namespace tern::train {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kLock = ".lock";

}  // namespace

const std::vector<std::string>& RunDirectory::file_names() {
  static const std::vector<std::string> names{
      "config.json",   "metrics.jsonl",   "layers.jsonl", "last.safetensors", "best.safetensors",
      "summary.json",  "evaluation.json", "report.html",  "profile.json",     "trace.json",
      "samples.jsonl", "tokenizer.json",  "tokenizer.bin"};
  return names;
}

RunDirectory::RunDirectory(const std::string& path, OpenRun how) : path_(path) {
  if (how == OpenRun::kResume) {
    TERN_CHECK(has("config.json"), train::UsageError, "[run] expected a run in ", path,
               " to go on with, got a directory without config.json");
  } else {
    make_directory(path);
  }
  lock();
  if (how != OpenRun::kNew) return;
  for (const std::string& name : file_names()) {
    if (!has(name)) continue;
    ::unlink(file(kLock).c_str());
    ::close(descriptor_);
    throw UsageError(concat("[run] expected an unused directory, got ", path, " with a run in it (", name,
                            "); give --resume to go on, --overwrite to replace it"));
  }
}

RunDirectory::~RunDirectory() {
  ::unlink(file(kLock).c_str());
  ::close(descriptor_);
}

std::string RunDirectory::file(std::string_view name) const {
  return (fs::path(path_) / name).string();
}

bool RunDirectory::has(std::string_view name) const {
  std::error_code ignored;
  return fs::exists(file(name), ignored);
}

void RunDirectory::clear() const {
  for (const std::string& name : file_names()) remove_file(file(name));
}

// Whoever holds the lock removes its file at the end, so the file that was locked may not be the one that has the name
// by then.
void RunDirectory::lock() {
  const std::string path = file(kLock);
  for (;;) {
    descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    TERN_CHECK(descriptor_ >= 0, IoError, "[run] expected a directory to write in, got ", path_, ": ",
               std::generic_category().message(errno));
    const int refused = ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    if (refused == EWOULDBLOCK) {
      ::close(descriptor_);
      throw UsageError(concat("[run] expected to be alone in ", path_, ", got another process at work there"));
    }
    struct stat locked, named;
    if (refused != 0 ||  // a file system without locks: as good as can be
        (::fstat(descriptor_, &locked) == 0 && ::stat(path.c_str(), &named) == 0 && locked.st_ino == named.st_ino &&
         locked.st_dev == named.st_dev))
      return;
    ::close(descriptor_);
  }
}

}  // namespace tern::train
