// Running the programs of apps/ as processes, as a user would.
#pragma once

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <functional>
#include <stdexcept>
#include <string>
#include <vector>

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include "temporary_directory.h"

namespace tern::testing {

struct ProcessResult {
  int exit_code = -1;  ///< 128 + signal if a signal ended it
  std::string out, err;
};

/// Runs a program with arguments, standard input closed, and waits for it. `on_output` sees standard output as it grows
/// and may send signals to the process.
inline ProcessResult run_command(std::string path, std::vector<std::string> arguments,
                                 const std::function<void(pid_t, const std::string& out)>& on_output = {}) {
  std::vector<char*> argv{path.data()};
  for (std::string& argument : arguments) argv.push_back(argument.data());
  argv.push_back(nullptr);

  int out[2], err[2];
  if (pipe2(out, O_CLOEXEC) != 0 || pipe2(err, O_CLOEXEC) != 0) throw std::runtime_error("pipe failed");
  const pid_t child = fork();
  if (child == 0) {
    dup2(open("/dev/null", O_RDONLY), STDIN_FILENO);
    dup2(out[1], STDOUT_FILENO);
    dup2(err[1], STDERR_FILENO);
    execv(path.c_str(), argv.data());
    _exit(127);
  }
  close(out[1]);
  close(err[1]);

  ProcessResult result;
  pollfd fds[2] = {{out[0], POLLIN, 0}, {err[0], POLLIN, 0}};
  std::string* texts[2] = {&result.out, &result.err};
  for (int open_pipes = 2; open_pipes > 0;) {
    if (poll(fds, 2, -1) < 0) break;
    for (int i = 0; i < 2; ++i) {
      if (fds[i].fd < 0 || fds[i].revents == 0) continue;
      char buffer[4096];
      const ssize_t n = read(fds[i].fd, buffer, sizeof buffer);
      if (n > 0) {
        texts[i]->append(buffer, static_cast<size_t>(n));
        if (i == 0 && on_output) on_output(child, result.out);
      } else {
        close(fds[i].fd);
        fds[i].fd = -1;
        --open_pipes;
      }
    }
  }
  int status = 0;
  waitpid(child, &status, 0);
  result.exit_code = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return result;
}

/// Runs build/apps/PROGRAM.
inline ProcessResult run_program(const std::string& program, std::vector<std::string> arguments,
                                 const std::function<void(pid_t, const std::string& out)>& on_output = {}) {
  return run_command(std::string(TERN_APPS_DIR) + "/" + program, std::move(arguments), on_output);
}

/// The directory of the large data sets, from TERN_TEST_DATA; empty if it is not set.
inline std::string test_data() {
  const char* directory = std::getenv("TERN_TEST_DATA");
  return directory == nullptr ? "" : directory;
}

/// The images that ship with the sources.
inline std::string mini_data() {
  return std::string(TERN_SOURCE_DIR) + "/data/cifar10_mini";
}

#define TERN_NEEDS_TEST_DATA() \
  if (tern::testing::test_data().empty()) GTEST_SKIP() << "TERN_TEST_DATA does not name the data sets"

}  // namespace tern::testing
