#include <algorithm>
#include <map>

#include <tern/core/text.h>
#include <tern/train/loop/detail/profile_table.h>
#include <tern/train/settings/environment.h>

namespace tern::train {
namespace {

bool is_below(std::string_view path, std::string_view parent) {
  if (parent.empty() || path == parent) return true;
  return path.size() > parent.size() && path.starts_with(parent) && path[parent.size()] == '.';
}

std::string_view parent_of(std::string_view path) {
  const size_t dot = path.rfind('.');
  return dot == std::string_view::npos ? std::string_view() : path.substr(0, dot);
}

// The module that did a module's work: itself, or the nearest one around it that ran.
std::string_view worker_of(const ProfileRecorder& recorder, std::string_view path) {
  for (; !path.empty(); path = parent_of(path))
    if (const ProfileRecorder::Cost* cost = recorder.find(path); cost != nullptr && cost->calls > 0) return path;
  return path;
}

ProfileRow row_of(const ProfileRecorder& recorder, std::string_view path, const std::string& type) {
  ProfileRow out;
  out.name = path.empty() ? kProfileModel : std::string(path);
  out.type = type.substr(0, type.find('('));
  if (const ProfileRecorder::Cost* cost = recorder.find(path)) {
    out.calls = recorder.per_step(cost->calls);
    out.nodes = recorder.per_step(cost->nodes);
    out.forward_ms = recorder.ms(cost->forward);
    out.backward_ms = recorder.ms(cost->backward);
    out.forward_bytes = recorder.per_step(cost->forward_bytes);
    out.backward_bytes = recorder.per_step(cost->backward_bytes);
    out.share = recorder.share(cost->forward + cost->backward);
  }
  int64_t forward = 0, backward = 0;
  for (size_t i = 0; i < recorder.names.size(); ++i) {
    if (!is_below(recorder.names[i], path)) continue;
    forward += recorder.costs[i].forward;
    backward += recorder.costs[i].backward;
  }
  out.forward_total_ms = recorder.ms(forward);
  out.backward_total_ms = recorder.ms(backward);
  return out;
}

}  // namespace

std::vector<ProfileRow> profile_rows(const ProfileRecorder& recorder) {
  std::map<std::string_view, std::vector<size_t>> unlisted;  // by the listed module around them
  std::map<std::string_view, size_t> listed;
  for (size_t i = 0; i < recorder.summary.rows.size(); ++i) listed.emplace(recorder.summary.rows[i].name, i);
  for (size_t i = 0; i < recorder.names.size(); ++i) {
    if ((recorder.costs[i].calls == 0 && recorder.costs[i].nodes == 0) || listed.contains(recorder.names[i])) continue;
    std::string_view around = parent_of(recorder.names[i]);
    while (!around.empty() && !listed.contains(around)) around = parent_of(around);
    unlisted[around].push_back(i);
  }
  std::vector<ProfileRow> out;
  std::map<std::string_view, size_t> place_of;  // by path; the texts are those of summary and names
  const auto add = [&](std::string_view path, const std::string& type) {
    place_of.emplace(path, out.size());
    out.push_back(row_of(recorder, path, type));
  };
  for (const nn::SummaryRow& module : recorder.summary.rows) {
    const ProfileRecorder::Cost* cost = recorder.find(module.name);
    if (module.name.empty() || (cost != nullptr && cost->calls + cost->nodes > 0)) add(module.name, module.type);
    if (const auto extra = unlisted.find(module.name); extra != unlisted.end())
      for (const size_t i : extra->second) add(recorder.names[i], "");
  }
  for (const nn::SummaryRow& module : recorder.summary.rows) {
    if (module.macs == 0) continue;
    const auto worker = place_of.find(worker_of(recorder, module.name));
    if (worker == place_of.end()) continue;
    const ProfileRecorder::Cost& cost = *recorder.find(worker->first);
    const double macs = static_cast<double>(module.macs) * recorder.per_step(recorder.images);
    const int64_t gradients = module.parameters > 0 ? std::min<int64_t>(2, cost.gradients) : 2;
    out[worker->second].forward_macs += macs;
    if (cost.nodes > 0) out[worker->second].backward_macs += static_cast<double>(gradients) * macs;
  }
  // What ran may be less than the summary's forward, which knows no shortcuts.
  for (const auto& [path, index] : place_of) {
    const ProfileRecorder::Cost* cost = recorder.find(path);
    if (cost == nullptr || cost->macs == 0 || out[index].forward_macs == 0) continue;
    out[index].backward_macs *= recorder.per_step(cost->macs) / out[index].forward_macs;
    out[index].forward_macs = recorder.per_step(cost->macs);
  }
  return out;
}

std::vector<ProfilePhase> profile_phases(const ProfileRecorder& recorder) {
  std::vector<ProfilePhase> out;
  const auto add = [&](const std::string& name, int64_t ns) {
    out.push_back({name, recorder.ms(ns), recorder.share(ns)});
  };
  add(kProfileWait, recorder.waited);
  for (const size_t i : recorder.phase_order) {
    if (recorder.names[i] == "forward") continue;
    add(recorder.names[i], recorder.costs[i].phase);
    if (recorder.names[i] != "backward") continue;
    if (const ProfileRecorder::Cost* loss = recorder.find(kProfileLossBackward)) add(kProfileLossBackward, loss->phase);
  }
  add("other", recorder.other);
  return out;
}

std::string profile_table(const ProfileRecorder& recorder) {
  if (recorder.durations.empty())
    return concat("profile: no step was measured, as the run ended within the ", recorder.options.warmup,
                  " steps of warm-up\n");
  const std::vector<ProfileRow> layers = profile_rows(recorder);
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
  for (const ProfilePhase& phase : profile_phases(recorder))
    out += format_text("%-*s %-14s %5s %9.3f %9s %9s %8s %8s %5.1f%%\n", width, phase.name.c_str(), "", "", phase.ms,
                       "", "", "", "", 100 * phase.share);
  const auto [fastest, slowest] = std::minmax_element(recorder.durations.begin(), recorder.durations.end());
  const double both = recorder.ms(recorder.measured()) + recorder.ms(recorder.waited);
  out += format_text("step %.2f ms (%.2f to %.2f) and %.2f ms of data wait: %.1f %s/s; means of %lld steps\n",
                     recorder.ms(recorder.measured()), 1e-6 * static_cast<double>(*fastest),
                     1e-6 * static_cast<double>(*slowest), recorder.ms(recorder.waited),
                     both > 0 ? 1e3 * recorder.per_step(recorder.images) / both : 0, recorder.options.unit.c_str(),
                     static_cast<long long>(recorder.durations.size()));
  return out;
}

io::Json profile_json(const ProfileRecorder& recorder) {
  io::Json layers = io::Json::array(), parts = io::Json::array(), each = io::Json::array();
  for (const ProfileRow& row : profile_rows(recorder)) {
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
  for (const ProfilePhase& phase : profile_phases(recorder))
    parts.push_back(io::Json::object({{"name", phase.name}, {"ms", phase.ms}, {"share", phase.share}}));
  for (const int64_t duration : recorder.durations) each.push_back(1e-6 * static_cast<double>(duration));
  return io::Json::object({{"steps", static_cast<int64_t>(recorder.durations.size())},
                           {"warmup_steps", recorder.options.warmup},
                           {"images_a_step", recorder.per_step(recorder.images)},
                           {"step_ms", recorder.ms(recorder.measured())},
                           {"data_wait_ms", recorder.ms(recorder.waited)},
                           {"step_ms_each", each},
                           {"phases", parts},
                           {"layers", layers},
                           {"environment", environment()}});
}

}  // namespace tern::train
