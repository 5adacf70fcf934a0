// What surrounds the trainer of a training program: the files of its run, the event file, the profile, how it goes on
// after a stop and how it ends.
#pragma once

#include <functional>
#include <iosfwd>
#include <memory>
#include <string>
#include <vector>

#include <tern/core/io/json.h>
#include <tern/nn/summary.h>
#include <tern/train/insight/tensorboard.h>
#include <tern/train/loop/process.h>
#include <tern/train/loop/trainer.h>
#include <tern/train/run/run_arguments.h>

namespace tern::train {

/// One run of a training program, from its arguments to its summary.
///
///   TrainingRun run("train_x", arguments, seed, std::move(directory), std::cout, std::cerr);
///   run.profile([&] { return nn::summary(net, {1, 3, 32, 32}); }, "images");
///   Trainer trainer(net, run.watch(net, {.optimizer = opt, .epochs = 10}));
///   run.begin(trainer, schema, description, {"epochs"});
///   if (!run.is_over()) {
///     const FitResult result = trainer.fit(task);
///     if (const int status = run.stopped(result, "stopped early")) return status;
///     run.write_summary(figures, io::Json::object());
///   }
///   if (run.lacks_page()) run.write_page();
class TrainingRun {
 public:
  /// arguments: settled. out: what RunArguments::open gave; null: nothing is written. Sets the threads and the seed,
  /// and catches SIGINT and SIGTERM for as long as it lives.
  TrainingRun(const char* program, const RunArguments& arguments, uint64_t seed,
              std::unique_ptr<const RunDirectory> out, std::ostream& progress, std::ostream& errors);
  ~TrainingRun();

  const RunDirectory* out() const { return out_.get(); }
  /// The checkpoint that the run goes on from; empty where it begins.
  const io::FilePath& checkpoint() const { return checkpoint_; }

  /// With --profile: measures steps; called once, before watch(). unit: what the examples are, in the plural.
  void profile(const std::function<nn::Summary()>& summary, const std::string& unit);
  /// The options of a Trainer with all that is the same for every program: files, progress, event file, profile and
  /// the stop by a signal. What on_epoch and on_row they have is called first.
  TrainerOptions watch(nn::Module& model, TrainerOptions options);
  /// Loads the checkpoint, if the run is the same but for the settings in `free` (as need_same_run throws); then
  /// removes the files of an earlier end from the directory and writes config.json. Of a run that is over it changes
  /// nothing, and prints its figures. Throws IoError, and as Trainer::load.
  void begin(Trainer& trainer, const Schema& schema, const io::Json& description, const std::vector<std::string>& free);
  /// After begin(): whether the run was complete, summary.json included, so that no file of its directory may change.
  bool is_over() const { return is_over_; }
  /// Whether a JSON file of the run's end is missing, or of another end than that at so many steps, which it has under
  /// `key`; false without a directory.
  bool lacks(const char* name, const char* key, int64_t steps) const;
  /// Whether there is a directory without report.html.
  bool lacks_page() const;
  /// Removes a file that the run is about to write again. A file that cannot be removed is an error when it is written.
  void remove(const char* name) const;
  /// A log in the directory that goes on where the trainer does; null without a directory. Called after begin(). Throws
  /// IoError.
  std::unique_ptr<MetricsLog> log(const char* name, const Trainer& trainer) const;

  /// After fit(): tells the profile, and if the run was stopped also `where`, and writes the page. The exit status of a
  /// program that a signal stopped; 0 for a run that is finished.
  int stopped(const FitResult& result, const std::string& where);
  /// Whether a signal has asked for the end.
  static bool is_interrupted();
  /// Outside of fit(): the exit status of a program that a signal stopped, after saying where; else 0.
  int interrupted(const std::string& where) const;
  /// summary.json: the figures, all of them doubles, and `more`, an object; and the program's last line, the figures.
  /// Throws IoError.
  void write_summary(const MetricRow& figures, const io::Json& more) const;
  /// Writes report.html, about the run as far as it has come.
  void write_page() const;
  /// Writes a file about a run whose result is safe already: what goes wrong is told, and changes nothing else. Does
  /// nothing without a directory.
  void try_to_write(const char* name, const std::function<void(const io::FilePath& path)>& write) const;

 private:
  void print_summary() const;

  const char* program_;
  RunArguments arguments_;
  std::unique_ptr<const RunDirectory> out_;
  std::ostream& progress_;
  std::ostream& errors_;
  io::FilePath checkpoint_;
  StopSignal signals_;
  std::unique_ptr<Profiler> profiler_;
  std::unique_ptr<EventWriter> events_;
  bool is_over_ = false;
};

}  // namespace tern::train
