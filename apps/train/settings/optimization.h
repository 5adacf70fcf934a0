// How weights are moved: the settings of optimizer and learning rate that training programs share, and what they make.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include <tern/nn/module.h>
#include <tern/optim/ema.h>
#include <tern/optim/lr_scheduler.h>
#include <tern/optim/optimizer.h>
#include <tern/train/settings/schema.h>

namespace tern::train {

/// The keys "optim.*", each under its name.
struct OptimConfig {
  std::string name = "sgd";                       ///< or adam, adamw
  double lr = 0.1;                                ///< of weights, at its highest
  double momentum = 0.9;                          ///< sgd
  bool nesterov = false;                          ///< sgd
  double weight_decay = 1e-4;                     ///< decoupled for adamw alone
  bool decay_norms = true;                        ///< norm scales and biases decay as well
  double beta1 = 0.9, beta2 = 0.999, eps = 1e-8;  ///< adam, adamw
  double clip_norm = 0, clip_value = 0;           ///< limits of gradients (TrainerOptions); 0: none
  int64_t accumulate = 1;                         ///< batches a step
  double ema_decay = 0;                           ///< of averaged weights; 0: none
};

/// The keys "schedule.*". Times are in epochs for some programs and in steps for others: the keys of `warmup` and
/// `step_size` say which ("schedule.warmup_epochs", "schedule.step_epochs").
struct ScheduleConfig {
  std::string name = "cosine";              ///< or constant, one_cycle, step, multistep, exponential, plateau
  double warmup = 0;                        ///< of linear rise from 0, before the schedule
  double min_lr = 0;                        ///< cosine: rate at the end, of all groups
  std::vector<int64_t> milestones;          ///< multistep: times after which the rate falls
  int64_t step_size = 30;                   ///< step: time between two falls
  double gamma = 0.1;                       ///< step, multistep, plateau: of a fall; exponential: of a unit of time
  double one_cycle_rise = 0.3;              ///< share of the run in which the rate rises
  std::string one_cycle_anneal = "cosine";  ///< or linear
  int64_t patience = 5;                     ///< plateau: measurements without a better loss that are let pass
};

/// Declares the keys, with ranges and documentation. unit: "epoch" or "step".
void declare(Schema& schema, OptimConfig& config);
void declare(Schema& schema, ScheduleConfig& config, const std::string& unit);
/// Refuses settings that contradict each other or a run of that length, with a UsageError that names them.
void check(const OptimConfig& optim, const ScheduleConfig& schedule, const std::string& unit, int64_t length);

/// Parameters that are moved alike.
struct ParamGroup {
  std::vector<optim::ParamList::Entry> params;
  double lr = 0, weight_decay = 0;
};

/// Some parameters of a model under their names, in the model's order: an optimizer's state is saved under them.
std::vector<optim::ParamList::Entry> named(const nn::Module& model, const std::vector<Tensor>& tensors);

/// Some parameters of a model in groups: one, or with optim.decay_norms off those that decay and those that do not
/// (nn::split_weight_decay; paths that match `no_decay` are among the latter).
std::vector<ParamGroup> weight_groups(const nn::Module& model, const std::vector<Tensor>& tensors,
                                      const OptimConfig& config, const std::vector<std::string>& no_decay = {});

/// The optimizer over groups. Throws ValueError for settings out of range.
std::unique_ptr<optim::Optimizer> make_optimizer(const OptimConfig& config, const std::vector<ParamGroup>& groups);

/// Averages of all floating parameters and buffers, by name, with warm-up; null for optim.ema_decay 0.
std::unique_ptr<optim::WeightEma> make_ema(const nn::Module& model, const OptimConfig& config);

/// The schedule, counted in optimizer steps, of a run of `length` units of time, each of `steps_a_unit` steps. Throws
/// ValueError for a warm-up as long as the run, or settings out of range.
std::unique_ptr<optim::LrScheduler> make_schedule(optim::Optimizer& optimizer, const ScheduleConfig& config,
                                                  int64_t length, int64_t steps_a_unit);

}  // namespace tern::train
