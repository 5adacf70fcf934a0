// What a program needs from the system: directories, files, signals that ask it to stop.
#pragma once

#include <string>

namespace tern::train {

/// Creates a directory with its parents, if it is not there. Throws IoError naming it and the system's reason.
void make_directory(const std::string& path);

/// Catches SIGINT and SIGTERM from its construction on, for as long as it lives: the first asks the program to stop, a
/// second one ends it at once, with exit code 128 + signal. One of these a process at a time.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;

  /// The signal that arrived, 0 if none has.
  static int received();
};

}  // namespace tern::train
