// best.safetensors of a run, kept in step with last.safetensors: a best checkpoint is one of the run as it is
// continued, never one of epochs that were abandoned because the run was resumed from before them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>

#include <tern/core/io/directory.h>
#include <tern/core/io/tensor_map.h>

namespace tern::train {

/// The measurement that a best checkpoint was written after: its metadata "tern.best" says so, and last.safetensors
/// says which one belongs to it.
struct BestMark {
  double score = -1;  ///< Task::score() of the validation; -1: there is none yet
  int64_t step = -1;  ///< optimizer steps made before it; -1: there is none yet

  bool is_none() const { return step < 0; }
  bool operator==(const BestMark&) const = default;
};

/// The mark as metadata has it, {"step", "score"}.
std::string to_text(const BestMark& mark);
/// The mark in a file's metadata; none for a file without one, or one that cannot be read.
std::optional<BestMark> mark_of(const io::FilePath& path);

/// The best checkpoint in a run's directory. Between two writes of last.safetensors a new best one may take its place;
/// the one that last.safetensors knows then stays as best.previous.safetensors, to go back to. Everything throws
/// IoError where the directory cannot be changed.
class BestCheckpoint {
 public:
  explicit BestCheckpoint(io::DirectoryHandle directory) : directory_(std::move(directory)) {}

  io::FilePath path() const;
  /// Called before a new best checkpoint is written.
  void keep_previous() const;
  /// Called after last.safetensors was written: it knows the present one.
  void forget_previous() const;
  /// Puts the one with this mark into place and removes the other; false if neither has it.
  bool restore(const BestMark& mark) const;
  /// Removes both, as far as Tern wrote them.
  void remove() const;

 private:
  io::DirectoryHandle directory_;
};

}  // namespace tern::train
