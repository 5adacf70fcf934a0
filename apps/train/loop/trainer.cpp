#include <algorithm>
#include <chrono>
#include <cmath>
#include <ostream>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/finite.h>
#include <tern/core/io/json.h>
#include <tern/core/ops/compare.h>
#include <tern/core/ops/elementwise.h>
#include <tern/core/ops/reduce.h>
#include <tern/core/random.h>
#include <tern/core/text.h>
#include <tern/optim/clip.h>
#include <tern/train/loop/classifier_task.h>
#include <tern/train/loop/process.h>
#include <tern/train/loop/progress.h>
#include <tern/train/loop/train_state.h>
#include <tern/train/loop/trainer.h>
#include <tern/train/weights/best_checkpoint.h>
#include <tern/train/weights/classes.h>

namespace tern::train {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

void append_with_prefix(io::TensorMap& to, const char* prefix, const io::TensorMap& from) {
  for (const auto& [name, tensor] : from) to.insert(concat(prefix, name), tensor);
}

io::TensorMap with_prefix(const io::TensorMap& from, std::string_view prefix) {
  io::TensorMap out;
  for (const auto& [name, tensor] : from)
    if (name.starts_with(prefix)) out.insert(name.substr(prefix.size()), tensor);
  return out;
}

io::TensorMap copies_of(const io::TensorMap& from) {
  io::TensorMap out;
  for (const auto& [name, tensor] : from) out.insert(name, tensor.detach().clone());
  return out;
}

constexpr const char* kOptimizer = "optimizer.";
constexpr const char* kSchedule = "schedule.";
constexpr const char* kPosition = "loader.";  // of the task in its data
constexpr const char* kMethod = "method.";
constexpr const char* kRaw = "raw.";         // with averages: the values that training goes on from
constexpr const char* kUpdates = "updates";  // as WeightEma::state_dict names them
constexpr const char* kAverage = "average.";

}  // namespace

// Where the run is: everything that is neither in the model nor in the objects the options name.
struct Trainer::State : TrainState {
  io::TensorMap position = {};            // where the task is, if in the middle of an epoch
  std::string saved = {};                 // the last checkpoint written or loaded
  int64_t saved_step = 0;                 // and its step
  std::vector<std::string> classes = {};  // of the model's outputs, as the task or the checkpoint names them
  Generator::State random_before = {};    // of the default generator, at the beginning of the present step

  // For the end of a message: which checkpoint there is to go back to.
  std::string last_good() const {
    return saved.empty() ? std::string("; there is no checkpoint")
                         : concat("; the last good checkpoint is ", saved, " of step ", saved_step);
  }
};

Trainer::Trainer(nn::Module& model, const TrainerOptions& options)
    : model_(model), options_(options), state_(std::make_unique<State>()) {
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

// The weights that are measured, recorded and saved, for a scope; null without averages.
std::unique_ptr<optim::WeightEma::Swapped> Trainer::averages_in_place() const {
  return options_.ema != nullptr ? std::make_unique<optim::WeightEma::Swapped>(*options_.ema) : nullptr;
}

MetricRow Trainer::method_metrics() const {
  const auto averaged = averages_in_place();
  return options_.method != nullptr ? options_.method->metrics() : MetricRow{};
}

MetricRow Trainer::observe() const {
  const auto averaged = averages_in_place();
  MetricRow row = options_.observe ? options_.observe() : MetricRow{};
  for (Metric& metric : method_metrics()) row.push_back(std::move(metric));
  return row;
}

// The method as it was in the last of so many steps.
void Trainer::set_method(int64_t step) const {
  if (options_.method != nullptr) options_.method->before_step(std::max<int64_t>(step - 1, 0));
}

// "step 10 (epoch 2)"
std::string Trainer::place(const Task& task, int64_t step) const {
  return concat("step ", step, task.tells_epochs() ? concat(" (epoch ", state_->epoch + 1, ")") : "");
}

// Goes through the step once more, slowly, to say where it went wrong.
void Trainer::diverged(const std::string& expected, const Task& task, std::span<const Batch> batches) const {
  std::string where;
  try {
    Generator random(state_->random_before);
    const GeneratorGuard replay(random);
    const autograd::AnomalyGuard anomaly;
    for (const Batch& batch : batches) {
      const NoGradGuard no_grad;
      if (!all_finite(batch.inputs)) where = "; the batch itself holds NaN or infinity";
      if (!all_finite(batch.targets)) where = "; the targets of the batch hold NaN or infinity";
    }
    for (const Batch& batch : batches) {
      if (!where.empty()) break;
      const Tensor output = model_(batch.inputs);
      Tensor loss = task.loss(output, batch);
      if (options_.method != nullptr) loss = options_.method->loss(output, batch, loss);
      loss.backward();
    }
  } catch (const NonFiniteError& error) {
    where = concat("; first: ", error.what());
  }
  throw NonFiniteError(
      concat("[trainer] expected ", expected, " at ", place(task, state_->step + 1), where, state_->last_good()));
}

double Trainer::step(const Task& task, std::span<const Batch> batches) {
  TERN_CHECK(!batches.empty(), ValueError, "[trainer] expected at least one batch a step, got none");
  Profiler::Phases phase(options_.profiler);
  phase.next("zero gradients");
  state_->random_before = random_state();
  options_.optimizer.zero_grad();
  if (options_.method != nullptr) options_.method->before_step(state_->step);
  double total = 0;
  for (const Batch& batch : batches) {
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
  const Profiler::Span span(options_.profiler, "checkpoint");
  std::unique_ptr<optim::WeightEma::Swapped> trained;
  if (options_.ema != nullptr)
    trained = std::make_unique<optim::WeightEma::Swapped>(*options_.ema, optim::WeightEma::Values::kTrained);
  Checkpoint checkpoint = weights_of(model_);
  checkpoint.metadata.insert(options_.metadata.begin(), options_.metadata.end());
  if (!state_->classes.empty()) checkpoint.metadata.emplace(meta::kClasses, to_text(state_->classes));
  append_with_prefix(checkpoint.state, kOptimizer, options_.optimizer.state_dict());
  if (options_.schedule != nullptr) append_with_prefix(checkpoint.state, kSchedule, options_.schedule->state_dict());
  if (options_.method != nullptr) append_with_prefix(checkpoint.state, kMethod, options_.method->state_dict());
  append_with_prefix(checkpoint.state, kPosition, state_->position);
  if (options_.ema != nullptr) {
    const io::TensorMap state = options_.ema->state_dict();
    checkpoint.state.insert(kUpdates, state.at(kUpdates));
    for (const auto& [name, average] : with_prefix(state, kAverage)) {
      const Tensor* raw = checkpoint.weights.find(name);
      TERN_CHECK(raw != nullptr, StateError,
                 "[trainer] expected averages of named entries of the model's state dict, got ", name);
      checkpoint.state.insert(concat(kRaw, name), *raw);
      checkpoint.weights.set(name, average);
    }
  }
  state_->random = random_state();
  checkpoint.metadata[meta::kTrainState] = to_json(*state_).dump();
  save_checkpoint(path, checkpoint);
  state_->saved = path.text();
  state_->saved_step = state_->step;
}

void Trainer::load(const io::FilePath& file) {
  const Checkpoint checkpoint = load_checkpoint(file);
  const std::string& path = checkpoint.path;
  TERN_CHECK(checkpoint.is_ours() && checkpoint.metadata.contains(meta::kTrainState), FormatError,
             "[trainer] expected a checkpoint with the state of a run, got ", path);
  State loaded;
  static_cast<TrainState&>(loaded) =
      train_state_from(io::Json::parse("trainer", path, checkpoint.metadata_at(meta::kTrainState)), path);
  TERN_CHECK(loaded.epoch <= options_.epochs, ValueError, "[trainer] expected a run of at least the ", loaded.epoch,
             " epochs that ", path, " has done, got ", options_.epochs);
  for (const auto& [name, tensor] : checkpoint.state)
    TERN_CHECK(name == kUpdates || name.starts_with(kOptimizer) || name.starts_with(kSchedule) ||
                   name.starts_with(kPosition) || name.starts_with(kMethod) || name.starts_with(kRaw),
               FormatError, "[trainer] expected the state of a run alone in ", path, ", got also ", name);
  std::vector<std::string> classes = classes_of(checkpoint);
  io::TensorMap weights = checkpoint.weights;
  io::TensorMap averages;
  const bool has_averages = checkpoint.state.contains(kUpdates);
  TERN_CHECK(has_averages == (options_.ema != nullptr), ValueError, "[trainer] expected a checkpoint ",
             options_.ema != nullptr ? "with" : "without", " averaged weights, got ", path);
  if (has_averages) {
    for (const auto& [name, raw] : with_prefix(checkpoint.state, kRaw)) {
      averages.insert(concat(kAverage, name), weights.at(name));
      weights.set(name, raw);
    }
    averages.insert(kUpdates, checkpoint.state.at(kUpdates));
  }
  loaded.position = with_prefix(checkpoint.state, kPosition);
  const io::TensorMap schedule = with_prefix(checkpoint.state, kSchedule);
  TERN_CHECK(schedule.empty() == (options_.schedule == nullptr), ValueError, "[trainer] expected a checkpoint ",
             options_.schedule != nullptr ? "with" : "without", " a schedule, got ", path);
  const io::TensorMap method = with_prefix(checkpoint.state, kMethod);
  TERN_CHECK(method.empty() || options_.method != nullptr, ValueError,
             "[trainer] expected a checkpoint without a method's state, got ", path);

  // Each of these checks all it is given before it changes anything; what was changed before one that throws is put
  // back.
  const io::TensorMap old_weights = copies_of(io::TensorMap(model_.state_dict()));
  const io::TensorMap old_optimizer = options_.optimizer.state_dict();
  const io::TensorMap old_schedule = options_.schedule != nullptr ? options_.schedule->state_dict() : io::TensorMap();
  const io::TensorMap old_method =
      options_.method != nullptr ? copies_of(options_.method->state_dict()) : io::TensorMap();
  const io::TensorMap old_averages = options_.ema != nullptr ? options_.ema->state_dict() : io::TensorMap();
  try {
    model_.load_state_dict(weights.entries());
    options_.optimizer.load_state_dict(with_prefix(checkpoint.state, kOptimizer));
    if (options_.schedule != nullptr) options_.schedule->load_state_dict(schedule);
    if (options_.method != nullptr) options_.method->load_state_dict(method);
    if (options_.ema != nullptr) options_.ema->load_state_dict(averages);
    set_method(loaded.step);  // last: before the first step there is nothing to set it back to
  } catch (...) {
    model_.load_state_dict(old_weights.entries());
    options_.optimizer.load_state_dict(old_optimizer);
    if (options_.schedule != nullptr) options_.schedule->load_state_dict(old_schedule);
    if (options_.method != nullptr) options_.method->load_state_dict(old_method);
    if (options_.ema != nullptr) options_.ema->load_state_dict(old_averages);
    if (state_->step > 0) set_method(state_->step);
    throw;
  }
  set_random_state(loaded.random);
  loaded.classes = std::move(classes);
  loaded.saved = path;
  loaded.saved_step = loaded.step;
  *state_ = loaded;
}

// One call of fit().
struct Trainer::Loop {
  Trainer& trainer;
  Task& task;
  const TrainerOptions& options = trainer.options_;
  State& state = *trainer.state_;
  Clock::time_point started = Clock::now();
  double before = 0;  // seconds that the run had taken when it was resumed
  int64_t first_step = state.step;
  std::unique_ptr<MetricsLog> log = nullptr;
  std::unique_ptr<Progress> progress = nullptr;
  FitResult result = {};
  io::DirectoryHandle directory = options.directory;

  double elapsed() const { return before + seconds_since(started); }

  // What rows and progress name: the rate that the last step was made with. The schedule has moved on to the next
  // one's.
  double trained_lr() const { return state.lr.value_or(options.optimizer.lr()); }

  io::FilePath file(const char* name) const { return directory->file(name); }

  void open_files() {
    if (options.progress != nullptr)
      progress = std::make_unique<Progress>(*options.progress, Progress::Options{.terminal = options.terminal});
    if (options.out.empty()) return;
    if (directory == nullptr) {
      make_directory(options.out);
      directory = io::Directory::open("trainer", options.out);
    }
    const bool used = directory->has("last.safetensors") || directory->has("best.safetensors");
    TERN_CHECK(!state.saved.empty() || options.overwrite || !used, StateError,
               "[trainer] expected a directory without a run's checkpoint, got ", options.out,
               "; load() goes on from it, and TrainerOptions::overwrite replaces it");
    if (state.step > 0) before = cut_metrics_after(file("metrics.jsonl"), state.step, state.epoch);
    settle_best();
    if (trainer.is_complete()) return;
    log = std::make_unique<MetricsLog>(file("metrics.jsonl"),
                                       state.step > 0 ? MetricsLog::Open::kAppend : MetricsLog::Open::kNew);
    if (state.saved.empty()) save();  // so that the run can be resumed whatever happens from here on
  }

  // Leaves the best checkpoint that belongs to where the run is, if there is one.
  void settle_best() {
    const BestCheckpoint checkpoint(directory);
    if (state.saved.empty()) return checkpoint.remove();
    if (!state.knows_best_step || (!state.best.is_none() && checkpoint.restore(state.best))) return;
    if (!state.best.is_none() && state.best.step == state.step && state.batch == 0) {
      trainer.save_best(checkpoint.path());  // these are the weights
      return checkpoint.forget_previous();
    }
    checkpoint.remove();
    state.best = {};
  }

  void need_finite_parameters() const {  // the loss was looked at before the last update
    const NoGradGuard no_grad;
    for (const auto& [name, parameter] : trainer.model_.named_parameters())
      TERN_CHECK(all_finite(parameter), NonFiniteError, "[trainer] expected finite parameters, got NaN or infinity in ",
                 name, " after ", trainer.place(task, state.step), state.last_good());
  }

  // Writes the checkpoint that the run goes on from; never one that training has ruined.
  void save() {
    if (options.out.empty()) return;
    need_finite_parameters();
    trainer.save(file("last.safetensors"));
    BestCheckpoint(directory).forget_previous();
  }

  bool stopped() const {
    return (options.stop && options.stop()) || (options.max_steps > 0 && state.step >= options.max_steps);
  }

  int64_t steps_an_epoch() const { return (task.size() + options.accumulate - 1) / options.accumulate; }

  // Trains to the end of the epoch, or until something stops the run; returns whether the epoch is complete.
  bool run_epoch(double& rate) {
    if (state.batch >= task.size()) return true;  // resumed where it was stopped while being measured
    trainer.model_.train();
    const Clock::time_point epoch_started = Clock::now();
    const int64_t seen_before = state.sums.n;
    task.start(state.epoch, state.position);
    state.position = {};
    std::vector<Batch> pending;
    while (std::optional<Batch> batch = task.next()) {
      pending.push_back(*std::move(batch));
      if (static_cast<int64_t>(pending.size()) < std::min(options.accumulate, task.size() - state.batch)) continue;
      {
        const Profiler::Step profiled(options.profiler, task.loading());
        trainer.step(task, pending);
      }
      pending.clear();
      rate = static_cast<double>(state.sums.n - seen_before) / seconds_since(epoch_started);
      if (progress != nullptr && progress->due()) progress->update(progress_state(rate));
      if (options.log_every > 0 && state.step % options.log_every == 0) record(step_row(rate));
      if (state.batch >= task.size()) continue;  // what follows belongs to the end of the epoch
      const bool stop = stopped();
      if (stop || (options.save_every_steps > 0 && state.step % options.save_every_steps == 0)) {
        state.position = task.position();
        if (stop) return false;
        save();
        state.position = {};
      }
    }
    return true;
  }

  ProgressState progress_state(double rate) const {
    const int64_t in_epoch = (state.batch + options.accumulate - 1) / options.accumulate;
    int64_t remaining = (options.epochs - state.epoch) * steps_an_epoch() - in_epoch;
    if (options.max_steps > 0) remaining = std::min(remaining, options.max_steps - state.step);
    const int64_t done = state.step - first_step;
    const bool epochs = task.tells_epochs();
    return {.epoch = state.epoch,
            .epochs = epochs ? options.epochs : 0,
            .step = epochs ? in_epoch : state.step,
            .steps = epochs ? steps_an_epoch() : options.epochs * steps_an_epoch(),
            .figures = task.text(state.result()),
            .lr = trained_lr(),
            .rate = rate,
            .unit = task.unit(),
            .data_wait = task.loading().wait_share(),
            .eta_s = seconds_since(started) / static_cast<double>(std::max<int64_t>(done, 1)) *
                     static_cast<double>(remaining),
            .extra = trainer.observe()};
  }

  void record(const MetricRow& row) {
    if (log != nullptr) log->write(row);
    if (options.on_row) options.on_row(row);
  }

  void add_figures(MetricRow& row, const char* prefix, const EvalResult& r) const {
    for (Metric& figure : task.figures(r)) row.push_back({prefix + figure.name, std::move(figure.value)});
  }

  MetricRow step_row(double rate) const {
    MetricRow row{{"epoch", state.epoch + 1}, {"step", state.step}};
    add_figures(row, "", state.result());
    row.push_back({"lr", trained_lr()});
    row.push_back({task.unit() + "_per_s", rate});
    for (Metric& metric : trainer.method_metrics()) row.push_back(std::move(metric));
    return row;
  }

  // Measures, records and saves what a complete epoch has come to. False if stop() came while measuring: nothing is
  // recorded then, and a resumed run measures again. rate: 0 if nothing of the epoch was trained since a resume.
  bool finish_epoch(double rate) {
    need_finite_parameters();
    auto averaged = trainer.averages_in_place();  // for all figures of the model from here on
    const bool last = state.epoch + 1 == options.epochs;
    const auto due = [&](int64_t every) { return last || (every > 0 && (state.epoch + 1) % every == 0); };
    result.train = state.result();
    result.observed = trainer.observe();
    MetricRow row{{"epoch", state.epoch + 1}, {"step", state.step}};
    add_figures(row, "train_", result.train);
    row.push_back({"lr", trained_lr()});
    if (rate > 0) {
      row.push_back({task.unit() + "_per_s", rate});
      row.push_back({"data_wait", task.loading().wait_share()});
    }
    std::string line = task.tells_epochs() ? concat("epoch ", state.epoch + 1, "/", options.epochs)
                                           : concat("step ", state.step, "/", options.epochs * steps_an_epoch());
    line += concat(": train ", task.text(result.train));
    bool best = false;
    {
      const Profiler::Span span(options.profiler, "evaluation");
      result.validation = task.validate(trainer.model_, options.stop);
      if (!result.validation.complete) return false;
      report("val", result.validation, row, line);
      best = result.validation.n > 0 && task.score(result.validation) > state.best.score &&
             (options.method == nullptr || options.method->has_set_in());
      if (due(options.test_every)) {
        result.test = task.test(trainer.model_, options.stop);
        if (!result.test.complete) return false;
        report("test", result.test, row, line);
      }
    }
    if (best) {
      state.best = {.score = task.score(result.validation), .step = state.step};
      state.knows_best_step = true;
    }
    if (auto* plateau = dynamic_cast<optim::PlateauLr*>(options.schedule))
      plateau->report(result.validation.n > 0 ? result.validation.loss : result.train.loss);
    row.push_back({"seconds", elapsed()});
    for (const Metric& metric : result.observed) {
      row.push_back(metric);
      if (const auto* real = std::get_if<double>(&metric.value))
        line += concat(" ", metric.name, format_text(" %.4f", *real));
    }
    line += format_text(" lr %.6f", trained_lr());
    if (rate > 0)
      line += format_text(" %.0f %s/s wait %.1f%%", rate, task.unit().c_str(), 100 * task.loading().wait_share());
    line += " " + clock_text(elapsed());

    ++state.epoch;
    state.batch = 0;
    state.loss_sum = 0;
    state.sums = {};
    state.trained = result.train;
    record(row);
    if (progress != nullptr) progress->line(line);
    if (options.on_epoch) options.on_epoch(state.epoch, state.step);
    averaged.reset();
    const bool save_now = last || (options.save_every > 0 && state.epoch % options.save_every == 0);
    if (best && !options.out.empty()) {
      const BestCheckpoint checkpoint(directory);
      checkpoint.keep_previous();
      trainer.save_best(checkpoint.path());
    }
    if (save_now) save();
    return true;
  }

  void report(const char* name, const EvalResult& r, MetricRow& row, std::string& line) const {
    if (r.n == 0) return;
    TERN_CHECK(std::isfinite(r.loss), NonFiniteError, "[trainer] expected a finite loss on the ", name, " ",
               task.unit(), ", got ", r.loss, " after ", trainer.place(task, state.step), state.last_good());
    add_figures(row, concat(name, "_").c_str(), r);
    line += concat(" | ", name, " ", task.text(r));
  }

  FitResult run() {
    open_files();
    bool complete = true;
    result.train = state.trained;
    if (trainer.is_complete()) {  // resumed after the end: only measure again
      const auto averaged = trainer.averages_in_place();
      result.validation = task.validate(trainer.model_, options.stop);
      result.test = task.test(trainer.model_, options.stop);
      result.observed = trainer.observe();
      complete = result.validation.complete && result.test.complete;
    }
    while (complete && state.epoch < options.epochs) {
      double rate = 0;
      complete = run_epoch(rate);
      if (complete) complete = finish_epoch(rate) && (!stopped() || state.epoch == options.epochs);
    }
    result.finished = complete && trainer.is_complete();
    if (!trainer.is_complete()) save();
    result.epochs = state.epoch;
    result.steps = state.step;
    result.best = state.best.score;
    return result;
  }
};

void Trainer::save_best(const io::FilePath& path) const {
  const Profiler::Span span(options_.profiler, "checkpoint");
  Checkpoint checkpoint = weights_of(model_);
  checkpoint.metadata.insert(options_.metadata.begin(), options_.metadata.end());
  if (!state_->classes.empty()) checkpoint.metadata.emplace(meta::kClasses, to_text(state_->classes));
  checkpoint.metadata[meta::kBest] = to_text(state_->best);
  if (options_.ema != nullptr)
    for (const auto& [name, average] : with_prefix(options_.ema->state_dict(), kAverage))
      checkpoint.weights.set(name, average);
  save_checkpoint(path, checkpoint);
}

// The names that checkpoints carry from here on; those of a checkpoint that was loaded must be the task's.
void Trainer::take_classes(const Task& task) {
  const std::vector<std::string> names = task.class_names();
  std::vector<std::string>& known = state_->classes;
  if (names.empty() || names == known) return;
  if (known.empty()) {
    known = names;
    return;
  }
  const std::string owner = state_->saved.empty() ? "the model" : state_->saved;
  const std::vector<int64_t> places = class_places({names, "the data"}, {known, owner});
  TERN_CHECK(std::is_sorted(places.begin(), places.end()) && names.size() == known.size(), ValueError,
             "[trainer] expected the classes of ", owner, " in their order, got ", to_text(names), " instead of ",
             to_text(known));
}

FitResult Trainer::fit(Task& task) {
  TERN_CHECK(is_complete() || task.size() > 0, ValueError, "[trainer] expected at least one batch of ", task.unit(),
             " an epoch, got none: the data set is empty, or smaller than the one batch that drop_last asks for");
  take_classes(task);
  return Loop{.trainer = *this, .task = task}.run();
}

FitResult Trainer::fit(data::DataLoader& train, data::DataLoader* validation) {
  ClassifierTask task({.train = &train, .validation = validation});
  return fit(task);
}

}  // namespace tern::train
