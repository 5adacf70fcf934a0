#include <ostream>

#include <tern/core/error.h>
#include <tern/core/io/file.h>
#include <tern/core/parallel.h>
#include <tern/core/random.h>
#include <tern/core/text.h>
#include <tern/train/insight/report.h>
#include <tern/train/loop/progress.h>
#include <tern/train/run/training_run.h>

namespace tern::train {

TrainingRun::TrainingRun(const char* program, const RunArguments& arguments, uint64_t seed,
                         std::unique_ptr<const RunDirectory> out, std::ostream& progress, std::ostream& errors)
    : program_(program), arguments_(arguments), out_(std::move(out)), progress_(progress), errors_(errors) {
  if (arguments.resume && out_->has("last.safetensors")) checkpoint_ = out_->file("last.safetensors");
  if (arguments.threads > 0) set_num_threads(static_cast<int>(arguments.threads));
  manual_seed(seed);
}

TrainingRun::~TrainingRun() = default;

void TrainingRun::profile(const std::function<nn::Summary()>& summary, const std::string& unit) {
  if (!arguments_.profile) return;
  profiler_ = std::make_unique<Profiler>(
      summary(),
      ProfileOptions{.warmup = arguments_.fast_dev_run ? 1 : 3, .steps = arguments_.profile_steps, .unit = unit});
}

TrainerOptions TrainingRun::watch(nn::Module& model, TrainerOptions options) {
  options.out = arguments_.out;
  if (out_ != nullptr) options.directory = out_->handle();
  options.log_every = arguments_.log_every;
  options.progress = &progress_;
  options.terminal = stdout_is_terminal();
  options.profiler = profiler_.get();
  options.stop = is_interrupted;
  options.on_epoch = [this, &model, first = std::move(options.on_epoch)](int64_t epoch, int64_t step) {
    if (first) first(epoch, step);
    if (events_ != nullptr) write_layers(*events_, model, step);
    if (profiler_ != nullptr && out_ != nullptr) profiler_->write(out_->handle());
  };
  options.on_row = [this, first = std::move(options.on_row)](const MetricRow& row) {
    if (first) first(row);
    if (events_ != nullptr) events_->row(row);
  };
  return options;
}

void TrainingRun::begin(Trainer& trainer, const Schema& schema, const io::Json& description,
                        const std::vector<std::string>& free) {
  io::Json config = description;
  if (!checkpoint_.empty()) {
    need_same_run(program_, schema, description, *out_, free);
    trainer.load(checkpoint_);
    is_over_ = trainer.is_complete() && !lacks("summary.json", "steps", trainer.global_step());
    if (is_over_) return print_summary();
    if (out_->has("config.json"))
      config = with_history(std::move(config), out_->json(program_, "config.json"), trainer.global_step());
  } else if (arguments_.resume) {
    progress_ << concat("no checkpoint in ", out_->path(), " yet: from the beginning") << std::endl;
  }
  if (out_ == nullptr) return;
  if (arguments_.overwrite) {
    out_->clear();
    remove_event_files(out_->handle());
  }
  for (const char* name : {"summary.json", "evaluation.json", "report.html"}) remove(name);
  if (arguments_.tensorboard) events_ = std::make_unique<EventWriter>(out_->handle(), trainer.global_step());
  io::write_file_atomic("config", out_->file("config.json"), config.dump(2) + "\n");
}

bool TrainingRun::lacks(const char* name, const char* key, int64_t steps) const {
  if (out_ == nullptr) return false;
  try {
    const io::Json json = out_->json(program_, name);
    const io::Json* at = json.is_object() ? json.find(key) : nullptr;
    return at == nullptr || !at->is_integer() || at->as_int() != steps;
  } catch (const Error&) {  // not there, or no JSON
    return true;
  }
}

bool TrainingRun::lacks_page() const {
  return out_ != nullptr && !out_->file("report.html").is_regular();
}

void TrainingRun::remove(const char* name) const {
  if (out_ == nullptr) return;
  try {
    out_->handle()->remove(name);
  } catch (const IoError&) {  // what takes its place says so
  }
}

void TrainingRun::print_summary() const {
  progress_ << concat("the run in ", out_->path(), " is complete") << std::endl;
  const io::Json summary = out_->json(program_, "summary.json");
  std::string line;
  for (const auto& [name, value] : summary.members())
    if (value.is_number())
      line += concat(line.empty() ? "" : " ", name, "=",
                     value.is_integer() ? concat(value.as_int()) : concat(value.as_number()));
  progress_ << line << std::endl;
}

std::unique_ptr<MetricsLog> TrainingRun::log(const char* name, const Trainer& trainer) const {
  if (out_ == nullptr) return nullptr;
  cut_metrics_after(out_->file(name), trainer.global_step(), trainer.epoch());
  return std::make_unique<MetricsLog>(out_->file(name), MetricsLog::Open::kAppend);
}

int TrainingRun::stopped(const FitResult& result, const std::string& where) {
  if (profiler_ != nullptr) {
    if (out_ != nullptr) profiler_->write(out_->handle());
    progress_ << profiler_->table();
  }
  if (result.finished) return 0;
  progress_ << where << (out_ == nullptr ? "" : concat("; go on with --resume --out ", out_->handle()->present_path()))
            << std::endl;
  write_page();
  return 128 + StopSignal::received();
}

bool TrainingRun::is_interrupted() {
  return StopSignal::received() != 0;
}

int TrainingRun::interrupted(const std::string& where) const {
  if (!is_interrupted()) return 0;
  progress_ << concat("stopped ", where) << std::endl;
  return 128 + StopSignal::received();
}

void TrainingRun::write_summary(const MetricRow& figures, const io::Json& more) const {
  io::Json summary = to_json(figures);
  for (const auto& [key, value] : more.members()) summary[key] = value;
  if (out_ != nullptr) io::write_file_atomic("summary", out_->file("summary.json"), summary.dump(2) + "\n");
  std::string line;
  for (const Metric& figure : figures)
    line += concat(line.empty() ? "" : " ", figure.name, "=", std::get<double>(figure.value));
  progress_ << line << std::endl;
}

void TrainingRun::write_page() const {
  try_to_write("report.html", [&](const io::FilePath& path) { write_run_report(path, out_->handle()); });
}

void TrainingRun::try_to_write(const char* name, const std::function<void(const io::FilePath& path)>& write) const {
  if (out_ == nullptr) return;
  try {
    write(out_->file(name));
  } catch (const std::exception& error) {
    errors_ << concat(program_, ": ", name, " was not written: ", one_line(error.what())) << std::endl;
  }
}

}  // namespace tern::train
