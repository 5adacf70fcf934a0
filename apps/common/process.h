// What a program settles before and while it works: how threads wait, and signals that ask it to stop.
#pragma once

#include <string>

namespace tern::train {

/// To be called first in main. Sees to it that OpenMP threads wait for each other by sleeping, after a short spin, so
/// that a busy neighbour on one core costs its share of the time and not many times that. The OpenMP run time reads its
/// settings before main, so this starts the program again, once, with the environment set; it does nothing where the
/// user has set OMP_WAIT_POLICY or GOMP_SPINCOUNT, and nothing worse than that where the program cannot be started
/// again.
void settle_threads(char** argv);

/// Creates a directory with its parents, if it is not there. Throws IoError naming it and the system's reason.
void make_directory(const std::string& path);
/// Removes a file, if it is there. Throws IoError likewise.
void remove_file(const std::string& path);

/// Catches SIGINT and SIGTERM from its construction on, for as long as it lives: the first asks the program to stop, a
/// second one ends it at once. One of these a process.
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
