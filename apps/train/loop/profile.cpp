#include <tern/core/error.h>
#include <tern/core/io/file.h>
#include <tern/train/loop/detail/profile_recorder.h>
#include <tern/train/loop/detail/profile_table.h>
#include <tern/train/loop/detail/profile_trace.h>
#include <tern/train/loop/profile.h>

namespace tern::train {

Profiler::Profiler(const nn::Summary& summary, const ProfileOptions& options)
    : recorder_(std::make_unique<ProfileRecorder>()) {
  TERN_CHECK(options.warmup >= 0, ValueError, "[profile] expected a warm-up of at least 0 steps, got ", options.warmup);
  TERN_CHECK(options.steps >= 1 && options.steps <= 10'000, ValueError,
             "[profile] expected between 1 and 10000 steps to measure, got ", options.steps);
  recorder_->summary = summary;
  recorder_->options = options;
  recorder_->index_of("");
}
Profiler::~Profiler() = default;

Profiler::Step::Step(Profiler* profiler, const data::LoaderStats& loading) : profiler_(profiler) {
  if (profiler_ != nullptr) profiler_->recorder_->begin_step(loading);
}
Profiler::Step::~Step() {
  if (profiler_ != nullptr && profiler_->recorder_->measuring()) profiler_->recorder_->end_step();
}

Profiler::Phases::Phases(Profiler* profiler)
    : profiler_(profiler != nullptr && profiler->recorder_->measuring() ? profiler : nullptr) {}
Profiler::Phases::~Phases() {
  if (open_) profiler_->recorder_->end();
}
void Profiler::Phases::next(const char* name) {
  if (profiler_ == nullptr) return;
  if (open_) profiler_->recorder_->end();
  open_ = false;
  profiler_->recorder_->begin_phase(name);
  open_ = true;
}

Profiler::Span::Span(Profiler* profiler, const char* name) : profiler_(profiler) {
  if (profiler_ != nullptr) profiler_->recorder_->begin(ProfileRecorder::Category::kOutside, name);
}
Profiler::Span::~Span() {
  if (profiler_ != nullptr) profiler_->recorder_->end();
}

int64_t Profiler::steps() const {
  return static_cast<int64_t>(recorder_->durations.size());
}
bool Profiler::done() const {
  return steps() >= recorder_->options.steps;
}
std::vector<ProfileRow> Profiler::rows() const {
  return profile_rows(*recorder_);
}
std::vector<ProfilePhase> Profiler::phases() const {
  return profile_phases(*recorder_);
}
double Profiler::step_ms() const {
  return recorder_->ms(recorder_->measured());
}
double Profiler::wait_ms() const {
  return recorder_->ms(recorder_->waited);
}
std::string Profiler::trace() const {
  return profile_trace(*recorder_);
}
std::string Profiler::table() const {
  return profile_table(*recorder_);
}
io::Json Profiler::to_json() const {
  return profile_json(*recorder_);
}

void Profiler::write(const io::DirectoryHandle& directory) const {
  io::write_file_atomic("profile", directory->file("profile.json"), to_json().dump(2) + "\n");
  io::write_file_atomic("profile", directory->file("trace.json"), trace());
}

void Profiler::write(const std::string& directory) const {
  write(io::Directory::open("profile", directory));
}

}  // namespace tern::train
