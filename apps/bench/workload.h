// The workloads that bench times.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace tern::bench {

/// Another computation that a workload is held against, timed in turn with it.
struct Beside {
  std::string name;  ///< of its time in milliseconds, in the JSON line
  std::function<void()> step;
};

/// A workload that has been set up: models built, data drawn.
struct Prepared {
  std::function<void()> step;
  std::function<double()> loss = {};  ///< of the training data with the present weights; empty for what does not train
  std::vector<Beside> beside = {};
};

struct Workload {
  std::string name;
  std::string what;         ///< one line for --help
  int64_t items = 1;        ///< examples, tokens or calls a step
  double flop = 0;          ///< operations a step by direct algorithms: two a multiply-add
  double bytes = 0;         ///< that a step must read from memory, where that is what bounds it
  int64_t repetitions = 1;  ///< timed steps for each that --reps asks for
  std::function<Prepared()> prepare;
};

std::vector<Workload> vision_workloads();
std::vector<Workload> grouped_workloads();
std::vector<Workload> language_workloads();
std::vector<Workload> operator_workloads();
std::vector<Workload> packed_workloads();

}  // namespace tern::bench
