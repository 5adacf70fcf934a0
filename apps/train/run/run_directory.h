// The directory of one run: who may write there, and which of its files there are.
#pragma once

#include <string>
#include <vector>

#include <tern/core/io/file.h>
#include <tern/core/io/json.h>

namespace tern::train {

/// What a run's directory is opened for.
enum class OpenRun {
  kNew,       ///< a directory without files of a run's names, made if it is not there
  kResume,    ///< one that holds a run, to go on with it
  kOverwrite  ///< either; what another run left goes with clear()
};

/// A run's directory, held open and locked against other processes for as long as the object lives: wherever it is
/// moved to, its files stay the run's, and what takes its path is another's. A run is there where config.json names the
/// Tern that wrote it ("environment": {"tern": ...}), or without config.json what a program that was killed or a
/// Trainer has left: its lock, metrics.jsonl or last.safetensors. Others' files of the same names, such as config.json
/// and tokenizer.json of a Hugging Face model, are never touched.
///
///   const train::RunDirectory out("runs/a", train::OpenRun::kNew);
///   io::write_file_atomic("config", out.file("config.json"), text);
class RunDirectory {
 public:
  /// Throws UsageError for a directory in use (kNew), without a run (kResume), with others' files of a run's names, or
  /// locked by another process; IoError, with the system's reason, where it cannot be made, read or written.
  RunDirectory(const std::string& path, OpenRun how);
  ~RunDirectory();
  RunDirectory(const RunDirectory&) = delete;
  RunDirectory& operator=(const RunDirectory&) = delete;

  const std::string& path() const { return directory_->path(); }
  const io::DirectoryHandle& handle() const { return directory_; }
  /// A file in it; links there are not followed (io::FilePath).
  io::FilePath file(const std::string& name) const { return directory_->file(name); }
  bool has(const std::string& name) const { return directory_->has(name); }  ///< whether that file is there
  /// The value of a JSON file. Throws IoError, FormatError.
  io::Json json(const char* op, const std::string& name) const;
  /// Removes the files of a run; others stay. Throws IoError.
  void clear() const;

  /// Names of the files that a run writes, the configuration first.
  static const std::vector<std::string>& file_names();

 private:
  bool lock();  // whether a program that was killed had left its lock
  void check_use(OpenRun how, bool was_killed) const;
  bool has_config_of_run() const;

  io::DirectoryHandle directory_;
  int descriptor_ = -1;  // of the lock
};

}  // namespace tern::train
