#include <cmath>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/finite.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/random.h>
#include <tern/core/text.h>
#include <tern/optim/clip.h>
#include <tern/train/loop/detail/fit_loop.h>
#include <tern/train/loop/detail/run_checkpoint.h>
#include <tern/train/loop/trainer.h>

namespace tern::train {

Trainer::Trainer(nn::Module& model, const TrainerOptions& options)
    : model_(model), options_(options), state_(std::make_unique<RunState>()) {
  const auto check = [](bool ok, const char* name, double got) {
    TERN_CHECK(ok, ValueError, "[trainer] expected ", name, " in range, got ", got);
  };
  check(options.epochs >= 1, "epochs (at least 1)", static_cast<double>(options.epochs));
  check(options.max_steps >= 0, "max_steps (at least 0)", static_cast<double>(options.max_steps));
  check(options.accumulate >= 1, "accumulate (at least 1)", static_cast<double>(options.accumulate));
  check(options.clip_norm >= 0, "clip_norm (at least 0)", options.clip_norm);
  check(options.clip_value >= 0, "clip_value (at least 0)", options.clip_value);
  check(options.test_every >= 0, "test_every (at least 0)", static_cast<double>(options.test_every));
  check(options.save_every >= 0, "save_every (at least 0)", static_cast<double>(options.save_every));
  check(options.save_every_steps >= 0, "save_every_steps (at least 0)", static_cast<double>(options.save_every_steps));
  check(options.log_every >= 0, "log_every (at least 0)", static_cast<double>(options.log_every));
}

Trainer::~Trainer() = default;

bool Trainer::is_complete() const {
  return state_->epoch >= options_.epochs;
}
int64_t Trainer::epoch() const {
  return state_->epoch;
}
int64_t Trainer::global_step() const {
  return state_->step;
}

// Goes through the step once more, slowly, to say where it went wrong.
void Trainer::diverged(const std::string& expected, const Task& task, std::span<const TaskBatch> batches) const {
  std::string where;
  try {
    Generator random(state_->random_before);
    const GeneratorGuard replay(random);
    const autograd::AnomalyGuard anomaly;
    for (const TaskBatch& batch : batches) {
      const NoGradGuard no_grad;
      if (!all_finite(batch.inputs)) where = "; the batch itself holds NaN or infinity";
      if (!all_finite(batch.targets)) where = "; the targets of the batch hold NaN or infinity";
    }
    for (const TaskBatch& batch : batches) {
      if (!where.empty()) break;
      const Tensor output = model_(batch.inputs);
      Tensor loss = task.loss(output, batch);
      if (options_.method != nullptr) loss = options_.method->loss(output, batch, loss);
      loss.backward();
    }
  } catch (const NonFiniteError& error) {
    where = concat("; first: ", error.what());
  }
  throw NonFiniteError(concat("[trainer] expected ", expected, " at ", state_->place(task, state_->step + 1), where,
                              state_->last_good()));
}

double Trainer::step(const Task& task, std::span<const TaskBatch> batches) {
  TERN_CHECK(!batches.empty(), ValueError, "[trainer] expected at least one batch a step, got none");
  Profiler::Phases phase(options_.profiler);
  phase.next("zero gradients");
  state_->random_before = random_state();
  options_.optimizer.zero_grad();
  if (options_.method != nullptr) options_.method->before_step(state_->step);
  double total = 0;
  for (const TaskBatch& batch : batches) {
    phase.next("forward");
    const Tensor output = model_(batch.inputs);
    phase.next("loss");
    Tensor loss = task.loss(output, batch);
    const double value = loss.item();
    if (options_.method != nullptr) loss = options_.method->loss(output, batch, loss);
    for (const double v : {value, loss.item()})
      if (!std::isfinite(v)) diverged(concat("a finite loss, got ", v), task, batches);
    if (batches.size() > 1) loss = mul(loss, 1.0 / static_cast<double>(batches.size()));
    phase.next("backward");
    loss.backward();
    phase.next("metrics");
    const int64_t counted = state_->sums.n;
    task.count(output, batch, state_->sums);
    state_->loss_sum += value * static_cast<double>(state_->sums.n - counted);
    total += value;
  }
  phase.next("optimizer");
  const std::vector<Tensor> params = options_.optimizer.all_params();
  if (!std::isfinite(optim::grad_norm(params))) {
    const NoGradGuard no_grad;
    for (const auto& [name, parameter] : model_.named_parameters())
      if (const Tensor grad = parameter.grad(); grad.defined() && !all_finite(grad))
        diverged(concat("finite gradients, got NaN or infinity in that of ", name), task, batches);
  }
  if (options_.clip_value > 0) optim::clip_grad_value_(params, options_.clip_value);
  if (options_.clip_norm > 0) optim::clip_grad_norm_(params, options_.clip_norm);
  state_->lr = options_.optimizer.lr();
  options_.optimizer.step();
  if (options_.schedule != nullptr) options_.schedule->step();
  if (options_.ema != nullptr) options_.ema->update();
  ++state_->step;
  state_->batch += static_cast<int64_t>(batches.size());
  return total / static_cast<double>(batches.size());
}

void Trainer::save(const io::FilePath& path) const {
  save_run(path, model_, options_, *state_);
}
void Trainer::load(const io::FilePath& path) {
  load_run(path, model_, options_, *state_);
}

FitResult Trainer::fit(Task& task) {
  TERN_CHECK(is_complete() || task.size() > 0, ValueError, "[trainer] expected at least one batch of ", task.unit(),
             " an epoch, got none: the data set is empty, or smaller than the one batch that drop_last asks for");
  take_classes(task, *state_);
  return fit_loop(*this, model_, options_, *state_, task);
}

}  // namespace tern::train
