// What a Profiler collects during measured steps: events, memory, and sums by module and phase.
#pragma once

#include <chrono>
#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <tern/core/autograd/observer.h>
#include <tern/data/loader.h>
#include <tern/nn/summary.h>
#include <tern/train/loop/profile.h>

namespace tern::train {

constexpr const char* kProfileModel = "(model)";  ///< what the empty path, the model itself, is called
constexpr const char* kProfileWait = "data wait";
constexpr const char* kProfileLossBackward = "loss backward";

/// Collects events and sums through autograd::Observer; profile_table.h and profile_trace.h read them. Times are in
/// nanoseconds from its construction.
struct ProfileRecorder final : autograd::Observer {
  enum class Category { kStep, kPhase, kForward, kBackward, kOutside };

  /// Something that is over, as trace.json shows it.
  struct Event {
    Category category;
    size_t name;
    const char* op;  // of a backward node
    int64_t begin, duration, bytes;
  };

  /// Something that is running; `inside` is what the frames within it took.
  struct Frame {
    Category category;
    size_t name;
    const char* op;
    int64_t begin, bytes_at_begin;
    int64_t inside = 0, inside_bytes = 0;
  };

  struct MemorySample {
    int64_t time, bytes;
  };

  /// Sums over all measured steps, by name: of a module's path ("" is the model itself), and of a phase.
  struct Cost {
    int64_t forward = 0, backward = 0, forward_bytes = 0, backward_bytes = 0;
    int64_t calls = 0, nodes = 0;
    int64_t gradients = 0;  // most matrices that one of its nodes computed a gradient for
    int64_t macs = 0;       // of its recorded operations, where macs_of knows them
    int64_t phase = 0;
  };

  nn::Summary summary;
  ProfileOptions options;
  std::chrono::steady_clock::time_point start = std::chrono::steady_clock::now();

  std::vector<std::string> names;
  std::map<std::string, size_t, std::less<>> name_index;
  std::vector<Cost> costs;  // by name
  std::vector<Event> events;
  std::vector<MemorySample> memory;
  int64_t dropped = 0;  // events beyond kMaxEvents
  std::vector<Frame> frames;
  std::vector<size_t> phase_order;
  std::optional<autograd::ObserverGuard> watching;  // during a measured step

  int64_t seen = 0;  // steps, the warm-up included
  std::vector<int64_t> durations;
  int64_t waited = 0, images = 0;
  int64_t other = 0;     // of steps, outside of phases
  double last_wait = 0;  // of the loader, at the last step
  int64_t last_batches = 0, last_images = 0;
  int64_t last_end = 0;
  bool in_loss = false;
  uint64_t loss_from = std::numeric_limits<uint64_t>::max();  // first node of the loss

  int64_t now() const;
  size_t index_of(std::string_view name);         ///< place of a name in names and costs, which get it if it is new
  const Cost* find(std::string_view name) const;  ///< null for a name that did not occur

  /// A frame, from begin() to end(), which returns its duration. end() cannot fail: begin() reserves what it needs.
  void begin(Category category, std::string_view name, const char* op = nullptr);
  int64_t end() noexcept;
  void add_model_forward(int64_t ns, int64_t bytes) noexcept;

  bool measuring() const;  ///< between begin_step() and end_step() of a step that is measured
  void begin_step(const data::LoaderStats& loading);
  void end_step() noexcept;
  void begin_phase(const char* name);

  // What autograd reports.
  void module_begins(std::string_view name) override;
  void module_ends() noexcept override;
  void node_recorded(const autograd::Node& node) override;
  void backward_begins(const autograd::Node& node) override;
  void backward_ends(const autograd::Node&) noexcept override;

  /// Means over the measured steps; share: of steps and data wait together.
  double per_step(int64_t sum) const {
    return durations.empty() ? 0 : static_cast<double>(sum) / static_cast<double>(durations.size());
  }
  double ms(int64_t ns) const { return 1e-6 * per_step(ns); }
  int64_t measured() const {
    int64_t sum = 0;
    for (const int64_t duration : durations) sum += duration;
    return sum;
  }
  double share(int64_t ns) const {
    const int64_t all = measured() + waited;
    return all == 0 ? 0 : static_cast<double>(ns) / static_cast<double>(all);
  }
};

}  // namespace tern::train
