// The loop of Trainer::fit: epochs with their measurements, rows, progress and checkpoints.
#pragma once

#include <tern/nn/module.h>
#include <tern/train/loop/detail/run_checkpoint.h>
#include <tern/train/loop/task.h>
#include <tern/train/loop/trainer.h>

namespace tern::train {

/// Trainer::fit once the task has been checked: calls trainer.step until options.epochs are complete or something stops
/// the run. `model`, `options` and `state` are those of the trainer.
FitResult fit_loop(Trainer& trainer, nn::Module& model, const TrainerOptions& options, RunState& state, Task& task);

}  // namespace tern::train
