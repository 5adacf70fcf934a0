// bench: times Tern on the workloads it is compared with other frameworks on, through its public API.
#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <iterator>
#include <optional>
#include <span>
#include <utility>

#include <tern/core/cpu.h>
#include <tern/core/error.h>
#include <tern/core/parallel.h>
#include <tern/core/random.h>
#include <tern/core/storage.h>
#include <tern/core/workers.h>
#include <tern/train/loop/metrics.h>
#include <tern/train/loop/process.h>
#include <tern/train/settings/cli.h>

#include "machine.h"
#include "workload.h"

namespace tern::bench {
namespace {

constexpr int kWarmUp = 2;

std::vector<Workload> all_workloads() {
  std::vector<Workload> all = vision_workloads();
  for (auto more : {grouped_workloads(), language_workloads(), operator_workloads(), packed_workloads()})
    std::move(more.begin(), more.end(), std::back_inserter(all));
  return all;
}

double median(std::vector<double> values) {
  const auto middle = values.begin() + static_cast<std::ptrdiff_t>(values.size() / 2);
  std::nth_element(values.begin(), middle, values.end());
  if (values.size() % 2 == 1) return *middle;
  return (*middle + *std::max_element(values.begin(), middle)) / 2;
}

double rounded(double v, double parts) {
  return std::round(v * parts) / parts;
}

struct Result {
  double ms = 0;
  std::vector<std::pair<std::string, double>> beside_ms;
  double loss = std::nan("");
  int64_t peak_bytes = 0;
  double allocations = 0, system_allocations = 0;  // a step
};

double time_ms(const std::function<void()>& step) {
  const auto start = std::chrono::steady_clock::now();
  step();
  return std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - start).count();
}

Result run(const Workload& workload, int64_t reps) {
  release_cached_memory();
  manual_seed(0);
  Result result;
  const Prepared prepared = workload.prepare();
  for (int i = 0; i < kWarmUp; ++i) prepared.step();

  reset_peak_memory();
  const MemoryStats before = memory_stats();
  std::vector<double> times;
  std::vector<std::vector<double>> beside_times(prepared.beside.size());
  // In turn, so that a busy moment of the machine falls on all of them; the first step after another one's is not
  // timed.
  for (int64_t rep = 0; rep < reps; ++rep) {
    if (!prepared.beside.empty() && rep > 0) prepared.step();
    for (int64_t i = 0; i < workload.repetitions; ++i) times.push_back(time_ms(prepared.step));
    for (size_t b = 0; b < prepared.beside.size(); ++b) {
      prepared.beside[b].step();
      for (int64_t i = 0; i < workload.repetitions; ++i) beside_times[b].push_back(time_ms(prepared.beside[b].step));
    }
  }
  const MemoryStats after = memory_stats();
  const auto steps = static_cast<double>(times.size());
  result.ms = median(std::move(times));
  for (size_t b = 0; b < beside_times.size(); ++b)
    result.beside_ms.emplace_back(prepared.beside[b].name, median(std::move(beside_times[b])));
  result.peak_bytes = after.peak_bytes;
  result.allocations = static_cast<double>(after.allocations - before.allocations) / steps;
  result.system_allocations = static_cast<double>(after.system_allocations - before.system_allocations) / steps;
  if (prepared.loss) result.loss = prepared.loss();
  return result;
}

// The share of the bound that a workload reaches: the time that its operations would take at the processor's peak, by
// direct algorithms, over the time they took. Winograd convolutions, with fewer operations, may exceed 1.
double share_of_bound(const Workload& workload, const Result& result, double peak) {
  return workload.flop / peak * 1e-6 / result.ms;
}

// What a step would take on other numbers of threads, from the time that each chunk of its parallel parts takes on one:
// chunks go to whichever thread is free first, in order. Threads that compete for memory or caches are not in it.
class Projection {
 public:
  explicit Projection(std::vector<int64_t> threads) : threads_(std::move(threads)), parallel_(threads_.size()) {}

  /// Runs a step and takes its times.
  void run(const std::function<void()>& step) {
    const auto start = std::chrono::steady_clock::now();
    detail::observe_chunks(
        [](void* self, const double* seconds, int64_t chunks) {
          static_cast<Projection*>(self)->add({seconds, static_cast<size_t>(chunks)});
        },
        this);
    step();
    detail::observe_chunks(nullptr, nullptr);
    whole_ = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  }
  double ms(size_t which) const { return (whole_ - in_chunks_ + parallel_[which]) * 1e3; }
  double serial_share() const { return (whole_ - in_chunks_) / whole_; }

 private:
  void add(std::span<const double> seconds) {
    for (const double s : seconds) in_chunks_ += s;
    for (size_t which = 0; which < threads_.size(); ++which) {
      std::vector<double> free_at(static_cast<size_t>(threads_[which]), 0.0);
      for (const double s : seconds) *std::min_element(free_at.begin(), free_at.end()) += s;
      parallel_[which] += *std::max_element(free_at.begin(), free_at.end());
    }
  }

  std::vector<int64_t> threads_;
  std::vector<double> parallel_;  // seconds of the parallel parts, on that many threads
  double whole_ = 0, in_chunks_ = 0;
};

// The step with the least time of `reps`, projected onto several numbers of threads.
void print_projection(const Workload& workload, int64_t reps) {
  static const std::vector<int64_t> kThreads{1, 2, 4, 8, 16};
  manual_seed(0);
  const Prepared prepared = workload.prepare();
  for (int i = 0; i < kWarmUp; ++i) prepared.step();
  std::optional<Projection> best;
  for (int64_t i = 0; i < reps; ++i) {
    Projection projection(kThreads);
    projection.run(prepared.step);
    if (!best || projection.ms(0) < best->ms(0)) best = projection;
  }
  std::printf("%-20s", workload.name.c_str());
  for (size_t which = 0; which < kThreads.size(); ++which) std::printf(" %9.2f", best->ms(which));
  std::printf(" %8.2f%%\n", best->serial_share() * 100);
}

std::string json_line(const Workload& workload, const Result& result, int64_t reps, double peak) {
  train::MetricRow row{{"workload", workload.name},
                       {"ms", rounded(result.ms, 1e3)},
                       {"items_per_s", rounded(static_cast<double>(workload.items) / result.ms * 1e3, 10)},
                       {"threads", int64_t{num_threads()}},
                       {"reps", reps * workload.repetitions}};
  for (const auto& [name, ms] : result.beside_ms) row.push_back({name, rounded(ms, 1e3)});
  if (workload.bytes > 0) row.push_back({"gb_per_s", rounded(workload.bytes / result.ms * 1e-6, 100)});
  if (!std::isnan(result.loss)) row.push_back({"loss", result.loss});
  row.push_back({"gflop_per_s", rounded(workload.flop / result.ms * 1e-6, 10)});
  row.push_back({"share_of_bound", rounded(share_of_bound(workload, result, peak), 1e3)});
  row.push_back({"peak_bytes", result.peak_bytes});
  row.push_back({"allocations", rounded(result.allocations, 1e3)});
  row.push_back({"system_allocations", rounded(result.system_allocations, 1e3)});
  return train::to_json(row).dump();
}

void print_table_line(const Workload& workload, const Result& result, double peak) {
  std::printf("%-20s %10.2f %12.1f %9.1f %8.1f%% %9.1f %11.1f", workload.name.c_str(), result.ms,
              static_cast<double>(workload.items) / result.ms * 1e3, workload.flop / result.ms * 1e-6,
              share_of_bound(workload, result, peak) * 100, static_cast<double>(result.peak_bytes) * 1e-6,
              result.allocations);
  if (!std::isnan(result.loss)) std::printf(" %9.4f", result.loss);
  for (const auto& [name, ms] : result.beside_ms) std::printf("  %s %.3f", name.c_str(), ms);
  if (workload.bytes > 0) std::printf("  %.2f GB/s", workload.bytes / result.ms * 1e-6);
  std::printf("\n");
}

std::vector<Workload> chosen(const std::vector<std::string>& names) {
  std::vector<Workload> all = all_workloads();
  if (names.empty()) return all;
  std::vector<Workload> out;
  for (const std::string& name : names) {
    const auto it = std::find_if(all.begin(), all.end(), [&](const Workload& w) { return w.name == name; });
    if (it == all.end()) {
      std::string known;
      for (const Workload& workload : all) known += (known.empty() ? "" : ", ") + workload.name;
      throw train::UsageError(concat("[bench] unknown workload \"", name, "\"; known are ", known));
    }
    out.push_back(*it);
  }
  return out;
}

int bench(int argc, char** argv) {
  std::vector<std::string> only;
  int64_t threads = 0, reps = 7;
  bool json = false, project = false;
  train::Cli cli("bench", "Times workloads: the median step of R, after two that warm up, each on one fixed batch.");
  cli.option("--only", only, "NAME...", "these workloads; all if not given");
  cli.option("--threads", threads, {.min = 0, .max = 1024}, "N", "threads; 0 for as many as there are processors");
  cli.option("--reps", reps, {.min = 1, .max = 1e6}, "R",
             "timed steps (short ones: a multiple of that); 7 if not given");
  cli.flag("--json", json, "one JSON object a line in place of the table");
  cli.flag("--project", project,
           "time the pieces of a step on one thread, and print what it would take on 1 to 16, were memory no limit");
  cli.epilogue([] {
    std::string text =
        "GFLOP/s counts a workload's operations by direct algorithms; the bound is the time that these would take at\n"
        "the processor's peak, which is measured first. Winograd convolutions, with fewer operations, may exceed it.\n"
        "Allocations are tensors made in a step; memory for them comes from the system in the first steps only.\n\n"
        "Workloads:\n";
    for (const Workload& workload : all_workloads()) {
      std::string line = "  " + workload.name;
      line.resize(24, ' ');
      text += concat(line, workload.what, "\n");
    }
    return text;
  });
  if (!cli.parse(argc, argv)) return 0;
  const std::vector<Workload> workloads = chosen(only);
  set_num_threads(static_cast<int>(threads));

  if (project) {
    std::printf("%-20s %9s %9s %9s %9s %9s %9s\n", "threads", "1", "2", "4", "8", "16", "serial");
    for (const Workload& workload : workloads) print_projection(workload, reps);
    return 0;
  }
  const double peak = peak_gflop_per_s();
  if (!json)
    std::printf("%d threads (%s), %s, %.0f GFLOP/s at most\n%-20s %10s %12s %9s %9s %9s %11s %9s\n", num_threads(),
                std::string(detail::workers_name()).c_str(), std::string(name_of(isa())).c_str(), peak, "workload",
                "ms", "items/s", "GFLOP/s", "of bound", "peak MB", "allocations", "loss");
  for (const Workload& workload : workloads) {
    const Result result = run(workload, reps);
    if (json)
      std::printf("%s\n", json_line(workload, result, reps, peak).c_str());
    else
      print_table_line(workload, result, peak);
    std::fflush(stdout);
  }
  return 0;
}

}  // namespace
}  // namespace tern::bench

int main(int argc, char** argv) {
  return tern::train::run_program("bench", [&] { return tern::bench::bench(argc, argv); });
}
