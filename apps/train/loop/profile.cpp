#include <algorithm>
#include <chrono>
#include <cstdio>
#include <filesystem>
#include <limits>
#include <map>
#include <optional>
#include <unordered_map>

#include <tern/core/autograd/autograd.h>
#include <tern/core/autograd/observer.h>
#include <tern/core/error.h>
#include <tern/core/io/file.h>
#include <tern/core/storage.h>
#include <tern/core/text.h>
#include <tern/data/loader.h>
#include <tern/train/loop/profile.h>
#include <tern/train/settings/environment.h>

namespace tern::train {
namespace {

using Clock = std::chrono::steady_clock;

constexpr size_t kMostEvents = 200'000;  // a trace of about 30 MB
constexpr const char* kModel = "(model)";
constexpr const char* kWait = "data wait";
constexpr const char* kLossBackward = "loss backward";

enum class Category { kStep, kPhase, kForward, kBackward, kOutside };
constexpr const char* kCategoryNames[] = {"step", "phase", "forward", "backward", "run"};

// Times in nanoseconds from the profiler's construction.
struct Event {
  Category category;
  size_t name;
  const char* op;  // of a backward node
  int64_t begin, duration, bytes;
};

// What is under way; `inside` is what the frames within it took.
struct Frame {
  Category category;
  size_t name;
  const char* op;
  int64_t begin, bytes_at_begin;
  int64_t inside = 0, inside_bytes = 0;
};

struct MemorySample {
  int64_t time, bytes;
};

// Sums over all measured steps, by name: of a module's path ("" is the model itself), and of a phase.
struct Cost {
  int64_t forward = 0, backward = 0, forward_bytes = 0, backward_bytes = 0;
  int64_t calls = 0, nodes = 0;
  int64_t gradients = 0;  // most matrices that one of its nodes computed a gradient for
  int64_t macs = 0;       // of its recorded operations, where macs_of knows them
  int64_t phase = 0;
};

// Multiply-accumulates of a recorded operation whose inputs tell them: matrix products with weights [out, in], and
// attention over queries [B, H, T, d]. 0 for all others.
int64_t macs_of(const autograd::Node& node) {
  const std::string_view op = node.name();
  const auto& inputs = node.edges;
  int64_t macs = 0;
  if (op.starts_with("linear") || op == "feed_forward") {
    const Shape& x = inputs[0].shape;
    const int64_t width = x.empty() ? 0 : x[x.size() - 1], rows = width == 0 ? 0 : numel_of(x) / width;
    for (size_t i = 1; i < inputs.size(); ++i)
      if (inputs[i].shape.size() == 2) macs += rows * numel_of(inputs[i].shape);
  } else if (op == "scaled_dot_product_attention" && inputs[1].shape.size() >= 2) {
    macs = 2 * numel_of(inputs[0].shape) * inputs[1].shape[inputs[1].shape.size() - 2];
  }
  return macs;
}

bool is_below(std::string_view path, std::string_view parent) {
  if (parent.empty() || path == parent) return true;
  return path.size() > parent.size() && path.starts_with(parent) && path[parent.size()] == '.';
}

std::string_view parent_of(std::string_view path) {
  const size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : path.substr(0, dot);
}

// Nanoseconds as microseconds, without loss.
std::string microseconds(int64_t ns) {
  return format_text("%lld.%03lld", static_cast<long long>(ns / 1000), static_cast<long long>(ns % 1000));
}

std::string json_text(std::string_view text) {
  return io::Json(text).dump();
}

}  // namespace

struct Profiler::Impl final : autograd::Observer {
  nn::Summary summary;
  ProfileOptions options;
  Clock::time_point start = Clock::now();

  std::vector<std::string> names;
  std::map<std::string, size_t, std::less<>> name_index;
  std::vector<Cost> costs;  // by name
  std::vector<Event> events;
  std::vector<MemorySample> memory;
  int64_t dropped = 0;  // events beyond kMostEvents
  std::vector<Frame> frames;
  std::vector<size_t> phase_order;
  std::optional<autograd::ObserverGuard> watching;  // during a measured step

  int64_t seen = 0;  // steps, the warm-up included
  std::vector<int64_t> durations;
  int64_t waited = 0, images = 0;
  int64_t other = 0;     // of steps, outside of phases
  double last_wait = 0;  // of the loader, at the last step
  int64_t last_batches = 0, last_images = 0;
  int64_t last_end = 0;
  bool in_loss = false;
  uint64_t loss_from = std::numeric_limits<uint64_t>::max();  // first node of the loss

  int64_t now() const { return std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count(); }

  size_t index_of(std::string_view name) {
    if (const auto it = name_index.find(name); it != name_index.end()) return it->second;
    names.emplace_back(name);
    costs.emplace_back();
    name_index.emplace(names.back(), names.size() - 1);
    return names.size() - 1;
  }

  const Cost* find(std::string_view name) const {
    const auto it = name_index.find(name);
    return it == name_index.end() ? nullptr : &costs[it->second];
  }

  // -- recording; end() cannot fail: begin() makes the room that it needs

  void begin(Category category, std::string_view name, const char* op = nullptr) {
    const size_t index = index_of(name);
    const size_t needed = events.size() + frames.size() + 1;
    if (needed > events.capacity() && events.size() < kMostEvents) events.reserve(std::max<size_t>(1024, 2 * needed));
    frames.push_back({category, index, op, 0, thread_allocated_bytes()});
    frames.back().begin = now();
  }

  int64_t end() noexcept {
    const int64_t time = now();
    const Frame frame = frames.back();
    frames.pop_back();
    const int64_t duration = time - frame.begin, self = duration - frame.inside;
    const int64_t bytes = thread_allocated_bytes() - frame.bytes_at_begin, self_bytes = bytes - frame.inside_bytes;
    if (!frames.empty()) {
      frames.back().inside += duration;
      frames.back().inside_bytes += bytes;
    }
    Cost& cost = costs[frame.name];
    switch (frame.category) {
      case Category::kForward:
        cost.forward += self, cost.forward_bytes += self_bytes, ++cost.calls;
        break;
      case Category::kBackward:
        if (names[frame.name] == kLossBackward)
          cost.phase += self;
        else
          cost.backward += self, cost.backward_bytes += self_bytes, ++cost.nodes;
        break;
      case Category::kPhase:
        if (names[frame.name] == "forward")
          add_model_forward(self, self_bytes);
        else
          cost.phase += self;
        break;
      case Category::kStep:
        other += self;
        break;
      case Category::kOutside:
        break;
    }
    if (events.size() < events.capacity())
      events.push_back({frame.category, frame.name, frame.op, frame.begin, duration, bytes});
    else
      ++dropped;
    last_end = time;
    return duration;
  }

  void add_model_forward(int64_t ns, int64_t bytes) noexcept {
    Cost& model = costs[0];  // "", the first name
    model.forward += ns;
    model.forward_bytes += bytes;
    ++model.calls;
  }

  bool measuring() const { return watching.has_value(); }

  void begin_step(const data::LoaderStats& loading) {
    const bool same_epoch = loading.batches > last_batches;
    const double wait = std::max(0.0, loading.wait_seconds - (same_epoch ? last_wait : 0));
    const int64_t step_images = loading.images - (same_epoch ? last_images : 0);
    last_wait = loading.wait_seconds;
    last_batches = loading.batches;
    last_images = loading.images;
    if (seen++ < options.warmup || static_cast<int64_t>(durations.size()) >= options.steps) return;
    durations.reserve(static_cast<size_t>(options.steps));
    memory.reserve(static_cast<size_t>(options.steps));
    const int64_t time = now(), wait_ns = static_cast<int64_t>(wait * 1e9);
    const int64_t wait_begin = std::max(last_end, time - wait_ns);
    events.push_back({Category::kStep, index_of(kWait), nullptr, wait_begin, time - wait_begin, 0});
    waited += wait_ns;
    images += step_images;
    begin(Category::kStep, concat("step ", seen));
    watching.emplace(this);
  }

  void end_step() noexcept {
    watching.reset();
    durations.push_back(end());
    memory.push_back({last_end, memory_stats().live_bytes});
  }

  void begin_phase(const char* name) {
    in_loss = std::string_view(name) == "loss";
    if (std::string_view(name) == "forward") loss_from = std::numeric_limits<uint64_t>::max();
    begin(Category::kPhase, name);
    const size_t index = frames.back().name;
    if (std::find(phase_order.begin(), phase_order.end(), index) == phase_order.end()) phase_order.push_back(index);
  }

  // -- what autograd tells

  void module_begins(std::string_view name) override {
    begin(Category::kForward, nn::join_path(autograd::current_module_path(), name));
  }
  void module_ends() noexcept override { end(); }
  void node_recorded(const autograd::Node& node) override {
    if (in_loss)
      loss_from = std::min(loss_from, node.sequence);
    else
      costs[index_of(node.module_path)].macs += macs_of(node);
  }
  void backward_begins(const autograd::Node& node) override {
    const bool of_loss = node.module_path.empty() && node.sequence >= loss_from;
    begin(Category::kBackward, of_loss ? kLossBackward : std::string_view(node.module_path), node.name());
    int64_t gradients = 0;
    for (const autograd::Edge& edge : node.edges) gradients += edge.needed() && edge.shape.size() >= 2;
    Cost& cost = costs[frames.back().name];
    cost.gradients = std::max(cost.gradients, gradients);
  }
  void backward_ends(const autograd::Node&) noexcept override { end(); }

  // -- reading

  double per_step(int64_t sum) const {
    return durations.empty() ? 0 : static_cast<double>(sum) / static_cast<double>(durations.size());
  }
  double ms(int64_t ns) const { return 1e-6 * per_step(ns); }
  int64_t measured() const {
    int64_t sum = 0;
    for (const int64_t duration : durations) sum += duration;
    return sum;
  }
  double share(int64_t ns) const {
    const int64_t all = measured() + waited;
    return all == 0 ? 0 : static_cast<double>(ns) / static_cast<double>(all);
  }

  // The module that did a module's work: itself, or the nearest one around it that ran.
  std::string_view worker_of(std::string_view path) const {
    for (; !path.empty(); path = parent_of(path))
      if (const Cost* cost = find(path); cost != nullptr && cost->calls > 0) return path;
    return path;
  }

  ProfileRow row(std::string_view path, const std::string& type) const {
    ProfileRow out;
    out.name = path.empty() ? kModel : std::string(path);
    out.type = type.substr(0, type.find('('));
    if (const Cost* cost = find(path)) {
      out.calls = per_step(cost->calls);
      out.nodes = per_step(cost->nodes);
      out.forward_ms = ms(cost->forward);
      out.backward_ms = ms(cost->backward);
      out.forward_bytes = per_step(cost->forward_bytes);
      out.backward_bytes = per_step(cost->backward_bytes);
      out.share = share(cost->forward + cost->backward);
    }
    int64_t forward = 0, backward = 0;
    for (size_t i = 0; i < names.size(); ++i) {
      if (!is_below(names[i], path)) continue;
      forward += costs[i].forward;
      backward += costs[i].backward;
    }
    out.forward_total_ms = ms(forward);
    out.backward_total_ms = ms(backward);
    return out;
  }

  std::vector<ProfileRow> rows() const {
    std::map<std::string_view, std::vector<size_t>> unlisted;  // by the listed module around them
    std::map<std::string_view, size_t> listed;
    for (size_t i = 0; i < summary.rows.size(); ++i) listed.emplace(summary.rows[i].name, i);
    for (size_t i = 0; i < names.size(); ++i) {
      if ((costs[i].calls == 0 && costs[i].nodes == 0) || listed.contains(names[i])) continue;
      std::string_view around = parent_of(names[i]);
      while (!around.empty() && !listed.contains(around)) around = parent_of(around);
      unlisted[around].push_back(i);
    }
    std::vector<ProfileRow> out;
    std::map<std::string_view, size_t> row_of;  // by path; the texts are those of summary and names
    const auto add = [&](std::string_view path, const std::string& type) {
      row_of.emplace(path, out.size());
      out.push_back(row(path, type));
    };
    for (const nn::SummaryRow& module : summary.rows) {
      const Cost* cost = find(module.name);
      if (module.name.empty() || (cost != nullptr && cost->calls + cost->nodes > 0)) add(module.name, module.type);
      if (const auto extra = unlisted.find(module.name); extra != unlisted.end())
        for (const size_t i : extra->second) add(names[i], "");
    }
    for (const nn::SummaryRow& module : summary.rows) {
      if (module.macs == 0) continue;
      const auto worker = row_of.find(worker_of(module.name));
      if (worker == row_of.end()) continue;
      const Cost& cost = *find(worker->first);
      const double macs = static_cast<double>(module.macs) * per_step(images);
      const int64_t gradients = module.parameters > 0 ? std::min<int64_t>(2, cost.gradients) : 2;
      out[worker->second].forward_macs += macs;
      if (cost.nodes > 0) out[worker->second].backward_macs += static_cast<double>(gradients) * macs;
    }
    // What ran may be less than the summary's forward, which knows no shortcuts.
    for (const auto& [path, index] : row_of) {
      const Cost* cost = find(path);
      if (cost == nullptr || cost->macs == 0 || out[index].forward_macs == 0) continue;
      out[index].backward_macs *= per_step(cost->macs) / out[index].forward_macs;
      out[index].forward_macs = per_step(cost->macs);
    }
    return out;
  }

  std::vector<ProfilePhase> phases() const {
    std::vector<ProfilePhase> out;
    const auto add = [&](const std::string& name, int64_t ns) { out.push_back({name, ms(ns), share(ns)}); };
    add(kWait, waited);
    for (const size_t i : phase_order) {
      if (names[i] == "forward") continue;
      add(names[i], costs[i].phase);
      if (names[i] != "backward") continue;
      if (const Cost* loss = find(kLossBackward)) add(kLossBackward, loss->phase);
    }
    add("other", other);
    return out;
  }

  std::string trace() const {
    std::string out =
        "{\"displayTimeUnit\":\"ms\",\"traceEvents\":[\n"
        "{\"name\":\"process_name\",\"ph\":\"M\",\"pid\":1,\"tid\":1,\"args\":{\"name\":\"tern\"}},\n"
        "{\"name\":\"thread_name\",\"ph\":\"M\",\"pid\":1,\"tid\":1,\"args\":{\"name\":\"training\"}}";
    std::vector<std::string> texts;
    for (const std::string& name : names) texts.push_back(json_text(name.empty() ? kModel : name));
    std::vector<const Event*> order;
    for (const Event& event : events) order.push_back(&event);
    std::stable_sort(order.begin(), order.end(), [](const Event* a, const Event* b) {
      return a->begin != b->begin ? a->begin < b->begin : a->duration > b->duration;
    });
    for (const Event* event : order) {
      const bool computes = event->category == Category::kForward || event->category == Category::kBackward;
      out += concat(",\n{\"name\":", texts[event->name], ",\"cat\":\"",
                    kCategoryNames[static_cast<size_t>(event->category)],
                    "\",\"ph\":\"X\",\"pid\":1,\"tid\":1,\"ts\":", microseconds(event->begin),
                    ",\"dur\":", microseconds(event->duration), ",\"args\":{",
                    event->op != nullptr ? concat("\"op\":", json_text(event->op), ",") : std::string(),
                    computes ? concat("\"bytes\":", event->bytes) : std::string(), "}}");
    }
    for (const MemorySample& sample : memory)
      out += concat(",\n{\"name\":\"tensors\",\"ph\":\"C\",\"pid\":1,\"tid\":1,\"ts\":", microseconds(sample.time),
                    ",\"args\":{\"bytes\":", sample.bytes, "}}");
    return out + concat("\n],\"otherData\":{\"steps\":", durations.size(), ",\"dropped_events\":", dropped, "}}\n");
  }
};

Profiler::Profiler(const nn::Summary& summary, const ProfileOptions& options) : impl_(std::make_unique<Impl>()) {
  TERN_CHECK(options.warmup >= 0, ValueError, "[profile] expected a warm-up of at least 0 steps, got ", options.warmup);
  TERN_CHECK(options.steps >= 1 && options.steps <= 10'000, ValueError,
             "[profile] expected between 1 and 10000 steps to measure, got ", options.steps);
  impl_->summary = summary;
  impl_->options = options;
  impl_->index_of("");
}
Profiler::~Profiler() = default;

Profiler::Step::Step(Profiler* profiler, const data::LoaderStats& loading) : profiler_(profiler) {
  if (profiler_ != nullptr) profiler_->impl_->begin_step(loading);
}
Profiler::Step::~Step() {
  if (profiler_ != nullptr && profiler_->impl_->measuring()) profiler_->impl_->end_step();
}

Profiler::Phases::Phases(Profiler* profiler)
    : profiler_(profiler != nullptr && profiler->impl_->measuring() ? profiler : nullptr) {}
Profiler::Phases::~Phases() {
  if (open_) profiler_->impl_->end();
}
void Profiler::Phases::next(const char* name) {
  if (profiler_ == nullptr) return;
  if (open_) profiler_->impl_->end();
  open_ = false;
  profiler_->impl_->begin_phase(name);
  open_ = true;
}

Profiler::Span::Span(Profiler* profiler, const char* name) : profiler_(profiler) {
  if (profiler_ != nullptr) profiler_->impl_->begin(Category::kOutside, name);
}
Profiler::Span::~Span() {
  if (profiler_ != nullptr) profiler_->impl_->end();
}

int64_t Profiler::steps() const {
  return static_cast<int64_t>(impl_->durations.size());
}
bool Profiler::done() const {
  return steps() >= impl_->options.steps;
}
std::vector<ProfileRow> Profiler::rows() const {
  return impl_->rows();
}
std::vector<ProfilePhase> Profiler::phases() const {
  return impl_->phases();
}
double Profiler::step_ms() const {
  return impl_->ms(impl_->measured());
}
double Profiler::wait_ms() const {
  return impl_->ms(impl_->waited);
}
std::string Profiler::trace() const {
  return impl_->trace();
}

std::string Profiler::table() const {
  if (steps() == 0)
    return concat("profile: no step was measured, as the run ended within the ", impl_->options.warmup,
                  " steps of warm-up\n");
  const std::vector<ProfileRow> layers = rows();
  size_t longest = 13;
  for (const ProfileRow& row : layers) longest = std::max(longest, row.name.size());
  const int width = static_cast<int>(std::min<size_t>(longest, 60));
  std::string out = format_text("%-*s %-14s %5s %9s %9s %9s %8s %8s %6s\n", width, "layer", "type", "calls", "fwd ms",
                                "bwd ms", "MB made", "fwd GF/s", "bwd GF/s", "share");
  double forward = 0, backward = 0, bytes = 0, forward_macs = 0, backward_macs = 0, shares = 0;
  const auto rate = [](double gflops) { return gflops > 0 ? format_text("%.1f", gflops) : std::string("-"); };
  for (const ProfileRow& row : layers) {
    out += format_text("%-*.*s %-14.14s %5.4g %9.3f %9.3f %9.2f %8s %8s %5.1f%%\n", width, width, row.name.c_str(),
                       row.type.c_str(), row.calls, row.forward_ms, row.backward_ms,
                       1e-6 * (row.forward_bytes + row.backward_bytes), rate(row.forward_gflops()).c_str(),
                       rate(row.backward_gflops()).c_str(), 100 * row.share);
    forward += row.forward_ms, backward += row.backward_ms, shares += row.share;
    bytes += row.forward_bytes + row.backward_bytes;
    forward_macs += row.forward_macs, backward_macs += row.backward_macs;
  }
  out += format_text("%-*s %-14s %5s %9.3f %9.3f %9.2f %8s %8s %5.1f%%\n", width, "all layers", "", "", forward,
                     backward, 1e-6 * bytes, rate(forward > 0 ? 2e-6 * forward_macs / forward : 0).c_str(),
                     rate(backward > 0 ? 2e-6 * backward_macs / backward : 0).c_str(), 100 * shares);
  for (const ProfilePhase& phase : phases())
    out += format_text("%-*s %-14s %5s %9.3f %9s %9s %8s %8s %5.1f%%\n", width, phase.name.c_str(), "", "", phase.ms,
                       "", "", "", "", 100 * phase.share);
  const auto [fastest, slowest] = std::minmax_element(impl_->durations.begin(), impl_->durations.end());
  const double both = step_ms() + wait_ms();
  out += format_text("step %.2f ms (%.2f to %.2f) and %.2f ms of data wait: %.1f %s/s; means of %lld steps\n",
                     step_ms(), 1e-6 * static_cast<double>(*fastest), 1e-6 * static_cast<double>(*slowest), wait_ms(),
                     both > 0 ? 1e3 * impl_->per_step(impl_->images) / both : 0, impl_->options.unit.c_str(),
                     static_cast<long long>(steps()));
  return out;
}

io::Json Profiler::to_json() const {
  io::Json layers = io::Json::array(), parts = io::Json::array(), each = io::Json::array();
  for (const ProfileRow& row : rows()) {
    layers.push_back(io::Json::object({{"name", row.name},
                                       {"type", row.type},
                                       {"calls", row.calls},
                                       {"backward_nodes", row.nodes},
                                       {"forward_ms", row.forward_ms},
                                       {"backward_ms", row.backward_ms},
                                       {"forward_total_ms", row.forward_total_ms},
                                       {"backward_total_ms", row.backward_total_ms},
                                       {"forward_bytes", row.forward_bytes},
                                       {"backward_bytes", row.backward_bytes},
                                       {"forward_macs", row.forward_macs},
                                       {"backward_macs", row.backward_macs},
                                       {"forward_gflops", row.forward_gflops()},
                                       {"backward_gflops", row.backward_gflops()},
                                       {"share", row.share}}));
  }
  for (const ProfilePhase& phase : phases())
    parts.push_back(io::Json::object({{"name", phase.name}, {"ms", phase.ms}, {"share", phase.share}}));
  for (const int64_t duration : impl_->durations) each.push_back(1e-6 * static_cast<double>(duration));
  return io::Json::object({{"steps", steps()},
                           {"warmup_steps", impl_->options.warmup},
                           {"images_a_step", impl_->per_step(impl_->images)},
                           {"step_ms", step_ms()},
                           {"data_wait_ms", wait_ms()},
                           {"step_ms_each", each},
                           {"phases", parts},
                           {"layers", layers},
                           {"environment", environment()}});
}

void Profiler::write(const io::DirectoryHandle& directory) const {
  io::write_file_atomic("profile", directory->file("profile.json"), to_json().dump(2) + "\n");
  io::write_file_atomic("profile", directory->file("trace.json"), trace());
}

void Profiler::write(const std::string& directory) const {
  write(io::Directory::open("profile", directory));
}

}  // namespace tern::train
