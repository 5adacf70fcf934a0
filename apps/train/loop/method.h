// What changes how a model computes or what it learns from while a run goes on: a quantization that sets in slowly, a
// teacher.
#pragma once

#include <cstdint>

#include <tern/core/io/json.h>
#include <tern/core/io/tensor_map.h>
#include <tern/core/tensor.h>
#include <tern/train/loop/metrics.h>
#include <tern/train/loop/task.h>

namespace tern::train {

/// A method of compression, as a Trainer sees it (TrainerOptions::method). Each member does nothing unless it is
/// overridden. Parameters and buffers that it adds to the model are saved with the model.
class Method {
 public:
  virtual ~Method() = default;

  /// Called before each optimizer step; step: those made so far, before a resume included. Trainer::load calls it for
  /// the last step that the checkpoint has made, so that a measurement that comes before the next step sees what it set
  /// then. What it sets must follow from the step and the saved state alone.
  virtual void before_step([[maybe_unused]] int64_t step) {}
  /// Whether the model computes by now as it will when it is used. A measurement before that cannot be the best one.
  virtual bool has_set_in() const { return true; }
  /// The loss to learn from, made of the task's own, which is what metrics.jsonl tells. Called once for each batch,
  /// after the model's forward.
  virtual Tensor loss([[maybe_unused]] const Tensor& output, [[maybe_unused]] const Batch& batch,
                      const Tensor& task_loss) {
    return task_loss;
  }

  /// Columns for every row of metrics.jsonl, such as "lambda" and "sparsity" (share of zeros).
  virtual MetricRow metrics() const { return {}; }
  /// What it does to single layers, an array of {"name", "sparsity", ...} for layers.jsonl; null for nothing.
  virtual io::Json layers() const { return {}; }

  /// What a checkpoint keeps of it besides the model.
  virtual io::TensorMap state_dict() const { return {}; }
  /// Takes it back. Throws ValueError for another method's state; then nothing has changed.
  virtual void load_state_dict([[maybe_unused]] const io::TensorMap& state) {}
};

}  // namespace tern::train
