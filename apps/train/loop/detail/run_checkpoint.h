// The files of a Trainer's run: the checkpoint that a run resumes from, and the one of its best weights.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <tern/core/io/directory.h>
#include <tern/core/io/tensor_map.h>
#include <tern/core/random.h>
#include <tern/nn/module.h>
#include <tern/optim/ema.h>
#include <tern/train/loop/task.h>
#include <tern/train/loop/train_state.h>
#include <tern/train/loop/trainer.h>

namespace tern::train {

/// Where the run is: everything that is neither in the model nor in the objects that TrainerOptions names.
struct RunState : TrainState {
  io::TensorMap position = {};            ///< where the task is, if in the middle of an epoch
  std::string saved = {};                 ///< the last checkpoint written or loaded
  int64_t saved_step = 0;                 ///< and its step
  std::vector<std::string> classes = {};  ///< of the model's outputs, as the task or the checkpoint names them
  Generator::State random_before = {};    ///< of the default generator, at the beginning of the present step

  /// "step 10 (epoch 2)", for messages.
  std::string place(const Task& task, int64_t at_step) const;
  /// For the end of a message: which checkpoint there is to go back to.
  std::string last_good() const;
};

/// Puts the averaged weights, those that are measured, recorded and saved, into the model for the lifetime of the
/// result; null without averages.
std::unique_ptr<optim::WeightEma::Swapped> averages_in_place(const TrainerOptions& options);

/// Writes weights and state of the run to `path`; load_run() takes them back. Both are Trainer::save() and load(),
/// whose errors they throw; `state` is changed only on success.
void save_run(const io::FilePath& path, nn::Module& model, const TrainerOptions& options, RunState& state);
void load_run(const io::FilePath& path, nn::Module& model, const TrainerOptions& options, RunState& state);

/// Writes the weights alone, the averaged ones if there are averages, with the mark state.best. Throws IoError.
void save_best(const io::FilePath& path, nn::Module& model, const TrainerOptions& options, const RunState& state);

/// Sets state.classes, the names that checkpoints carry from here on, to those of the task. Throws ValueError where
/// the model or the checkpoint that was loaded has other classes, or has them in another order.
void take_classes(const Task& task, RunState& state);

}  // namespace tern::train
