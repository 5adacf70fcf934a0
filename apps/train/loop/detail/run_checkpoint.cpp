#include <algorithm>

#include <tern/core/error.h>
#include <tern/core/io/json.h>
#include <tern/core/random.h>
#include <tern/core/text.h>
#include <tern/train/loop/detail/run_checkpoint.h>
#include <tern/train/weights/classes.h>

namespace tern::train {
namespace {

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

// The method as it was in the last of so many steps.
void set_method(const TrainerOptions& options, int64_t step) {
  if (options.method != nullptr) options.method->before_step(std::max<int64_t>(step - 1, 0));
}

}  // namespace

std::string RunState::place(const Task& task, int64_t at_step) const {
  return concat("step ", at_step, task.tells_epochs() ? concat(" (epoch ", epoch + 1, ")") : "");
}

std::string RunState::last_good() const {
  return saved.empty() ? std::string("; there is no checkpoint")
                       : concat("; the last good checkpoint is ", saved, " of step ", saved_step);
}

std::unique_ptr<optim::WeightEma::Swapped> averages_in_place(const TrainerOptions& options) {
  return options.ema != nullptr ? std::make_unique<optim::WeightEma::Swapped>(*options.ema) : nullptr;
}

void save_run(const io::FilePath& path, nn::Module& model, const TrainerOptions& options, RunState& state) {
  const Profiler::Span span(options.profiler, "checkpoint");
  std::unique_ptr<optim::WeightEma::Swapped> trained;
  if (options.ema != nullptr)
    trained = std::make_unique<optim::WeightEma::Swapped>(*options.ema, optim::WeightEma::Values::kTrained);
  Checkpoint checkpoint = weights_of(model);
  checkpoint.metadata.insert(options.metadata.begin(), options.metadata.end());
  if (!state.classes.empty()) checkpoint.metadata.emplace(meta::kClasses, to_text(state.classes));
  append_with_prefix(checkpoint.state, kOptimizer, options.optimizer.state_dict());
  if (options.schedule != nullptr) append_with_prefix(checkpoint.state, kSchedule, options.schedule->state_dict());
  if (options.method != nullptr) append_with_prefix(checkpoint.state, kMethod, options.method->state_dict());
  append_with_prefix(checkpoint.state, kPosition, state.position);
  if (options.ema != nullptr) {
    const io::TensorMap averages = options.ema->state_dict();
    checkpoint.state.insert(kUpdates, averages.at(kUpdates));
    for (const auto& [name, average] : with_prefix(averages, kAverage)) {
      const Tensor* raw = checkpoint.weights.find(name);
      TERN_CHECK(raw != nullptr, StateError,
                 "[trainer] expected averages of named entries of the model's state dict, got ", name);
      checkpoint.state.insert(concat(kRaw, name), *raw);
      checkpoint.weights.set(name, average);
    }
  }
  state.random = random_state();
  checkpoint.metadata[meta::kTrainState] = to_json(state).dump();
  save_checkpoint(path, checkpoint);
  state.saved = path.text();
  state.saved_step = state.step;
}

void load_run(const io::FilePath& file, nn::Module& model, const TrainerOptions& options, RunState& state) {
  const Checkpoint checkpoint = load_checkpoint(file);
  const std::string& path = checkpoint.path;
  TERN_CHECK(checkpoint.is_ours() && checkpoint.metadata.contains(meta::kTrainState), FormatError,
             "[trainer] expected a checkpoint with the state of a run, got ", path);
  RunState loaded;
  static_cast<TrainState&>(loaded) =
      train_state_from(io::Json::parse("trainer", path, checkpoint.metadata_at(meta::kTrainState)), path);
  TERN_CHECK(loaded.epoch <= options.epochs, ValueError, "[trainer] expected a run of at least the ", loaded.epoch,
             " epochs that ", path, " has done, got ", options.epochs);
  for (const auto& [name, tensor] : checkpoint.state)
    TERN_CHECK(name == kUpdates || name.starts_with(kOptimizer) || name.starts_with(kSchedule) ||
                   name.starts_with(kPosition) || name.starts_with(kMethod) || name.starts_with(kRaw),
               FormatError, "[trainer] expected the state of a run alone in ", path, ", got also ", name);
  std::vector<std::string> classes = classes_of(checkpoint);
  io::TensorMap weights = checkpoint.weights;
  io::TensorMap averages;
  const bool has_averages = checkpoint.state.contains(kUpdates);
  TERN_CHECK(has_averages == (options.ema != nullptr), ValueError, "[trainer] expected a checkpoint ",
             options.ema != nullptr ? "with" : "without", " averaged weights, got ", path);
  if (has_averages) {
    for (const auto& [name, raw] : with_prefix(checkpoint.state, kRaw)) {
      averages.insert(concat(kAverage, name), weights.at(name));
      weights.set(name, raw);
    }
    averages.insert(kUpdates, checkpoint.state.at(kUpdates));
  }
  loaded.position = with_prefix(checkpoint.state, kPosition);
  const io::TensorMap schedule = with_prefix(checkpoint.state, kSchedule);
  TERN_CHECK(schedule.empty() == (options.schedule == nullptr), ValueError, "[trainer] expected a checkpoint ",
             options.schedule != nullptr ? "with" : "without", " a schedule, got ", path);
  const io::TensorMap method = with_prefix(checkpoint.state, kMethod);
  TERN_CHECK(method.empty() || options.method != nullptr, ValueError,
             "[trainer] expected a checkpoint without a method's state, got ", path);

  // Each of these checks all it is given before it changes anything; what was changed before one that throws is put
  // back.
  const io::TensorMap old_weights = copies_of(io::TensorMap(model.state_dict()));
  const io::TensorMap old_optimizer = options.optimizer.state_dict();
  const io::TensorMap old_schedule = options.schedule != nullptr ? options.schedule->state_dict() : io::TensorMap();
  const io::TensorMap old_method =
      options.method != nullptr ? copies_of(options.method->state_dict()) : io::TensorMap();
  const io::TensorMap old_averages = options.ema != nullptr ? options.ema->state_dict() : io::TensorMap();
  try {
    model.load_state_dict(weights.entries());
    options.optimizer.load_state_dict(with_prefix(checkpoint.state, kOptimizer));
    if (options.schedule != nullptr) options.schedule->load_state_dict(schedule);
    if (options.method != nullptr) options.method->load_state_dict(method);
    if (options.ema != nullptr) options.ema->load_state_dict(averages);
    set_method(options, loaded.step);  // last: before the first step there is nothing to set it back to
  } catch (...) {
    model.load_state_dict(old_weights.entries());
    options.optimizer.load_state_dict(old_optimizer);
    if (options.schedule != nullptr) options.schedule->load_state_dict(old_schedule);
    if (options.method != nullptr) options.method->load_state_dict(old_method);
    if (options.ema != nullptr) options.ema->load_state_dict(old_averages);
    if (state.step > 0) set_method(options, state.step);
    throw;
  }
  set_random_state(loaded.random);
  loaded.classes = std::move(classes);
  loaded.saved = path;
  loaded.saved_step = loaded.step;
  state = loaded;
}

void save_best(const io::FilePath& path, nn::Module& model, const TrainerOptions& options, const RunState& state) {
  const Profiler::Span span(options.profiler, "checkpoint");
  Checkpoint checkpoint = weights_of(model);
  checkpoint.metadata.insert(options.metadata.begin(), options.metadata.end());
  if (!state.classes.empty()) checkpoint.metadata.emplace(meta::kClasses, to_text(state.classes));
  checkpoint.metadata[meta::kBest] = to_text(state.best);
  if (options.ema != nullptr)
    for (const auto& [name, average] : with_prefix(options.ema->state_dict(), kAverage))
      checkpoint.weights.set(name, average);
  save_checkpoint(path, checkpoint);
}

void take_classes(const Task& task, RunState& state) {
  const std::vector<std::string> names = task.class_names();
  std::vector<std::string>& known = state.classes;
  if (names.empty() || names == known) return;
  if (known.empty()) {
    known = names;
    return;
  }
  const std::string owner = state.saved.empty() ? "the model" : state.saved;
  const std::vector<int64_t> places = class_places({names, "the data"}, {known, owner});
  TERN_CHECK(std::is_sorted(places.begin(), places.end()) && names.size() == known.size(), ValueError,
             "[trainer] expected the classes of ", owner, " in their order, got ", to_text(names), " instead of ",
             to_text(known));
}

}  // namespace tern::train
