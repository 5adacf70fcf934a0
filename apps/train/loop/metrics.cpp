#include <sstream>

#include <tern/core/error.h>
#include <tern/core/io/file.h>
#include <tern/core/io/json.h>
#include <tern/train/loop/metrics.h>

namespace tern::train {

io::Json to_json(const MetricRow& row) {
  io::Json json = io::Json::object();
  for (const Metric& metric : row)
    json[metric.name] = std::visit([](const auto& value) { return io::Json(value); }, metric.value);
  return json;
}

io::Json layers_row(int64_t epoch, int64_t step, const io::Json& layers) {
  return io::Json::object({{"epoch", epoch}, {"step", step}, {"layers", layers}});
}

double number_of(const MetricRow& row, std::string_view name, double missing) {
  for (const Metric& metric : row) {
    if (metric.name != name) continue;
    if (const auto* real = std::get_if<double>(&metric.value)) return *real;
    if (const auto* whole = std::get_if<int64_t>(&metric.value)) return static_cast<double>(*whole);
  }
  return missing;
}

MetricsLog::MetricsLog(const io::FilePath& path, Open open)
    : file_("metrics", path, open == Open::kNew ? io::AppendFile::Open::kNew : io::AppendFile::Open::kAppend) {}

void MetricsLog::write(const MetricRow& row) {
  write(to_json(row));
}

void MetricsLog::write(const io::Json& row) {
  file_.write(row.dump() + "\n");
}

double cut_metrics_after(const io::FilePath& path, int64_t step, int64_t epochs) {
  double seconds = 0;
  if (!path.exists()) return seconds;
  const std::string content = io::read_file("metrics", path);
  std::istringstream lines(content);
  std::string kept;
  for (std::string line; std::getline(lines, line);) {
    try {
      const io::Json row = io::Json::parse("metrics", path.text(), line);
      const auto beyond = [&](const char* key, int64_t limit) {
        const io::Json* at = row.find(key);
        return at != nullptr && at->as_number() > static_cast<double>(limit);
      };
      if (beyond("step", step) || (beyond("epoch", epochs) && row.find("loss") == nullptr)) break;
      if (const io::Json* so_far = row.find("seconds")) seconds = so_far->as_number();
    } catch (const FormatError&) {
      break;  // cut off by whatever ended the run
    }
    kept += line + "\n";
  }
  if (kept != content) io::write_file_atomic("metrics", path, kept);
  return seconds;
}

}  // namespace tern::train
