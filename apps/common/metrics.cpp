#include <cerrno>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <sstream>

#include <nlohmann/json.hpp>

#include <tern/core/error.h>
#include <tern/train/metrics.h>

namespace tern::train {

std::string to_json_line(const MetricRow& row) {
  nlohmann::ordered_json json = nlohmann::ordered_json::object();
  for (const Metric& metric : row)
    std::visit(
        [&]<class T>(const T& value) {
          if constexpr (std::is_same_v<T, double>) {
            if (!std::isfinite(value)) {
              json[metric.name] = nullptr;
              return;
            }
          }
          json[metric.name] = value;
        },
        metric.value);
  return json.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

double number_of(const MetricRow& row, std::string_view name, double missing) {
  for (const Metric& metric : row) {
    if (metric.name != name) continue;
    if (const auto* real = std::get_if<double>(&metric.value)) return *real;
    if (const auto* whole = std::get_if<int64_t>(&metric.value)) return static_cast<double>(*whole);
  }
  return missing;
}

MetricsLog::MetricsLog(const std::string& path, Open open)
    : path_(path), file_(std::fopen(path.c_str(), open == Open::kNew ? "wb" : "ab")) {
  TERN_CHECK(file_ != nullptr, IoError, "[metrics] expected to open ", path,
             " for writing, got: ", std::strerror(errno));
}

MetricsLog::~MetricsLog() {
  std::fclose(file_);
}

void MetricsLog::write(const MetricRow& row) {
  const std::string line = to_json_line(row) + "\n";
  const bool written = std::fwrite(line.data(), 1, line.size(), file_) == line.size() && std::fflush(file_) == 0;
  TERN_CHECK(written, IoError, "[metrics] expected to write to ", path_, ", got: ", std::strerror(errno));
}

void cut_metrics_after(const std::string& path, int64_t step) {
  std::ifstream file(path, std::ios::binary);
  if (!file.good()) return;
  std::string kept;
  for (std::string line; std::getline(file, line);) {
    const auto json = nlohmann::json::parse(line, nullptr, false);
    if (!json.is_object()) break;  // cut off by whatever ended the run
    const auto at = json.find("step");
    if (at != json.end() && at->is_number() && at->get<double>() > static_cast<double>(step)) break;
    kept += line + "\n";
  }
  file.close();
  const std::string temporary = path + ".tmp";
  std::ofstream out(temporary, std::ios::binary | std::ios::trunc);
  out << kept;
  out.close();
  TERN_CHECK(out.good(), IoError, "[metrics] expected to write ", temporary, ", got: ", std::strerror(errno));
  std::error_code error;
  std::filesystem::rename(temporary, path, error);
  TERN_CHECK(!error, IoError, "[metrics] expected to replace ", path, ", got: ", error.message());
}

}  // namespace tern::train
