// The directory of one run: who may write there, and which of its files there are.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace tern::train {

/// What a run's directory is opened for.
enum class OpenRun {
  kNew,       ///< a directory that holds no run, made if it is not there
  kResume,    ///< one that holds a run, to go on with it
  kOverwrite  ///< either; what another run left goes with clear()
};

/// A run's directory, locked against other processes for as long as the object lives.
///
///   const train::RunDirectory out("runs/a", train::OpenRun::kNew);
///   io::write_file_atomic("config", out.file("config.json"), text);
class RunDirectory {
 public:
  /// Throws UsageError for a directory in use (kNew), without a run (kResume), or locked by another process; IoError,
  /// with the system's reason, where it cannot be made or written.
  RunDirectory(const std::string& path, OpenRun how);
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  const std::string& path() const { return path_; }
  /// The path of a file in it.
  std::string file(std::string_view name) const;
  bool has(std::string_view name) const;  ///< whether that file is there
  /// Removes the files of a run; others stay. Throws IoError.
  void clear() const;

  /// Names of the files that a run writes; the configuration, which comes first, is what makes a directory a run's.
  static const std::vector<std::string>& file_names();

 private:
  void lock();

  std::string path_;
  int descriptor_ = -1;  // of the lock
};

}  // namespace tern::train
