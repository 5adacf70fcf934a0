// Showing how a run goes: a bar on a terminal, plain lines elsewhere.
#pragma once

#include <chrono>
#include <cstdint>
#include <ostream>
#include <string>

#include <tern/train/loop/metrics.h>

namespace tern::train {

/// Where a run is. Fractions are in [0, 1].
struct ProgressState {
  int64_t epoch = 0;            ///< from 0
  int64_t epochs = 0;           ///< 0: the run is told of in steps alone
  int64_t step = 0;             ///< steps done in this epoch, or in the run
  int64_t steps = 0;            ///< steps an epoch, or of the run
  std::string figures = {};     ///< of the epoch so far: "loss 1.2345 acc 67.89%"
  double lr = 0;                ///< of the first group
  double rate = 0;              ///< examples a second
  std::string unit = "images";  ///< what is counted there
  double data_wait = 0;         ///< share of the time spent waiting for the loader
  double eta_s = 0;             ///< to the end of the run
  MetricRow extra;              ///< what else is worth showing, such as mean_bits and sparsity
};

/// Writes progress to a stream. On a terminal one line is redrawn a few times a second; elsewhere a plain line is
/// written now and then.
class Progress {
 public:
  struct Options {
    bool terminal = false;       ///< redraw one line; see is_terminal
    double seconds_between = 0;  ///< at least so long between two updates; 0: 0.2 on a terminal, 10 elsewhere
  };
  Progress(std::ostream& out, Options options) : out_(out), options_(options) {}

  /// True once enough time has passed for another update: what an update shows may be worked out only then.
  bool due() const;
  /// Draws the bar anew, or writes a line, now.
  void update(const ProgressState& state);
  /// A line that stays, such as an epoch's result; takes the bar away first.
  void line(const std::string& text);

 private:
  std::ostream& out_;
  Options options_;
  std::chrono::steady_clock::time_point last_ = std::chrono::steady_clock::now();
  size_t bar_width_ = 0;  // characters of the bar on the screen
};

/// Whether standard output is a terminal that can redraw a line.
bool stdout_is_terminal();

/// "1:02:03", "4:05"; "?" for what is negative, not finite or above 10^9
std::string clock_text(double seconds);

/// "epoch 2/10 step 120/391 loss 1.234 ..." without a line break.
std::string progress_text(const ProgressState& state);

}  // namespace tern::train
