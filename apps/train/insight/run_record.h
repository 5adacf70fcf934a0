// A run directory as its files describe it: the ground of reports.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include <tern/core/io/directory.h>
#include <tern/core/io/json.h>
#include <tern/nn/module.h>
#include <tern/quant/layer_state.h>
#include <tern/train/insight/classification_report.h>

namespace tern::train {

/// The rows of a file of JSON lines, each an object. A last line without its end that is no object (cut off by whatever
/// ended the run) is left out; a file that is not there has no rows. Throws FormatError, naming file and line, for
/// anything else that is not one object a line; IoError.
std::vector<io::Json> read_rows(const io::FilePath& path);

/// Counts of values in bins of equal width over [low, high].
struct WeightHistogram {
  double low = 0, high = 0;
  std::vector<int64_t> counts;   ///< bin i holds low + i w <= v < low + (i + 1) w; the last one also v = high
  int64_t below = 0, above = 0;  ///< values outside
};
/// Throws ValueError unless low < high, both finite, and bins >= 1. Values that are not numbers are not counted.
WeightHistogram weight_histogram(const std::vector<double>& values, double low, double high, int64_t bins);

/// Which weights of a layer are zero, kernel by kernel. The mask shows output channels as rows and input channels as
/// columns of kernels, as many of each as have room; the counts are of the whole layer.
struct KernelMap {
  int64_t outputs = 0, inputs = 0, height = 0, width = 0;  ///< of the weight; a linear layer has kernels of 1 x 1
  int64_t rows = 0, columns = 0;                           ///< kernels in the mask
  std::string mask =
      {};  ///< 1 for a weight that is not zero, by row, column, y, x; eight a byte, the first in the high bit
  int64_t zero_kernels = 0, zero_outputs = 0, zero_inputs = 0;  ///< kernels and channels with nothing but zeros
};
/// weight: [O, I] or [O, I, H, W], the effective one. At most max_weights are in the mask. Throws ShapeError for other
/// shapes, ValueError for max_weights below the size of a kernel.
KernelMap kernel_map(const Tensor& weight, int64_t max_weights);

/// One weight of a checkpoint.
struct LayerWeights {
  quant::LayerState state;
  Shape shape;
  WeightHistogram histogram;  ///< of the latent weights, over 1.5 times the range that 99 % of them keep to (or the
                              ///< method, if that is more), either side of 0
  KernelMap map;
};

/// Settings of examine_weights.
struct WeightsOptions {
  int64_t bins = 81;            ///< of each histogram, at least 1; an odd number has a bin around 0
  int64_t map_weights = 32768;  ///< in each mask; at least a kernel's
};

/// What the weights of a model's layer table hold, in order. image_side: the model's input is [1, 3, side, side],
/// run once to count multiply-adds; 0: not counted. The model is left as it was. Throws ValueError for options out of
/// range, and what the forward throws.
std::vector<LayerWeights> examine_weights(nn::Module& model, int64_t image_side, const WeightsOptions& options = {});

/// The layers of a checkpoint.
struct WeightsRecord {
  int64_t epoch = 0, step = 0;  ///< complete epochs and optimizer steps when it was written
  std::vector<LayerWeights> layers;
  /// Their states alone, with the totals.
  quant::LayerTable table() const;
};

/// A setting by its dotted key, its value as JSON text (a string without quotes).
using Setting = std::pair<std::string, std::string>;

/// A run.
struct RunRecord {
  std::string name;                  ///< the directory's, with as much before it as tells runs apart
  std::vector<Setting> config;       ///< config.json without the environment; empty if there is none
  std::vector<Setting> environment;  ///< where it ran
  std::vector<io::Json> epochs;      ///< rows of metrics.jsonl, one a complete epoch
  std::vector<io::Json> steps;       ///< rows of metrics.jsonl within epochs (--log-every)
  std::vector<io::Json> layers;      ///< rows of layers.jsonl
  std::vector<io::Json> samples;     ///< rows of samples.jsonl
  io::Json summary;                  ///< summary.json; null if there is none, or only one of an earlier end
  std::optional<ClassificationReport> evaluation;  ///< evaluation.json, likewise
  std::optional<WeightsRecord> weights;            ///< of last.safetensors
  std::string weights_problem = {};                ///< why they are not there although the file is: one sentence
  double seconds = 0;  ///< to the end of the last complete epoch, in all programs that trained it

  /// Whether all epochs were trained and measured.
  bool finished() const { return !summary.is_null(); }
  /// Whether it is a language model's: told of in steps, with perplexities.
  bool is_language() const { return !setting("data.context").empty(); }
  /// The value of a setting; empty if there is none.
  std::string setting(std::string_view key) const;
};

/// The directory of a run, held open. Throws IoError for one that is not there.
io::DirectoryHandle open_run(const std::string& directory);

/// Reads a run directory of train_classifier, train_lm or a Trainer of your own; with_weights off leaves
/// last.safetensors alone. Files that are not there are left out, but one of config.json and metrics.jsonl must be. A
/// checkpoint that is damaged, does not name a model of the zoo, or holds another one than the configuration's or other
/// layers than layers.jsonl's only sets weights_problem. What is no regular file is not read, a symbolic link included:
/// what it leads to need not be the run's. Throws IoError for that and for a missing directory, FormatError for any
/// other broken file (one sentence that names it).
RunRecord read_run(const io::DirectoryHandle& directory, bool with_weights = true, const WeightsOptions& options = {});
RunRecord read_run(const std::string& directory, bool with_weights = true, const WeightsOptions& options = {});

/// The same for several, with names that tell them apart. Throws ValueError for one given twice.
std::vector<RunRecord> read_runs(const std::vector<std::string>& directories, bool with_weights = true,
                                 const WeightsOptions& options = {});

/// All settings of a JSON object by dotted key, in its order.
std::vector<Setting> settings_of(const io::Json& object);

/// A setting that is not the same in all runs; missing ones are empty.
struct Difference {
  std::string key;
  std::vector<std::string> values;  ///< a run each
};
/// Settings first, then the environment ("environment.threads"), in the order in which they come up.
std::vector<Difference> config_differences(const std::vector<RunRecord>& runs);

}  // namespace tern::train
