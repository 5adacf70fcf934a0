#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tern/core/error.h>
#include <tern/train/loop/process.h>
#include <tern/train/run/run_directory.h>
#include <tern/train/settings/schema.h>

namespace tern::train {
namespace {

namespace fs = std::filesystem;

constexpr const char* kOp = "run";
constexpr const char* kLock = ".lock";
constexpr const char* kConfigName = "config.json";

}  // namespace

const std::vector<std::string>& RunDirectory::file_names() {
  static const std::vector<std::string> names{"config.json",      "metrics.jsonl",
                                              "layers.jsonl",     "last.safetensors",
                                              "best.safetensors", "summary.json",
                                              "evaluation.json",  "report.html",
                                              "profile.json",     "trace.json",
                                              "samples.jsonl",    "tokenizer.json",
                                              "tokenizer.bin",    "best.previous.safetensors"};
  return names;
}

RunDirectory::RunDirectory(const std::string& path, OpenRun how) {
  if (how == OpenRun::kResume) {
    std::error_code ignored;
    const bool is_directory = fs::is_directory(path, ignored);
    if (is_directory) directory_ = io::Directory::open(kOp, path);
    TERN_CHECK(is_directory && has(kConfigName), train::UsageError, "[run] expected a run in ", path,
               " to go on with, got ",
               is_directory                ? "a directory without config.json"
               : fs::exists(path, ignored) ? "a file of that name"
                                           : "no directory of that name");
  } else {
    make_directory(path);
    directory_ = io::Directory::open(kOp, path);
  }
  const bool was_killed = lock();
  try {
    check_use(how, was_killed);
  } catch (...) {
    // The lock of a program that was killed stays: it may be all that says whose the other files are.
    if (!was_killed) ::unlinkat(directory_->descriptor(), kLock, 0);
    ::close(descriptor_);
    throw;
  }
}

RunDirectory::~RunDirectory() {
  struct stat own, named;  // somebody may have removed it, and another run begun
  if (::fstat(descriptor_, &own) == 0 && ::fstatat(directory_->descriptor(), kLock, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
      own.st_ino == named.st_ino && own.st_dev == named.st_dev)
    ::unlinkat(directory_->descriptor(), kLock, 0);
  ::close(descriptor_);
}

io::Json RunDirectory::json(const char* op, const std::string& name) const {
  constexpr uint64_t kMaxBytes = uint64_t{256} << 20;
  return io::Json::parse(op, file(name).text(), io::read_file(op, file(name), kMaxBytes));
}

void RunDirectory::clear() const {
  for (const std::string& name : file_names()) directory_->remove(name);
}

// Whether a run wrote config.json: many programs call their settings so, ours alone say which Tern it was.
bool RunDirectory::has_config_of_run() const try {
  const io::Json config = json(kOp, kConfigName);
  const io::Json* environment = config.is_object() ? config.find("environment") : nullptr;
  return environment != nullptr && environment->is_object() && environment->contains("tern");
} catch (const FormatError&) {
  return false;
}

void RunDirectory::check_use(OpenRun how, bool was_killed) const {
  const auto found =
      std::find_if(file_names().begin(), file_names().end(), [&](const std::string& name) { return has(name); });
  if (found == file_names().end()) return;
  // config.json is the first file that a run writes and the first that clear() removes: without it, this is what a
  // program killed in clear() left, with its lock, or what a Trainer on its own writes, metrics and a checkpoint.
  const bool is_run =
      has(kConfigName) ? has_config_of_run() : was_killed || has("metrics.jsonl") || has("last.safetensors");
  if (!is_run) {
    const std::string got = has(kConfigName) ? "a config.json that no run wrote" : *found + " but no run";
    throw UsageError(how == OpenRun::kNew ? concat("[run] expected an unused directory, got ", path(), " with ", got)
                                          : concat("[run] expected a run in ", path(), " to ",
                                                   how == OpenRun::kResume ? "go on with" : "replace", ", got ", got));
  }
  if (how == OpenRun::kNew)
    throw UsageError(concat("[run] expected an unused directory, got ", path(), " with a run in it (", *found,
                            "); give --resume to go on, --overwrite to replace it"));
}

// Whoever holds the lock removes its file at the end, so the file that was locked may not be the one that has the name
// by then.
bool RunDirectory::lock() {
  const int directory = directory_->descriptor();
  constexpr int kFlags = O_RDWR | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK;
  for (;;) {
    descriptor_ = ::openat(directory, kLock, kFlags);
    const bool was_there = descriptor_ >= 0;
    if (!was_there && errno == ENOENT) descriptor_ = ::openat(directory, kLock, kFlags | O_CREAT, 0666);
    TERN_CHECK(descriptor_ >= 0, IoError, "[run] expected a directory to write in, got ", path(), ": ",
               errno == ELOOP ? "its .lock is a symbolic link" : std::generic_category().message(errno));
    const int refused = ::flock(descriptor_, LOCK_EX | LOCK_NB) == 0 ? 0 : errno;
    if (refused == EWOULDBLOCK) {
      ::close(descriptor_);
      throw UsageError(concat("[run] expected to be alone in ", path(), ", got another process at work there"));
    }
    struct stat locked, named;
    if (refused != 0 ||  // a file system without locks: as good as can be
        (::fstat(descriptor_, &locked) == 0 && ::fstatat(directory, kLock, &named, AT_SYMLINK_NOFOLLOW) == 0 &&
         locked.st_ino == named.st_ino && locked.st_dev == named.st_dev))
      return was_there;
    ::close(descriptor_);
  }
}

}  // namespace tern::train
