#include <algorithm>
#include <cmath>
#include <map>
#include <utility>

#include <tern/core/error.h>
#include <tern/core/io/bytes.h>
#include <tern/core/text.h>
#include <tern/quant/method.h>
#include <tern/train/insight/inspection_text.h>
#include <tern/train/weights/checkpoint.h>

namespace tern::train {
namespace {

std::string figure(double v) {
  return format_text("%.4g", v);
}
std::string percent(double share) {
  return format_text("%.2f%%", 100 * share);
}
std::string distinct_text(int64_t distinct) {
  return distinct > kMaxDistinct ? concat(">", kMaxDistinct) : std::to_string(distinct);
}

// A name from a file in a line of its own: a megabyte of it would make a table of such lines.
std::string shown(const std::string& name) {
  return without_middle(printable(name), 160);
}

// What a method adds to the lines of tensors.
using Columns = std::vector<std::pair<std::string, std::string>>;  // heading, name of the figure

Columns method_columns(const std::vector<TensorInspection>& tensors) {
  Columns columns;
  for (const TensorInspection& t : tensors)
    for (const quant::LayerFigure& figure : t.compressed ? t.compressed->figures : std::vector<quant::LayerFigure>{}) {
      const std::pair<std::string, std::string> column{figure.heading, figure.name};
      if (!figure.heading.empty() && std::find(columns.begin(), columns.end(), column) == columns.end())
        columns.push_back(column);
    }
  return columns;
}

int64_t distinct_of(const TensorInspection& t) {
  const auto levels = t.compressed ? t.compressed->figure("levels") : std::nullopt;
  return levels ? std::llround(*levels) : t.values.distinct;
}

std::vector<std::string> cells_of(const TensorInspection& t, bool unicode, const Columns& columns, bool non_finite) {
  const bool values = t.readable && t.values.finite() > 0;
  const auto if_values = [&](double v) { return values ? figure(v) : std::string("-"); };
  std::vector<std::string> cells{t.name.empty() ? "(array)" : shown(t.name), t.type, to_string(t.shape)};
  cells.insert(cells.end(), {if_values(t.values.min), if_values(t.values.max), if_values(t.values.mean),
                             if_values(t.values.deviation), values ? percent(t.zero_share()) : std::string("-"),
                             t.readable ? distinct_text(distinct_of(t)) : "-", std::to_string(t.bits())});
  for (const auto& [heading, name] : columns) {
    std::string cell = "-";
    if (t.compressed)
      for (const quant::LayerFigure& own : t.compressed->figures)
        if (own.name == name) cell = own.text();
    cells.push_back(cell);
  }
  if (non_finite) cells.push_back(t.readable ? std::to_string(t.values.non_finite) : "-");
  cells.push_back(values ? concat("|", histogram_sketch(t.values.histogram, unicode), "|") : "");
  return cells;
}

std::string megabytes(double bytes) {
  return format_text("%.2f MB", 1e-6 * bytes);
}

}  // namespace

std::string to_text(const Inspection& inspection, bool unicode) {
  const Columns columns = method_columns(inspection.tensors);
  bool non_finite = false;
  std::map<std::string, quant::LayerTable> compressed;  // by method
  for (const TensorInspection& t : inspection.tensors) {
    non_finite |= t.values.non_finite > 0;
    if (t.compressed) compressed[t.compressed->method].layers.push_back(*t.compressed);
  }
  std::vector<std::vector<std::string>> lines{
      {"name", "dtype", "shape", "min", "max", "mean", "std", "zeros", "values", "bits"}};
  for (const auto& [heading, name] : columns) lines[0].push_back(heading);
  if (non_finite) lines[0].push_back("not finite");
  lines[0].push_back("min .. max");
  for (const TensorInspection& t : inspection.tensors) lines.push_back(cells_of(t, unicode, columns, non_finite));
  std::string out = aligned(lines, 3, true);
  if (!inspection.metadata.empty()) {
    constexpr size_t kMaxShown = 100;
    out += "\nmetadata\n";
    for (const auto& [key, value] : inspection.metadata) {
      const std::string_view start = std::string_view(value).substr(0, kMaxShown);
      const std::string text = printable(start.substr(0, io::valid_utf8_prefix(start)));
      out += concat("  ", shown(key), ": ", text,
                    value.size() > kMaxShown ? concat(" ... (", value.size(), " bytes)") : std::string(), "\n");
    }
  }
  out += concat("\n", inspection.format, ": ", inspection.tensors.size(),
                inspection.tensors.size() == 1 ? " tensor, " : " tensors, ", inspection.elements(), " elements, ",
                megabytes(static_cast<double>(inspection.bytes())), "; the file has ",
                megabytes(static_cast<double>(inspection.file_bytes)), "\n");
  for (const auto& [key, table] : compressed) {
    const quant::Method* method = quant::find_method(key);
    out += concat(method != nullptr ? method->title : key, ": ", table.weights(), " weights at ",
                  format_text("%.2f", table.mean_bits()), " bits on average, ", percent(table.sparsity()),
                  " of them zero, ", megabytes(static_cast<double>(table.bytes())),
                  "; zeros, values and bits are those of the effective weights, the rest of the latent ones\n");
  }
  if (inspection.left_out > 0)
    out += concat("left out: ", inspection.left_out, " tensors with the state of the run (", kStatePrefix, "*), ",
                  megabytes(static_cast<double>(inspection.left_out_bytes)), "\n");
  return out;
}

io::Json to_json(const Inspection& inspection) {
  io::Json tensors = io::Json::array();
  for (const TensorInspection& t : inspection.tensors) {
    const ValueStats& v = t.values;
    const auto real = [&](double x) { return t.readable && v.finite() > 0 ? io::Json(x) : io::Json(); };
    io::Json json = io::Json::object({{"name", t.name},
                                      {"dtype", t.type},
                                      {"shape", std::vector<int64_t>(t.shape.begin(), t.shape.end())},
                                      {"elements", v.count},
                                      {"bytes", t.bytes},
                                      {"bits", t.bits()},
                                      {"min", real(v.min)},
                                      {"max", real(v.max)},
                                      {"mean", real(v.mean)},
                                      {"std", real(v.deviation)},
                                      {"zeros", v.zeros},
                                      {"non_finite", v.non_finite},
                                      {"distinct", std::min(v.distinct, kMaxDistinct)},
                                      {"distinct_is_least", v.distinct > kMaxDistinct},
                                      {"histogram", v.histogram}});
    if (!t.readable) json["readable"] = false;
    if (t.compressed) json[t.compressed->method] = quant::to_json(*t.compressed);
    tensors.push_back(std::move(json));
  }
  io::Json metadata = io::Json::object();
  for (const auto& [key, value] : inspection.metadata) metadata[key] = value;
  return io::Json::object(
      {{"path", inspection.path},
       {"format", inspection.format},
       {"file_bytes", inspection.file_bytes},
       {"metadata", metadata},
       {"tensors", tensors},
       {"totals", io::Json::object({{"tensors", inspection.tensors.size()},
                                    {"elements", inspection.elements()},
                                    {"bytes", inspection.bytes()}})},
       {"left_out", io::Json::object({{"tensors", inspection.left_out}, {"bytes", inspection.left_out_bytes}})}});
}

}  // namespace tern::train
