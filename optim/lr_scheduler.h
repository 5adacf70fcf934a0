// Learning-rate schedules. A schedule owns the rates of all groups of an optimizer: it takes their rates at
// construction as the base rates, sets the first rate at once, and moves on with step(), to be called after each
// optimizer step (or each epoch: a step is whatever the caller counts).
//
// Any schedule may begin with a linear warm-up of W = warmup_steps steps, in which the rate of step t is
//   rate(0) * (start + (1 - start) * t / W),   start = warmup_start_factor;
// from step W on it is the schedule's own rate at s = t - W, so that step sizes, milestones and decay count from the
// end of the warm-up. total_steps is the length of the run, warm-up included.
#pragma once

#include <cstdint>
#include <vector>

#include <tern/core/io/tensor_map.h>
#include <tern/optim/optimizer.h>

namespace tern::optim {

/// Base of the schedules. The optimizer must outlive it. Settings out of range throw ValueError at construction:
/// warmup_steps below 0, a warmup_start_factor outside [0, 1], and what the options say.
class LrScheduler {
 public:
  virtual ~LrScheduler() = default;
  LrScheduler(const LrScheduler&) = delete;
  LrScheduler& operator=(const LrScheduler&) = delete;

  /// Moves to the next step and sets every group's rate. Throws StateError if the optimizer has got more groups since.
  void step();
  /// Steps made so far.
  int64_t step_count() const { return step_; }
  /// The present rate of a group, as set in the optimizer.
  double lr(int64_t group = 0) const { return optimizer_.lr(group); }
  /// The rates that the schedule started from, one a group.
  const std::vector<double>& base_lrs() const { return base_; }

  /// "step" and "base_lrs", and what the schedule remembers beyond them.
  virtual io::TensorMap state_dict() const;
  /// Restores what state_dict() gave and sets the rates. Throws ValueError if something is missing, unknown or was
  /// saved for another number of groups; then nothing has changed.
  virtual void load_state_dict(const io::TensorMap& state);

 protected:
  LrScheduler(const char* op, Optimizer& optimizer, int64_t warmup_steps, double warmup_start_factor);
  /// The schedule's own rate of a group at its step s >= 0, without warm-up.
  virtual double rate(size_t group, int64_t s) const = 0;
  /// Sets every group's rate for the present step; derived constructors call it last.
  void apply();
  const char* op() const { return op_; }
  Optimizer& optimizer() const { return optimizer_; }
  int64_t warmup_steps() const { return warmup_steps_; }

 private:
  const char* op_;
  Optimizer& optimizer_;
  int64_t warmup_steps_;
  double warmup_start_factor_;
  int64_t step_ = 0;
  std::vector<double> base_;
};

/// warmup_steps, at least 0, and warmup_start_factor, in [0, 1], are those of the warm-up, here and in all options
/// below.
struct ConstantLrOptions {
  int64_t warmup_steps = 0;
  double warmup_start_factor = 0;
};
/// rate = base
class ConstantLr : public LrScheduler {
 public:
  explicit ConstantLr(Optimizer& optimizer, const ConstantLrOptions& options = {});

 protected:
  double rate(size_t group, int64_t s) const override;
};

struct StepLrOptions {
  int64_t step_size = 0;  ///< required, at least 1
  double gamma = 0.1;     ///< above 0
  int64_t warmup_steps = 0;
  double warmup_start_factor = 0;
};
/// rate = base * gamma^floor(s / step_size)
class StepLr : public LrScheduler {
 public:
  StepLr(Optimizer& optimizer, const StepLrOptions& options);

 protected:
  double rate(size_t group, int64_t s) const override;

 private:
  StepLrOptions options_;
};

struct MultiStepLrOptions {
  std::vector<int64_t> milestones = {};  ///< rising, at least 0; one that stands twice counts twice
  double gamma = 0.1;                    ///< above 0
  int64_t warmup_steps = 0;
  double warmup_start_factor = 0;
};
/// rate = base * gamma^(number of milestones <= s)
class MultiStepLr : public LrScheduler {
 public:
  MultiStepLr(Optimizer& optimizer, const MultiStepLrOptions& options);

 protected:
  double rate(size_t group, int64_t s) const override;

 private:
  MultiStepLrOptions options_;
};

struct ExponentialLrOptions {
  double gamma = 0;  ///< required, above 0
  int64_t warmup_steps = 0;
  double warmup_start_factor = 0;
};
/// rate = base * gamma^s
class ExponentialLr : public LrScheduler {
 public:
  ExponentialLr(Optimizer& optimizer, const ExponentialLrOptions& options);

 protected:
  double rate(size_t group, int64_t s) const override;

 private:
  ExponentialLrOptions options_;
};

struct CosineLrOptions {
  int64_t total_steps = 0;  ///< required: of the run, warm-up included; above warmup_steps
  int64_t warmup_steps = 0;
  double eta_min = 0;  ///< the rate at the end, for every group; at least 0
  double warmup_start_factor = 0;
  bool periodic = false;  ///< past the end: false stays at eta_min, true rises again, as PyTorch's CosineAnnealingLR
};
/// rate = eta_min + (base - eta_min) * (1 + cos(pi s / T)) / 2 with T = total_steps - warmup_steps (Loshchilov and
/// Hutter, "SGDR", 2017, without restarts)
class CosineLr : public LrScheduler {
 public:
  CosineLr(Optimizer& optimizer, const CosineLrOptions& options);

 protected:
  double rate(size_t group, int64_t s) const override;

 private:
  CosineLrOptions options_;
};

/// Along half a cosine wave, or a line.
enum class Anneal { kCosine, kLinear };

struct OneCycleLrOptions {
  int64_t total_steps = 0;  ///< required: of the run, warm-up included; above warmup_steps
  std::vector<double> max_lr =
      {};                  ///< one a group, at least 0; empty: the groups' own rates, or those of a loaded state
  double pct_start = 0.3;  ///< share, in [0, 1], of the cycle in which the rate rises
  Anneal anneal = Anneal::kCosine;
  double div_factor = 25;         ///< above 0: the cycle starts at max_lr / div_factor
  double final_div_factor = 1e4;  ///< above 0: and ends at its start divided by this
  bool three_phase = false;       ///< fall back to the start in as many steps as it rose, then to the end
  int64_t warmup_steps = 0;
  double warmup_start_factor = 0;
};
/// The 1cycle policy (Smith and Topin, 2018) as in PyTorch's OneCycleLR with cycle_momentum = false: momentum is left
/// alone. Past the end the rate stays at its last value.
class OneCycleLr : public LrScheduler {
 public:
  OneCycleLr(Optimizer& optimizer, const OneCycleLrOptions& options);
  /// "max_lr" beside the others. A state without it, as saved until 0.1, has its peaks in "base_lrs".
  io::TensorMap state_dict() const override;
  void load_state_dict(const io::TensorMap& state) override;

 protected:
  double rate(size_t group, int64_t s) const override;

 private:
  OneCycleLrOptions options_;
  std::vector<double> peaks_;  // one a group
};

/// Which of two values of a metric is better.
enum class PlateauMode { kMin, kMax };
/// Better by a share of the best metric, or by an amount.
enum class ThresholdMode { kRelative, kAbsolute };

/// Numbers without a range are at least 0.
struct PlateauLrOptions {
  PlateauMode mode = PlateauMode::kMin;  ///< whether a smaller or a larger metric is better
  double factor = 0.1;                   ///< in (0, 1): what the rates are multiplied by
  int64_t patience = 10;                 ///< reports without improvement that are let pass
  double threshold = 1e-4;               ///< what counts as improvement over the best metric, relative or absolute
  ThresholdMode threshold_mode = ThresholdMode::kRelative;
  int64_t cooldown = 0;  ///< reports after a change that do not count
  double min_lr = 0;     ///< rates do not fall below
  double eps = 1e-8;     ///< a change of no more than this is not made
  int64_t warmup_steps = 0;
  double warmup_start_factor = 0;
};
/// Lowers the rates when a reported metric stops improving, as PyTorch's ReduceLROnPlateau; rate(0) of the warm-up is
/// the present one. step() only drives the warm-up; report() is called with each new value of the metric.
class PlateauLr : public LrScheduler {
 public:
  explicit PlateauLr(Optimizer& optimizer, const PlateauLrOptions& options = {});
  /// Takes the metric of an epoch, say, and sets the rates. Throws ValueError for NaN.
  void report(double metric);
  io::TensorMap state_dict() const override;
  void load_state_dict(const io::TensorMap& state) override;

 protected:
  double rate(size_t group, int64_t s) const override;

 private:
  bool better(double metric) const;

  PlateauLrOptions options_;
  std::vector<double> rates_;
  double best_;
  int64_t bad_reports_ = 0, cooling_ = 0;
};

}  // namespace tern::optim
