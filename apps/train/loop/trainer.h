// Training a model: the loop, and all that goes with it so that a run can be watched, stopped, resumed and evaluated.
#pragma once

#include <cstdint>
#include <functional>
#include <iosfwd>
#include <memory>
#include <span>
#include <string>

#include <tern/nn/module.h>
#include <tern/optim/ema.h>
#include <tern/optim/lr_scheduler.h>
#include <tern/optim/optimizer.h>
#include <tern/train/loop/evaluate.h>
#include <tern/train/loop/method.h>
#include <tern/train/loop/metrics.h>
#include <tern/train/loop/profile.h>
#include <tern/train/loop/task.h>
#include <tern/train/weights/checkpoint.h>

namespace tern::train {

struct RunState;  // detail/run_checkpoint.h

/// Settings of a Trainer. Counts and limits below 0, or epochs and accumulate below 1, throw ValueError.
struct TrainerOptions {
  optim::Optimizer& optimizer;             ///< must outlive the trainer, as must all that is pointed to below
  optim::LrScheduler* schedule = nullptr;  ///< stepped after each optimizer step; a PlateauLr gets a report an epoch
  optim::WeightEma* ema =
      nullptr;  ///< over named floating entries of the model's state dict; what is then evaluated, recorded and saved
  Method* method = nullptr;  ///< told of every step; adds to the loss, the metrics and the checkpoints
  int64_t epochs = 1;        ///< in all, those before a resume included
  int64_t max_steps = 0;     ///< ends the run after so many optimizer steps in all; 0: no limit
  int64_t accumulate = 1;    ///< batches an optimizer step; their mean gradient counts
  double clip_norm = 0;      ///< largest norm of all gradients together; 0: no limit
  double clip_value = 0;     ///< largest absolute gradient; 0: no limit

  int64_t test_every = 1;  ///< epochs between two of Task::test; the last epoch always has one; 0: that one only
  std::string out = {};    ///< directory for metrics.jsonl and checkpoints; empty: nothing is written
  io::DirectoryHandle directory = {};  ///< `out`, held open since before (RunDirectory); null: fit() opens it
  bool overwrite = false;              ///< fit() may replace the checkpoint of another run in `out`
  int64_t save_every = 1;  ///< epochs between two writes of last.safetensors; the end always has one; 0: that one only
  int64_t save_every_steps = 0;  ///< steps between two writes of it within an epoch; 0: none
  int64_t log_every = 0;         ///< steps between two rows of metrics.jsonl within an epoch; 0: one row an epoch only
  io::Metadata metadata = {};    ///< travels with every checkpoint
  std::ostream* progress = nullptr;  ///< where progress is written; null: nowhere
  bool terminal = false;             ///< progress is a terminal: a bar is drawn
  /// More to show and record, such as bits and zeros; called when a line is written and at the end of an epoch. Here,
  /// in Method::metrics() and in on_epoch the model has its averages, if there are any.
  std::function<MetricRow()> observe = {};
  /// Called when an epoch is complete and its row is written, before checkpoints are: for records of your own.
  std::function<void(int64_t epoch, int64_t step)> on_epoch = {};
  /// Called with every row of metrics.jsonl, whether it is written (`out`) or not.
  std::function<void(const MetricRow& row)> on_row = {};
  Profiler* profiler = nullptr;  ///< measures some of the steps
  /// Asked after every step and every batch that is measured: true ends the run there, with a checkpoint.
  std::function<bool()> stop = {};
};

/// How fit() went.
struct FitResult {
  bool finished = false;  ///< false: stop() or max_steps ended it
  int64_t epochs = 0;     ///< completed
  int64_t steps = 0;      ///< optimizer steps in all
  EvalResult train;  ///< of the last epoch, in training mode, as the batches came, of the weights as they were then
  EvalResult validation;  ///< of the last epoch; n = 0 where the task has none
  EvalResult test;        ///< of the last epoch; n = 0 likewise
  double best = -1;       ///< best Task::score() of a validation so far; -1 without one
  MetricRow observed;     ///< what observe() and the method said at the end
};

/// Trains a model with one output tensor for one input tensor; what these are, and what is learned, the task knows.
///
///   train::Trainer trainer(net, {.optimizer = opt, .schedule = &schedule, .epochs = 10, .out = "runs/a"});
///   train::FitResult result = trainer.fit(train::ClassifierTask({.train = &loader}));
///
/// Files in `out`: metrics.jsonl, one JSON object an epoch; last.safetensors, weights and the whole state of the run,
/// from before the first step on; best.safetensors, the weights of the epoch with the best validation. A run that is
/// saved, loaded into a trainer set up alike and continued gives the same bits as one that was never interrupted,
/// wherever it was saved. best.safetensors is of an epoch of the run as it was continued: one that was written after
/// the checkpoint that was loaded gives way to the one before it (best.previous.safetensors, which is there between a
/// new best checkpoint and the next last.safetensors).
class Trainer {
 public:
  /// Throws ValueError for options out of range.
  Trainer(nn::Module& model, const TrainerOptions& options);
  ~Trainer();

  /// Trains until options.epochs are complete, continuing where load() left off; a run that is complete is only
  /// measured again, and its files stay as they are. Throws NonFiniteError where the loss, a gradient or a parameter is
  /// NaN or infinite, naming the step, the first op and module that produced such a value and the last checkpoint,
  /// which it leaves alone; the model's state is then undefined. Throws StateError for a directory with another run's
  /// checkpoint, unless options.overwrite, ValueError, naming them, where the task's classes are not those of the
  /// checkpoint that was loaded, or its own images have different ones (ClassifierTask), ValueError for a task without
  /// a batch, and IoError where files cannot be written. To keep a second process out of the directory, lock it
  /// (RunDirectory).
  FitResult fit(Task& task);
  FitResult fit(Task&& task) { return fit(task); }

  /// One optimizer step, on its own, over given batches (as many as options.accumulate asks for, or fewer); returns
  /// the mean of the task's losses. Throws NonFiniteError as fit(), ValueError for no batch.
  double step(const Task& task, std::span<const TaskBatch> batches);

  /// Writes weights and state of the run; load() takes them back. Saving throws IoError, StateError if the averages are
  /// not of the model's own entries. Loading checks everything first: names, shapes and dtypes of model, optimizer and
  /// averages must fit (ValueError, ShapeError, DTypeError), with a schedule, averages and a method's state where the
  /// trainer has them and nothing else, no further on than options.epochs (ValueError), and the file must be a
  /// trainer's (IoError, FormatError); when it throws nothing has changed.
  void save(const io::FilePath& path) const;
  void load(const io::FilePath& path);

  bool is_complete() const;     ///< all of options.epochs are completed
  int64_t epoch() const;        ///< epochs completed
  int64_t global_step() const;  ///< optimizer steps made

 private:
  [[noreturn]] void diverged(const std::string& expected, const Task& task, std::span<const TaskBatch> batches) const;
  nn::Module& model_;
  TrainerOptions options_;
  std::unique_ptr<RunState> state_;
};

}  // namespace tern::train
