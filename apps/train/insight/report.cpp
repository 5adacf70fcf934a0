#include <algorithm>
#include <array>
#include <cstdio>
#include <cstdlib>
#include <optional>

#include <tern/core/error.h>
#include <tern/core/io/file.h>
#include <tern/core/text.h>
#include <tern/quant/method.h>
#include <tern/train/insight/report.h>
#include <tern/train/insight/report/assets.h>
#include <tern/train/settings/environment.h>

namespace tern::train {
namespace {

using io::Json;

// Six digits are more than any chart shows.
Json number(double v) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", v);
  return Json(std::strtod(text, nullptr));
}

Json number(const std::optional<double>& v) {
  return v.has_value() ? number(*v) : Json();
}

std::optional<double> number_at(const Json& object, std::string_view key) {
  const Json* value = object.is_object() ? object.find(key) : nullptr;
  return value != nullptr && value->is_number() ? std::optional<double>(value->as_number()) : std::nullopt;
}

// Of the last row that has it.
std::optional<double> last_of(const std::vector<Json>& rows, std::string_view key) {
  for (auto row = rows.rbegin(); row != rows.rend(); ++row)
    if (const auto value = number_at(*row, key)) return value;
  return std::nullopt;
}

std::vector<double> all_of(const std::vector<Json>& rows, std::string_view key) {
  std::vector<double> values;
  for (const Json& row : rows)
    if (const auto value = number_at(row, key)) values.push_back(*value);
  return values;
}

std::optional<double> median(std::vector<double> values) {
  if (values.empty()) return std::nullopt;
  std::sort(values.begin(), values.end());
  const size_t n = values.size();
  return n % 2 == 1 ? values[n / 2] : (values[n / 2 - 1] + values[n / 2]) / 2;
}

// At most `count` of n places, evenly, the last one among them.
std::vector<size_t> thinned(size_t n, int64_t count) {
  const size_t most = static_cast<size_t>(std::max<int64_t>(count, 1));
  std::vector<size_t> places;
  if (n <= most) {
    for (size_t i = 0; i < n; ++i) places.push_back(i);
  } else {
    for (size_t i = 1; i <= most; ++i) places.push_back(i * n / most - 1);
  }
  return places;
}

// {"epoch": [...], "train_loss": [...], ...}: columns of the rows, those that have a number somewhere.
Json columns(const std::vector<Json>& rows, const std::vector<std::string>& keys, int64_t points) {
  Json out = Json::object();
  const std::vector<size_t> places = thinned(rows.size(), points);
  for (const std::string& key : keys) {
    Json column = Json::array();
    bool any = false;
    for (const size_t i : places) {
      const auto value = number_at(rows[i], key);
      any = any || value.has_value();
      column.push_back(number(value));
    }
    if (any) out[key] = std::move(column);
  }
  return out;
}

// Columns of complete epochs that every run may have.
const std::vector<std::string> kEpochColumns{
    "epoch",     "step",      "train_loss", "train_top1",       "val_loss",       "val_top1",
    "test_loss", "test_top1", "lr",         "images_per_s",     "data_wait",      "seconds",
    "mean_bits", "sparsity",  "dead_zone",  "train_perplexity", "val_perplexity", "tokens_per_s"};

// What else a method has told of, such as "lambda".
std::vector<std::string> further_columns(const std::vector<Json>& rows) {
  std::vector<std::string> names;
  for (const Json& row : rows)
    for (const auto& [name, value] : row.members()) {
      const auto is_in = [&name = name](const std::vector<std::string>& list) {
        return std::find(list.begin(), list.end(), name) != list.end();
      };
      if (value.is_number() && !is_in(kEpochColumns) && !is_in(names)) names.push_back(name);
    }
  return names;
}

// The last texts of a model, the last one first.
Json last_samples(const std::vector<Json>& rows, size_t most) {
  Json out = Json::array();
  for (auto row = rows.rbegin(); row != rows.rend() && out.size() < most; ++row)
    out.push_back(Json::object({{"step", number(number_at(*row, "step"))}, {"text", row->at("text")}}));
  return out;
}

Json pairs(const std::vector<Setting>& settings) {
  Json out = Json::array();
  for (const auto& [key, value] : settings) out.push_back(Json::array({key, value}));
  return out;
}

// Every layer over the epochs, or a language model's steps: {"names", "unit": "epoch" or "step", "at": [of the unit],
// "bits": [layer][at], "sparsity", "dead_zone"}.
Json layer_history(const std::vector<Json>& rows, const char* unit, int64_t points) {
  if (rows.empty()) return {};
  const std::vector<size_t> places = thinned(rows.size(), points);
  Json out = Json::object();
  Json names = Json::array(), at = Json::array();
  for (const Json& layer : rows[0].at("layers").items()) names.push_back(layer.at("name"));
  for (const size_t i : places) at.push_back(number(number_at(rows[i], unit)));
  for (const char* key : {"bits", "sparsity", "dead_zone"}) {
    Json table = Json::array();
    for (size_t layer = 0; layer < names.size(); ++layer) {
      Json line = Json::array();
      for (const size_t i : places) line.push_back(number(number_at(rows[i].at("layers")[layer], key)));
      table.push_back(std::move(line));
    }
    out[key] = std::move(table);
  }
  out["names"] = std::move(names);
  out["unit"] = unit;
  out["at"] = std::move(at);
  return out;
}

// The layer table: of the checkpoint, or what layers.jsonl says of the last epoch.
Json layer_table(const RunRecord& run) {
  Json layers = Json::array();
  if (!run.weights.has_value()) {
    if (run.layers.empty()) return {};
    for (const Json& layer : run.layers.back().at("layers").items())
      layers.push_back(Json::object({{"name", layer.at("name")},
                                     {"bits", number(number_at(layer, "bits"))},
                                     {"sparsity", number(number_at(layer, "sparsity"))},
                                     {"dead_zone", number(number_at(layer, "dead_zone"))},
                                     {"range", number(number_at(layer, "range"))}}));
    return Json::object({{"epoch", number(number_at(run.layers.back(), "epoch"))}, {"layers", std::move(layers)}});
  }
  const quant::LayerTable report = run.weights->table();
  for (const LayerWeights& layer : run.weights->layers) {
    const quant::LayerState& s = layer.state;
    Json row = Json::object({{"name", s.name},
                             {"shape", std::vector<int64_t>(layer.shape.begin(), layer.shape.end())},
                             {"weights", s.weights},
                             {"zeros", s.zeros},
                             {"sparsity", number(1 - s.density())},
                             {"bits", s.bits},
                             {"quantized", s.quantized()}});
    if (s.range > 0) row["range"] = number(s.range);
    for (const quant::LayerFigure& figure : s.figures)
      if (!figure.heading.empty()) row[figure.column()] = number(figure.value);
    if (report.macs() > 0) {
      row["macs"] = s.macs;
      row["bops"] = number(s.bops());
    }
    layers.push_back(std::move(row));
  }
  Json totals = Json::object(
      {{"weights", report.weights()}, {"sparsity", number(report.sparsity())}, {"bits", number(report.mean_bits())}});
  if (report.macs() > 0) {
    totals["macs"] = report.macs();
    totals["bops"] = number(report.bops());
    totals["rel_bops"] = number(report.rel_bops());
  }
  return Json::object({{"epoch", run.weights->epoch},
                       {"step", run.weights->step},
                       {"layers", std::move(layers)},
                       {"totals", std::move(totals)}});
}

// Histograms and kernel maps, a layer each.
Json weight_pictures(const WeightsRecord& weights) {
  Json out = Json::array();
  for (const LayerWeights& layer : weights.layers) {
    const WeightHistogram& h = layer.histogram;
    const KernelMap& m = layer.map;
    Json item = Json::object({{"name", layer.state.name},
                              {"histogram", Json::object({{"low", number(h.low)},
                                                          {"high", number(h.high)},
                                                          {"counts", h.counts},
                                                          {"below", h.below},
                                                          {"above", h.above}})},
                              {"map", Json::object({{"outputs", m.outputs},
                                                    {"inputs", m.inputs},
                                                    {"height", m.height},
                                                    {"width", m.width},
                                                    {"rows", m.rows},
                                                    {"columns", m.columns},
                                                    {"zero_kernels", m.zero_kernels},
                                                    {"zero_outputs", m.zero_outputs},
                                                    {"zero_inputs", m.zero_inputs},
                                                    {"mask", encode_base64(m.mask)}})}});
    if (layer.state.quantized()) item["quantizer"] = quant::to_json(layer.state);
    out.push_back(std::move(item));
  }
  return out;
}

// Figures by name, null where the run does not tell.
Json figures(const RunRecord& run) {
  const auto from = [&](const char* in_summary, const char* in_rows) {
    const auto value = number_at(run.summary, in_summary);
    return value.has_value() ? value : last_of(run.epochs, in_rows);
  };
  std::optional<double> sparsity = from("sparsity", "sparsity"), bits = from("mean_bits", "mean_bits"),
                        bops = number_at(run.summary, "rel_bops"), weights, macs;
  if (run.weights.has_value()) {
    const quant::LayerTable report = run.weights->table();
    weights = static_cast<double>(report.weights());
    if (report.macs() > 0) macs = static_cast<double>(report.macs());
    if (!sparsity) sparsity = report.sparsity();
    if (!bits) bits = report.mean_bits();
    if (!bops && report.macs() > 0) bops = report.rel_bops();
  }
  std::optional<double> waiting;
  if (const auto all = all_of(run.epochs, "data_wait"); !all.empty()) {
    waiting = 0.0;
    for (const double v : all) *waiting += v / static_cast<double>(all.size());
  }
  return Json::object({{"top1", number(from("top1", "test_top1"))},
                       {"top5", number(number_at(run.summary, "top5"))},
                       {"loss", number(from("loss", "test_loss"))},
                       {"tested", number(number_at(run.summary, "n"))},
                       {"best_val_top1", number(number_at(run.summary, "best_val_top1"))},
                       {"val_top1", number(last_of(run.epochs, "val_top1"))},
                       {"train_top1", number(last_of(run.epochs, "train_top1"))},
                       {"sparsity", number(sparsity)},
                       {"mean_bits", number(bits)},
                       {"rel_bops", number(bops)},
                       {"weights", number(weights)},
                       {"macs", number(macs)},
                       {"epochs", number(last_of(run.epochs, "epoch").value_or(0))},
                       {"steps", number(last_of(run.epochs, "step").value_or(0))},
                       {"seconds", run.epochs.empty() ? Json() : number(run.seconds)},
                       {"images_per_s", number(median(all_of(run.epochs, "images_per_s")))},
                       {"tokens_per_s", number(median(all_of(run.epochs, "tokens_per_s")))},
                       {"val_loss", number(from("val_loss", "val_loss"))},
                       {"val_perplexity", number(from("val_perplexity", "val_perplexity"))},
                       {"bits_per_byte", number(number_at(run.summary, "bits_per_byte"))},
                       {"data_wait", number(waiting)}});
}

// Pairs that are most often confused: beside a matrix, and where there is none.
constexpr size_t kMaxPairs = 12, kMaxPairsAlone = 40;
constexpr size_t kMaxSamples = 20;

Json evaluation_data(const ClassificationReport& e) {
  Json out = to_json(e);
  const size_t most = e.confusion.empty() ? kMaxPairsAlone : kMaxPairs;
  Json list = Json::array();
  for (size_t i = 0; i < std::min(most, e.confused.size()); ++i) {
    const ConfusedPair& p = e.confused[i];
    list.push_back(Json::object({{"count", p.count}, {"label", p.label}, {"predicted", p.predicted}}));
  }
  out["confused"] = std::move(list);
  return out;
}

// Titles of the methods of compression in the weights; null where these are not known.
Json methods_of(const RunRecord& run) {
  if (!run.weights.has_value()) return {};
  Json titles = Json::array();
  for (const quant::Method& method : quant::methods()) {
    const auto has = [&](const LayerWeights& layer) { return layer.state.method == method.key; };
    if (std::any_of(run.weights->layers.begin(), run.weights->layers.end(), has)) titles.push_back(method.title);
  }
  return titles;
}

Json run_data(const RunRecord& run, bool alone, const ReportOptions& options) {
  const std::string planned = run.setting("epochs");
  Json out = Json::object({{"name", run.name},
                           {"finished", run.finished()},
                           {"planned_epochs", planned},
                           {"model", run.is_language() ? "llama" : run.setting("model.name")},
                           {"dataset", run.setting("data.dataset")},
                           {"methods", methods_of(run)},
                           {"figures", figures(run)},
                           {"language", run.is_language()},
                           {"planned_steps", run.is_language() ? run.setting("steps") : ""},
                           {"epochs", columns(run.epochs, kEpochColumns, options.points)},
                           {"further", columns(run.epochs, further_columns(run.epochs), options.points)},
                           {"table", layer_table(run)}});
  if (!run.weights_problem.empty()) out["weights_problem"] = run.weights_problem;
  if (!alone) return out;
  out["steps"] =
      columns(run.steps, {"epoch", "step", "loss", "top1", "perplexity", "lr", "images_per_s"}, options.points);
  if (!run.samples.empty()) out["samples"] = last_samples(run.samples, kMaxSamples);
  out["config"] = pairs(run.config);
  out["environment"] = pairs(run.environment);
  out["layers"] = layer_history(run.layers, run.is_language() ? "step" : "epoch", options.layer_points);
  if (run.weights.has_value()) out["weights"] = weight_pictures(*run.weights);
  if (run.evaluation.has_value()) out["evaluation"] = evaluation_data(*run.evaluation);
  return out;
}

void write_page(const io::FilePath& path, const std::vector<RunRecord>& runs, const ReportOptions& options) {
  const std::string title = runs.size() == 1 ? runs[0].name : concat("Comparison of ", runs.size(), " runs");
  io::write_file_atomic("report", path, report_page(title, report_data(runs, options)));
}

}  // namespace

Json report_data(const std::vector<RunRecord>& runs, const ReportOptions& options) {
  Json all = Json::array(), differing = Json::array();
  for (const RunRecord& run : runs) all.push_back(run_data(run, runs.size() == 1, options));
  if (runs.size() > 1)
    for (const Difference& d : config_differences(runs))
      differing.push_back(Json::object({{"key", d.key}, {"values", d.values}}));
  return Json::object({{"version", version()}, {"runs", std::move(all)}, {"differences", std::move(differing)}});
}

std::string escape_html(std::string_view text) {
  std::string out;
  for (const char c : text) {
    switch (c) {
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '&':
        out += "&amp;";
        break;
      case '"':
        out += "&quot;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string embed_json(const Json& json) {
  std::string out;
  for (const char c : json.dump()) {
    switch (c) {
      case '<':
        out += "\\u003c";
        break;
      case '>':
        out += "\\u003e";
        break;
      case '&':
        out += "\\u0026";
        break;
      default:
        out += c;
    }
  }
  return out;
}

std::string report_page(const std::string& title, const Json& data) {
  // Each marker once, from front to back, so that nothing that was put in is looked at again.
  std::string out;
  std::string_view rest = detail::kPageHtml;
  const auto fill = [&](std::string_view marker, std::string_view text) {
    const size_t at = rest.find(marker);
    TERN_ASSERT(at != std::string_view::npos, "a marker is missing in page.html");
    out.append(rest.substr(0, at)).append(text);
    rest.remove_prefix(at + marker.size());
  };
  fill("{{title}}", escape_html(printable(title)));
  fill("{{style}}", detail::kPageStyle);
  fill("{{data}}", embed_json(data));
  fill("{{script}}", detail::kPageScript);
  return out.append(rest);
}

void write_report(const io::FilePath& path, const std::vector<std::string>& directories, const ReportOptions& options) {
  TERN_CHECK(!directories.empty(), ValueError, "[report] expected at least one run directory, got none");
  write_page(path, read_runs(directories, true, options.weights), options);
}

void write_run_report(const io::FilePath& path, const io::DirectoryHandle& directory, const ReportOptions& options) {
  write_page(path, {read_run(directory, true, options.weights)}, options);
}

}  // namespace tern::train
