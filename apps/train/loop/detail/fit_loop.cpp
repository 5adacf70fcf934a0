#include <algorithm>
#include <chrono>
#include <cmath>
#include <ostream>

#include <tern/core/autograd/autograd.h>
#include <tern/core/error.h>
#include <tern/core/finite.h>
#include <tern/core/text.h>
#include <tern/train/loop/detail/fit_loop.h>
#include <tern/train/loop/process.h>
#include <tern/train/loop/progress.h>
#include <tern/train/weights/best_checkpoint.h>

namespace tern::train {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

// One call of fit().
struct FitLoop {
  Trainer& trainer;
  nn::Module& model;
  const TrainerOptions& options;
  RunState& state;
  Task& task;
  Clock::time_point started = Clock::now();
  double before = 0;  // seconds that the run had taken when it was resumed
  int64_t first_step = state.step;
  std::unique_ptr<MetricsLog> log = nullptr;
  std::unique_ptr<Progress> progress = nullptr;
  FitResult result = {};
  io::DirectoryHandle directory = options.directory;

  MetricRow method_metrics() const {
    const auto averaged = averages_in_place(options);
    return options.method != nullptr ? options.method->metrics() : MetricRow{};
  }

  MetricRow observe() const {
    const auto averaged = averages_in_place(options);
    MetricRow row = options.observe ? options.observe() : MetricRow{};
    for (Metric& metric : method_metrics()) row.push_back(std::move(metric));
    return row;
  }

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
      save_best(checkpoint.path(), model, options, state);  // these are the weights
      return checkpoint.forget_previous();
    }
    checkpoint.remove();
    state.best = {};
  }

  void need_finite_parameters() const {  // the loss was looked at before the last update
    const NoGradGuard no_grad;
    for (const auto& [name, parameter] : model.named_parameters())
      TERN_CHECK(all_finite(parameter), NonFiniteError, "[trainer] expected finite parameters, got NaN or infinity in ",
                 name, " after ", state.place(task, state.step), state.last_good());
  }

  // Writes the checkpoint that the run goes on from; never one that training has ruined.
  void save() {
    if (options.out.empty()) return;
    need_finite_parameters();
    save_run(file("last.safetensors"), model, options, state);
    BestCheckpoint(directory).forget_previous();
  }

  bool stopped() const {
    return (options.stop && options.stop()) || (options.max_steps > 0 && state.step >= options.max_steps);
  }

  int64_t steps_an_epoch() const { return (task.size() + options.accumulate - 1) / options.accumulate; }

  // Trains to the end of the epoch, or until something stops the run; returns whether the epoch is complete.
  bool run_epoch(double& rate) {
    if (state.batch >= task.size()) return true;  // resumed where it was stopped while being measured
    model.train();
    const Clock::time_point epoch_started = Clock::now();
    const int64_t seen_before = state.sums.n;
    task.start(state.epoch, state.position);
    state.position = {};
    std::vector<TaskBatch> pending;
    while (std::optional<TaskBatch> batch = task.next()) {
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
            .extra = observe()};
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
    for (Metric& metric : method_metrics()) row.push_back(std::move(metric));
    return row;
  }

  // Measures, records and saves what a complete epoch has come to. False if stop() came while measuring: nothing is
  // recorded then, and a resumed run measures again. rate: 0 if nothing of the epoch was trained since a resume.
  bool finish_epoch(double rate) {
    need_finite_parameters();
    auto averaged = averages_in_place(options);  // for all figures of the model from here on
    const bool last = state.epoch + 1 == options.epochs;
    const auto due = [&](int64_t every) { return last || (every > 0 && (state.epoch + 1) % every == 0); };
    result.train = state.result();
    result.observed = observe();
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
      result.validation = task.validate(model, options.stop);
      if (!result.validation.complete) return false;
      report("val", result.validation, row, line);
      best = result.validation.n > 0 && task.score(result.validation) > state.best.score &&
             (options.method == nullptr || options.method->has_set_in());
      if (due(options.test_every)) {
        result.test = task.test(model, options.stop);
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
      save_best(checkpoint.path(), model, options, state);
    }
    if (save_now) save();
    return true;
  }

  void report(const char* name, const EvalResult& r, MetricRow& row, std::string& line) const {
    if (r.n == 0) return;
    TERN_CHECK(std::isfinite(r.loss), NonFiniteError, "[trainer] expected a finite loss on the ", name, " ",
               task.unit(), ", got ", r.loss, " after ", state.place(task, state.step), state.last_good());
    add_figures(row, concat(name, "_").c_str(), r);
    line += concat(" | ", name, " ", task.text(r));
  }

  FitResult run() {
    open_files();
    bool complete = true;
    result.train = state.trained;
    if (trainer.is_complete()) {  // resumed after the end: only measure again
      const auto averaged = averages_in_place(options);
      result.validation = task.validate(model, options.stop);
      result.test = task.test(model, options.stop);
      result.observed = observe();
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

}  // namespace

FitResult fit_loop(Trainer& trainer, nn::Module& model, const TrainerOptions& options, RunState& state, Task& task) {
  return FitLoop{.trainer = trainer, .model = model, .options = options, .state = state, .task = task}.run();
}

}  // namespace tern::train
