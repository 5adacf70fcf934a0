#include <atomic>
#include <csignal>
#include <filesystem>
#include <system_error>

#include <unistd.h>

#include <tern/core/error.h>
#include <tern/train/loop/process.h>

namespace tern::train {
namespace {

std::atomic<int> stop_signal{0};
static_assert(std::atomic<int>::is_always_lock_free);
struct sigaction previous_int, previous_term;

void on_signal(int signal) {
  int expected = 0;
  if (!stop_signal.compare_exchange_strong(expected, signal)) _exit(128 + signal);
}

}  // namespace

void make_directory(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  TERN_CHECK(!error && std::filesystem::is_directory(path, error), IoError, "[run] expected to create the directory ",
             path, ", got: ", error ? error.message() : "a file of that name");
}

StopSignal::StopSignal() {
  stop_signal = 0;
  struct sigaction action = {};
  action.sa_handler = on_signal;
  sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  sigaction(SIGINT, &action, &previous_int);
  sigaction(SIGTERM, &action, &previous_term);
}

StopSignal::~StopSignal() {
  sigaction(SIGINT, &previous_int, nullptr);
  sigaction(SIGTERM, &previous_term, nullptr);
}

int StopSignal::received() {
  return stop_signal;
}

}  // namespace tern::train
