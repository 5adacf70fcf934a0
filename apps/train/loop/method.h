// A method of compression, or of learning, as a training program uses it: its settings, what it makes of a model, and
// what it does while a run goes on.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include <tern/core/io/json.h>
#include <tern/core/io/tensor_map.h>
#include <tern/core/tensor.h>
#include <tern/nn/module.h>
#include <tern/train/loop/metrics.h>
#include <tern/train/loop/task.h>
#include <tern/train/settings/optimization.h>
#include <tern/train/settings/schema.h>

namespace tern::train {

/// A model to learn from, as the program opens it.
struct Teacher {
  std::shared_ptr<nn::Module> model;
  /// For each of the student's outputs the teacher's one of the same class; empty: the same places.
  std::vector<int64_t> outputs = {};
  /// Turns the student's input into the teacher's, where their preprocessing differs; empty: they are the same.
  std::function<Tensor(const Tensor& input)> input = {};
};

/// What a method may use of the run when it is applied to a model.
struct MethodContext {
  std::string program = {};  ///< for messages: "train_classifier"
  std::string weights = {};  ///< the file that the model's values came from; empty for a new model
  /// Runs a model over the first training examples, in eval mode, for statistics of its activations.
  std::function<void(nn::Module& model)> calibrate = {};
  /// Opens a teacher's weights, for which `config` is a config.json or empty. Throws what loading throws, and
  /// ValueError where its outputs are not the student's.
  std::function<Teacher(const std::string& weights, const std::string& config)> teacher = {};
};

/// The entry of a method in a training program (methods/registry.h), and what a Trainer calls (TrainerOptions::method).
/// Each member does nothing unless it is overridden. Parameters and buffers that a method adds to the model are saved
/// with the model, by its quant::Method.
class Method {
 public:
  virtual ~Method() = default;

  // -- settings

  /// Declares the method's settings, under keys that begin with its name and a dot.
  virtual void declare([[maybe_unused]] Schema& schema) {}
  /// Refuses settings that contradict each other or go nowhere, with a UsageError that names them.
  virtual void check() const {}
  /// Whether the settings ask for the method. Of one that is off only these first members and apply() are called.
  virtual bool is_enabled() const { return true; }

  // -- a model

  /// Changes the model as the settings say, once, with its weights in it and before its optimizer is made. Returns
  /// lines for people, without a line end. Throws UsageError where the weights that are started from hold something
  /// else, also if the method is off and the weights hold layers of it; and as the method itself.
  virtual std::string apply([[maybe_unused]] nn::Module& model, [[maybe_unused]] const MethodContext& context) {
    return {};
  }
  /// The parameters that are to move in groups of their own, of the model as it is after apply().
  virtual std::vector<ParamGroup> parameter_groups([[maybe_unused]] const nn::Module& model) const { return {}; }
  /// Files that the run depends on besides, an object by name, for the "environment" of its config.json.
  virtual io::Json environment() const { return io::Json::object(); }

  // -- while it trains

  /// Called before each optimizer step; step: those made so far, before a resume included. Trainer::load calls it for
  /// the last step that the checkpoint has made, so that a measurement that comes before the next step sees what it set
  /// then. What it sets must follow from the step and the saved state alone.
  virtual void before_step([[maybe_unused]] int64_t step) {}
  /// Whether the model computes by now as it will when it is used. A measurement before that cannot be the best one.
  virtual bool has_set_in() const { return true; }
  /// The loss to learn from, made of the task's own, which is what metrics.jsonl tells. Called once for each batch,
  /// after the model's forward.
  virtual Tensor loss([[maybe_unused]] const Tensor& output, [[maybe_unused]] const TaskBatch& batch,
                      const Tensor& task_loss) {
    return task_loss;
  }

  // -- what it tells

  /// Columns for every row of metrics.jsonl, such as "lambda" and "sparsity" (share of zeros).
  virtual MetricRow metrics() const { return {}; }
  /// What it does to single layers, an array of {"name", "sparsity", ...} for layers.jsonl; null for nothing.
  virtual io::Json layers() const { return {}; }
  /// Figures of a run's end for summary.json, besides those of the layer table (quant/layer_state.h); in the place of
  /// one of the same name.
  virtual MetricRow summary() const { return {}; }

  /// What a checkpoint keeps of it besides the model.
  virtual io::TensorMap state_dict() const { return {}; }
  /// Takes it back. Throws ValueError for another method's state; then nothing has changed.
  virtual void load_state_dict([[maybe_unused]] const io::TensorMap& state) {}
};

}  // namespace tern::train
