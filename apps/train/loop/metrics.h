// What a run measures: rows of named numbers, as JSON lines in a file and as text on the way.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include <tern/core/io/file.h>
#include <tern/core/io/json.h>

namespace tern::train {

/// One named value. Not-a-number and infinities are written as null.
struct Metric {
  std::string name;
  std::variant<int64_t, double, std::string> value;
};
/// Values that belong together, such as those of an epoch.
using MetricRow = std::vector<Metric>;

/// The row as a JSON object.
io::Json to_json(const MetricRow& row);

/// A row of layers.jsonl: what a method did to single layers, an array of objects, up to an epoch's end.
io::Json layers_row(int64_t epoch, int64_t step, const io::Json& layers);

/// The number called `name`; `missing` if the row has none, or a text.
double number_of(const MetricRow& row, std::string_view name, double missing);

/// A file of JSON lines, one flushed line a row, so that it can be read whatever happens to the program. Throws IoError
/// as io::AppendFile.
class MetricsLog {
 public:
  /// Empties a file that is there, or goes on behind what it holds.
  enum class Open { kNew, kAppend };
  MetricsLog(const io::FilePath& path, Open open);

  void write(const MetricRow& row);
  /// The same for a row with structure.
  void write(const io::Json& row);

 private:
  io::AppendFile file_;
};

/// Drops what a resumed run will write again: a metrics file ends before the first line whose "step" is beyond `step`,
/// that is an epoch's beyond `epochs` complete ones ("epoch", without the "loss" of a row within an epoch), or that is
/// no JSON object, such as one that was cut off. A file that is not there stays so, and one without such a line is not
/// touched. Returns the "seconds" of the last
/// line that is left and has them, or 0. Throws IoError where it cannot be read or rewritten.
double cut_metrics_after(const io::FilePath& path, int64_t step, int64_t epochs);

}  // namespace tern::train
