// Lambda warmup: the share of quantization that a BitNet's layers compute with rises from 0 to 1 as training begins.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <tern/core/io/json.h>
#include <tern/quant/bitnet/bit_linear.h>

namespace tern::quant::bitnet {

enum class WarmupSchedule {
  kLinear,  ///< f(p) = p
  kCosine,  ///< f(p) = (1 - cos(pi p)) / 2
};

/// The schedule alone. Before the first step() its value is min_lambda; after step() number c it is max_lambda if
/// c >= steps, else min_lambda + f(c / steps) (max_lambda - min_lambda).
class LambdaSchedule {
 public:
  struct Options {
    int64_t steps = 1000;  ///< at least 0; 0 reaches max_lambda with the first step
    WarmupSchedule schedule = WarmupSchedule::kLinear;
    double min_lambda = 0;  ///< in [0, 1], at most max_lambda
    double max_lambda = 1;  ///< in [0, 1]
  };
  /// Throws ValueError for options out of range.
  explicit LambdaSchedule(const Options& options);
  const Options& options() const { return options_; }

  void step() { ++count_; }
  /// As if step() had been called so often since the start. Throws ValueError below 0.
  void set_step_count(int64_t count);
  double value() const;
  int64_t step_count() const { return count_; }
  bool is_complete() const { return count_ >= options_.steps; }

  /// Everything, the options included: what a checkpoint keeps.
  io::Json state() const;
  /// Takes such a state. Throws FormatError for one that is not, ValueError for options out of range; then nothing has
  /// changed.
  void load_state(const io::Json& state);

 private:
  Options options_;
  int64_t count_ = 0;
};

/// A schedule for the BitLinear layers of a model: the constructor and every step() set their lambda. Holds the layers
/// that it finds when it is made, as long as they live; the model's other layers, and the frozen ones of low-rank
/// correction, ignore lambda. Without a warmup, lambda is 1.
///
///   LambdaWarmup warmup(model, {.steps = 1000});
///   for (...) { warmup.step(); ... forward, backward, optimizer ... }      // before the forward, once a step
class LambdaWarmup {
 public:
  using Options = LambdaSchedule::Options;
  /// Throws ValueError for options out of range, and for a model without BitLinear layers.
  LambdaWarmup(nn::Module& model, const Options& options);

  void step();
  void set_step_count(int64_t count);  ///< as LambdaSchedule::set_step_count
  double lambda() const { return schedule_.value(); }
  bool is_complete() const { return schedule_.is_complete(); }
  const LambdaSchedule& schedule() const { return schedule_; }

  io::Json state() const { return schedule_.state(); }
  /// As LambdaSchedule::load_state; the layers get its value.
  void load_state(const io::Json& state);

 private:
  void apply();
  LambdaSchedule schedule_;
  std::vector<std::weak_ptr<nn::Module>> layers_;
};

}  // namespace tern::quant::bitnet
