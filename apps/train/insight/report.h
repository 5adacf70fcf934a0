// The report of a run, or of several side by side: one HTML page that needs nothing but itself.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tern/core/io/directory.h>
#include <tern/core/io/json.h>
#include <tern/train/insight/run_record.h>

namespace tern::train {

/// Settings of the page.
struct ReportOptions {
  int64_t points = 400;        ///< of a curve, at most; longer ones are thinned evenly, their last point kept
  int64_t layer_points = 120;  ///< epochs in the pictures of layers over time, likewise
  WeightsOptions weights = {};
};

/// Reads run directories (see read_run) and writes the page, atomically. One directory gives a report of the run, more
/// a comparison: curves laid over each other, final figures and differing settings. Throws what read_runs throws,
/// ValueError without a directory, IoError where the page cannot be written.
void write_report(const io::FilePath& path, const std::vector<std::string>& directories,
                  const ReportOptions& options = {});
/// The same of one run, whose directory is held open.
void write_run_report(const io::FilePath& path, const io::DirectoryHandle& directory,
                      const ReportOptions& options = {});

/// What the page draws: {"version", "runs": [...], "differences": [{"key", "values"}]}. With one run, weight
/// histograms, kernel maps, the confusion matrix and the mistakes are in it.
io::Json report_data(const std::vector<RunRecord>& runs, const ReportOptions& options = {});

/// The page around the data. The texts in it may be hostile.
std::string report_page(const std::string& title, const io::Json& data);

/// Text for HTML, inside an element or a quoted attribute.
std::string escape_html(std::string_view text);
/// JSON text that can stand in a <script> element: <, > and & are written \u003c, \u003e and \u0026.
std::string embed_json(const io::Json& json);

}  // namespace tern::train
