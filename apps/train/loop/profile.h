// Where the time of a training step goes: by layer, forward and backward, as a table, as JSON, and as a trace that
// chrome://tracing and Perfetto show.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <tern/core/io/directory.h>
#include <tern/core/io/json.h>
#include <tern/nn/summary.h>

namespace tern::data {
struct LoaderStats;
}

namespace tern::train {

struct ProfileRecorder;  // detail/profile_recorder.h

/// Which steps a Profiler measures.
struct ProfileOptions {
  int64_t warmup = 3;           ///< steps before the first one that is measured, at least 0: allocations settle
  int64_t steps = 20;           ///< steps measured, 1 to 10000; so the trace stays small, however long the run is
  std::string unit = "images";  ///< what LoaderStats::images counts, for the table's rate
};

/// One line of the layer table. Times and bytes are means over the measured steps, without what the modules inside
/// took for themselves, so that lines add up.
struct ProfileRow {
  std::string name;  ///< path of the module, or of a parameter whose parametrization ran ("conv1.weight")
  std::string type;  ///< its class; empty for the latter
  double calls = 0;  ///< forwards a step
  double nodes = 0;  ///< backward nodes a step
  double forward_ms = 0, backward_ms = 0;
  double forward_total_ms = 0, backward_total_ms = 0;  ///< with everything inside the module
  double forward_bytes = 0, backward_bytes = 0;  ///< asked of the allocator for tensors: new results and gradients
  double forward_macs = 0, backward_macs = 0;    ///< multiply-accumulates a step
  double share = 0;                              ///< of step and data wait together

  /// 10^9 floating-point operations (two a multiply-accumulate) a second; 0 where there are none.
  double forward_gflops() const { return forward_ms > 0 ? 2e-6 * forward_macs / forward_ms : 0; }
  double backward_gflops() const { return backward_ms > 0 ? 2e-6 * backward_macs / backward_ms : 0; }
};

/// A part of a step that is no layer's: "data wait", "loss", "optimizer", ...
struct ProfilePhase {
  std::string name;
  double ms = 0;     ///< mean over the measured steps
  double share = 0;  ///< as in ProfileRow
};

/// Measures steps of a Trainer (TrainerOptions::profiler), on the thread that trains.
///
///   train::Profiler profiler(nn::summary(net, {1, 3, 32, 32}));
///   train::Trainer trainer(net, {.optimizer = opt, .profiler = &profiler, ...});
///   trainer.fit(train::ClassifierTask({.train = &loader}));
///   std::cout << profiler.table();
///   profiler.write("runs/a");
///
/// It watches through autograd::Observer, so fused paths stay as they are, and their time counts for the module in
/// whose scope they run (batch norm, activation and residual in one: the batch norm). It changes no result. A measured
/// step costs some microseconds more for every module and node.
///
/// Multiply-accumulates are those of the products with a weight matrix and the attentions that were recorded, and for
/// everything else those of nn::summary times the images of a step. A module that did not run itself because a fused
/// path covered it leaves its own to the nearest module around it that ran. Backward: those of the forward once
/// for the gradient of the input and once for that of the weight, where these were computed; twice for products without
/// weights (attention). Rates are therefore those of the direct method: a Winograd convolution may be above what the
/// processor can do.
class Profiler {
 public:
  /// summary: of the model that will be trained, with a batch of one. Throws ValueError for options out of range.
  explicit Profiler(const nn::Summary& summary, const ProfileOptions& options = {});
  ~Profiler();
  Profiler(const Profiler&) = delete;
  Profiler& operator=(const Profiler&) = delete;

  /// One training step, from construction to destruction. profiler may be null, as in the two classes below: then
  /// nothing happens. loading: how the epoch has gone so far, the step's batches included.
  class Step {
   public:
    Step(Profiler* profiler, const data::LoaderStats& loading);
    ~Step();
    Step(const Step&) = delete;
    Step& operator=(const Step&) = delete;

   private:
    Profiler* profiler_;
  };

  /// The parts of a step, one after the other: next() ends the one before, the destructor the last. Outside of a
  /// measured step nothing happens. "forward", "loss" and "backward" have a meaning for the table.
  class Phases {
   public:
    explicit Phases(Profiler* profiler);
    ~Phases();
    void next(const char* name);  ///< a literal
    Phases(const Phases&) = delete;
    Phases& operator=(const Phases&) = delete;

   private:
    Profiler* profiler_;
    bool open_ = false;
  };

  /// Something outside of steps that the trace shows: "evaluation", "checkpoint" (literals).
  class Span {
   public:
    Span(Profiler* profiler, const char* name);
    ~Span();
    Span(const Span&) = delete;
    Span& operator=(const Span&) = delete;

   private:
    Profiler* profiler_;
  };

  /// Steps measured so far; as many as the options ask for when done.
  int64_t steps() const;
  bool done() const;  ///< all of them are measured

  /// Lines for modules in the order of the summary, a parametrization after the module it belongs to; "(model)" is what
  /// the model's own forward does outside of its modules, with the backward of that.
  std::vector<ProfileRow> rows() const;
  /// "data wait", the phases of the step without what rows() has of them ("backward" is then the engine with the sums
  /// of gradients that meet), "loss backward", and "other", what no phase covers.
  std::vector<ProfilePhase> phases() const;
  double step_ms() const;  ///< mean, without the data wait
  double wait_ms() const;  ///< mean

  std::string table() const;  ///< rows(), phases() and means as aligned lines
  io::Json to_json() const;   ///< the same, and the time of each step, as an object
  /// Chrome's trace event format, as a JSON object: complete events ("ph": "X", times in microseconds) for the measured
  /// steps, their phases, every module's forward (category "forward"), every node's backward ("backward", named by its
  /// module, the operation in args.op), data waits, evaluations and checkpoints; counters for the memory of tensors.
  std::string trace() const;
  /// Writes DIRECTORY/profile.json and DIRECTORY/trace.json, each as a whole. Throws IoError.
  void write(const io::DirectoryHandle& directory) const;
  void write(const std::string& directory) const;

 private:
  std::unique_ptr<ProfileRecorder> recorder_;
};

}  // namespace tern::train
