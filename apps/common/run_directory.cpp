#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <system_error>

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include <tern/core/error.h>
#include <tern/core/io/json.h>
#include <tern/train/process.h>
#include <tern/train/run_directory.h>
#include <tern/train/schema.h>

namespace tern::train {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kLock = ".lock";
constexpr const char* kConfigName = "config.json";

// Whether a run wrote it: many programs call their settings so, ours alone say which Tern it was.
bool is_config_of_run(const std::string& path) {
  try {
    const io::Json json = io::Json::parse_file("run", path);
    const io::Json* environment = json.is_object() ? json.find("environment") : nullptr;
    return environment != nullptr && environment->is_object() && environment->contains("tern");
  } catch (const FormatError&) {
    return false;
  }
}

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

RunDirectory::RunDirectory(const std::string& path, OpenRun how) : path_(path) {
  if (how == OpenRun::kResume) {
    std::error_code ignored;
    TERN_CHECK(has(kConfigName), train::UsageError, "[run] expected a run in ", path, " to go on with, got ",
               fs::is_directory(path, ignored) ? "a directory without config.json"
               : fs::exists(path, ignored)     ? "a file of that name"
                                               : "no directory of that name");
  } else {
    make_directory(path);
  }
  const bool was_killed = lock();
  try {
    check_use(how, was_killed);
  } catch (...) {
    // The lock of a program that was killed stays: it may be all that says whose the other files are.
    if (!was_killed) ::unlink(file(kLock).c_str());
    ::close(descriptor_);
    throw;
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

void RunDirectory::check_use(OpenRun how, bool was_killed) const {
  const auto found =
      std::find_if(file_names().begin(), file_names().end(), [&](const std::string& name) { return has(name); });
  if (found == file_names().end()) return;
  // config.json is the first file that a run writes and the first that clear() removes: without it, this is what a
  // program killed in clear() left, with its lock, or what a Trainer on its own writes, metrics and a checkpoint.
  const bool is_run = has(kConfigName) ? is_config_of_run(file(kConfigName))
                                       : was_killed || has("metrics.jsonl") || has("last.safetensors");
  if (!is_run) {
    const std::string got = has(kConfigName) ? "a config.json that no run wrote" : *found + " but no run";
    throw UsageError(how == OpenRun::kNew ? concat("[run] expected an unused directory, got ", path_, " with ", got)
                                          : concat("[run] expected a run in ", path_, " to ",
                                                   how == OpenRun::kResume ? "go on with" : "replace", ", got ", got));
  }
  if (how == OpenRun::kNew)
    throw UsageError(concat("[run] expected an unused directory, got ", path_, " with a run in it (", *found,
                            "); give --resume to go on, --overwrite to replace it"));
}

// Whoever holds the lock removes its file at the end, so the file that was locked may not be the one that has the name
// by then.
bool RunDirectory::lock() {
  const std::string path = file(kLock);
  for (;;) {
    descriptor_ = ::open(path.c_str(), O_RDWR | O_CLOEXEC);
    const bool was_there = descriptor_ >= 0;
    if (!was_there) descriptor_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0666);
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
      return was_there;
    ::close(descriptor_);
  }
}

}  // namespace tern::train
