// Where a run is, as its checkpoints' metadata "tern.train_state" says: everything that is neither a tensor nor in the
// model.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include <tern/core/io/json.h>
#include <tern/core/random.h>
#include <tern/train/loop/evaluate.h>
#include <tern/train/weights/best_checkpoint.h>

namespace tern::train {

struct TrainState {
  int64_t epoch = 0;              ///< completed
  int64_t batch = 0;              ///< batches done in the running epoch
  int64_t step = 0;               ///< optimizer steps
  double loss_sum = 0;            ///< of the running epoch, weighted by examples
  Accuracy::Sums sums = {};       ///< of the running epoch
  EvalResult trained = {};        ///< of the last complete epoch, in training mode; n = 0 if not known
  BestMark best = {};             ///< of the best checkpoint
  std::optional<double> lr = {};  ///< that the last step was made with; none before one, or if not known
  bool knows_best_step = true;    ///< false for a state of before there were marks
  Generator::State random = {};   ///< of the default generator, when the state was saved

  /// Of the running epoch, in training mode, with the loss as the task has it.
  EvalResult result() const;
};

io::Json to_json(const TrainState& state);
/// The same back, of any version so far; `name` is for messages. Throws FormatError for anything else, counts below 0
/// included.
TrainState train_state_from(const io::Json& json, const std::string& name);

}  // namespace tern::train
