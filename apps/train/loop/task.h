// What a run learns: where batches come from, what the model's answers cost, how it is measured and what is told of it.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include <tern/core/io/tensor_map.h>
#include <tern/core/tensor.h>
#include <tern/data/loader.h>
#include <tern/nn/module.h>
#include <tern/train/loop/evaluate.h>
#include <tern/train/loop/metrics.h>

namespace tern::train {

/// Examples that go through the model together: images and labels, tokens and those that follow them.
struct TaskBatch {
  Tensor inputs;   ///< what the model is called with
  Tensor targets;  ///< what its output should be
};

/// A training problem as a Trainer sees it. It holds no more of a run than the place in its data: ClassifierTask
/// (classifier_task.h) and LanguageTask (language_task.h) are the ones there are.
class Task {
 public:
  virtual ~Task() = default;

  /// Batches an epoch, at least 1: what lies between two measurements.
  virtual int64_t size() const = 0;
  /// Goes to the first batch of an epoch (from 0), or to the one behind a position() within it. Throws ValueError for a
  /// position in other data.
  virtual void start(int64_t epoch, const io::TensorMap& position) = 0;
  /// The next batch; nothing behind the last one of the epoch. What it holds depends on its place alone, never on
  /// threads or timing.
  virtual std::optional<TaskBatch> next() = 0;
  /// Where the epoch is, behind the last batch that next() gave; not empty.
  virtual io::TensorMap position() const = 0;
  /// How the epoch has gone so far.
  virtual data::LoaderStats loading() const = 0;

  /// The loss of the model's output for a batch, one element, with its gradient.
  virtual Tensor loss(const Tensor& output, const TaskBatch& batch) const = 0;
  /// Adds a batch to what is told of the epoch under way: its examples (losses are weighed by them) and, where that is
  /// cheap, how many were right.
  virtual void count(const Tensor& output, const TaskBatch& batch, Accuracy::Sums& sums) const = 0;

  /// Measures the model, in eval mode and without gradients, on examples that were held out to choose the best
  /// checkpoint by; without examples n is 0. stop, if there is one, is asked after each batch: true ends it there, and
  /// the result is not complete.
  virtual EvalResult validate(nn::Module& model, const std::function<bool()>& stop) = 0;
  /// The same on examples that decide nothing.
  virtual EvalResult test(nn::Module& model, const std::function<bool()>& stop) = 0;
  /// By which validations are compared, at least 0: more is better.
  virtual double score(const EvalResult& result) const = 0;

  /// Columns of metrics.jsonl, the loss among them; a prefix says of which examples ("val_loss").
  virtual MetricRow figures(const EvalResult& result) const = 0;
  /// The same for people: "loss 1.2345 acc 67.89%".
  virtual std::string text(const EvalResult& result) const = 0;
  /// What `n` counts, in the plural, for rates: "images".
  virtual std::string unit() const = 0;
  /// Names of the classes that the model's outputs stand for, which its checkpoints carry; empty for none.
  virtual std::vector<std::string> class_names() const { return {}; }
  /// Whether an epoch means something to people, a pass over the data; else they are told of steps.
  virtual bool tells_epochs() const { return true; }
};

}  // namespace tern::train
