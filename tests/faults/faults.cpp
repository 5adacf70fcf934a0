// A library for LD_PRELOAD that lets the n-th write, sync or rename of certain files go wrong.
//
//   TERN_FAULT_AT    n, from 1
//   TERN_FAULT_NAME  part of the path of the files that count; a sync of the directory they lie in counts as well
//   TERN_FAULT_HOW   error: half of a write happens, then nothing but ENOSPC (or EIO) comes back
//                    kill: half of a write happens, or nothing, then SIGKILL
//                    kill_after: all of it happens, then SIGKILL
//
// When it strikes it says so on standard error.
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>

#include <linux/limits.h>
#include <sys/syscall.h>
#include <unistd.h>

namespace {

enum class Fault { kNone, kError, kKill, kKillAfter };

// Counts one operation on a file of that path; what is to become of it.
Fault fault_on(const char* path, bool is_directory) {
  static const char* const at = std::getenv("TERN_FAULT_AT");
  static const char* const name = std::getenv("TERN_FAULT_NAME");
  static const char* const how = std::getenv("TERN_FAULT_HOW");
  static long count = 0;
  static bool opened = false;  // a file that counts has been seen: the next sync of a directory is its own
  if (at == nullptr || name == nullptr || how == nullptr) return Fault::kNone;
  const bool ours = std::strstr(path, name) != nullptr;
  if (!ours && !(is_directory && opened)) return Fault::kNone;
  opened = ours;
  if (++count != std::atol(at)) return Fault::kNone;
  static constexpr char kText[] = "fault injected\n";
  syscall(SYS_write, STDERR_FILENO, kText, sizeof kText - 1);
  return std::strcmp(how, "error") == 0  ? Fault::kError
         : std::strcmp(how, "kill") == 0 ? Fault::kKill
                                         : Fault::kKillAfter;
}

Fault fault_on(int descriptor, bool may_be_directory) {
  char link[64], path[PATH_MAX];
  std::snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  const ssize_t length = readlink(link, path, sizeof path - 1);
  if (length <= 0 || path[0] != '/') return Fault::kNone;
  path[length] = '\0';
  return fault_on(path, may_be_directory);
}

long failed(int error) {
  errno = error;
  return -1;
}

}  // namespace

extern "C" {

ssize_t write(int descriptor, const void* data, size_t bytes) {
  const Fault fault = fault_on(descriptor, false);
  const bool half = fault == Fault::kError || fault == Fault::kKill;
  const ssize_t written = syscall(SYS_write, descriptor, data, half ? bytes / 2 : bytes);
  if (fault == Fault::kKill || fault == Fault::kKillAfter) raise(SIGKILL);
  return fault == Fault::kError ? failed(ENOSPC) : written;
}

int fsync(int descriptor) {
  const Fault fault = fault_on(descriptor, true);
  if (fault == Fault::kKill) raise(SIGKILL);
  if (fault == Fault::kError) return static_cast<int>(failed(EIO));
  const int result = static_cast<int>(syscall(SYS_fsync, descriptor));
  if (fault == Fault::kKillAfter) raise(SIGKILL);
  return result;
}

int renameat(int from_directory, const char* from, int to_directory, const char* to) noexcept {
  const Fault fault = fault_on(to, false);
  if (fault == Fault::kKill) raise(SIGKILL);
  if (fault == Fault::kError) return static_cast<int>(failed(ENOSPC));
  const int result = static_cast<int>(syscall(SYS_renameat, from_directory, from, to_directory, to));
  if (fault == Fault::kKillAfter) raise(SIGKILL);
  return result;
}

}  // extern "C"
