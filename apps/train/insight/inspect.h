// What is in a file of weights: names, shapes, ranges, zeros, bits, and how the values are spread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <tern/core/io/json.h>
#include <tern/core/io/tensor_map.h>
#include <tern/core/tensor.h>
#include <tern/nn/summary.h>
#include <tern/quant/layer_state.h>

namespace tern::train {

/// Distinct values are counted up to this many.
inline constexpr int64_t kMostDistinct = 65536;

/// The elements of a tensor in figures. Those that are NaN or infinite count in `non_finite` alone.
struct ValueStats {
  int64_t count = 0;  ///< elements
  double min = 0, max = 0, mean = 0;
  double deviation = 0;    ///< standard deviation, of all elements and not of a sample (divided by their number)
  int64_t zeros = 0;       ///< of either sign
  int64_t non_finite = 0;  ///< NaN and infinities
  int64_t distinct = 0;    ///< different finite values; kMostDistinct + 1 stands for "more"
  std::vector<int64_t> histogram;  ///< finite elements in bins of equal width from min to max

  int64_t finite() const { return count - non_finite; }
  double zero_share() const { return count > 0 ? static_cast<double>(zeros) / static_cast<double>(count) : 0; }
};

/// Reads a tensor of any dtype and layout. Throws ValueError for fewer than 1 bin.
[[nodiscard]] ValueStats value_stats(const Tensor& x, int64_t bins = 24);

/// One tensor of a file.
struct TensorInspection {
  std::string name;          ///< empty in an .npy file
  std::string type;          ///< of the elements, as stored: "f32", "bool", "f8_e4m3"
  int64_t element_bits = 0;  ///< of one of them
  bool readable = true;      ///< false: no tensor can hold such elements, and nothing is known of the values
  Shape shape;
  int64_t bytes = 0;  ///< as stored
  ValueStats values;  ///< of what is not readable the number of elements alone
  /// What a method of compression makes of it, where the file's metadata say so and all is finite.
  std::optional<quant::LayerState> compressed;

  /// Bits an element has in use: the method's, else the type's.
  int64_t bits() const { return compressed ? compressed->bits : element_bits; }
  /// Share of zeros among what the layer computes with.
  double zero_share() const;
};

/// The order of tensors: the file's, or by name, number of elements, share of zeros, bits or standard deviation.
enum class InspectSort { kFile, kName, kElements, kZeros, kBits, kDeviation };

/// Settings of inspect_file.
struct InspectOptions {
  std::string filter = {};  ///< names that fit this pattern (* and ?) only; empty: all but the state of a run
  bool all = false;         ///< also the state of a training run (optimizer, averages) in a checkpoint of ours
  InspectSort sort = InspectSort::kFile;  ///< names rising, figures falling
  int64_t bins = 24;                      ///< of the histograms, at least 1
};

/// What inspect_file finds.
struct Inspection {
  std::string path;
  std::string format;      ///< "safetensors", "npy" or "llama2.c"
  int64_t file_bytes = 0;  ///< size of the file
  io::Metadata metadata;
  std::vector<TensorInspection> tensors;  ///< those that were asked for
  int64_t left_out = 0;                   ///< tensors of a run's state that were not
  int64_t left_out_bytes = 0;

  int64_t elements() const;  ///< of `tensors`
  int64_t bytes() const;     ///< likewise, as stored
};

/// Looks at a file: .npy and llama2.c checkpoints are known by their first bytes, everything else is read as
/// safetensors, one tensor in memory at a time (llama2.c: all at once). Tensors of a llama2.c checkpoint have the names
/// that the model has here. Throws what the readers throw (IoError, FormatError), FormatError also for metadata that
/// describe a quantizer which the file's tensors do not fit; ValueError for a filter that no tensor fits or bins
/// below 1.
[[nodiscard]] Inspection inspect_file(const std::string& path, const InspectOptions& options = {});

/// As aligned lines: a line a tensor, then metadata and totals. unicode: histograms as block elements (UTF-8), else as
/// ASCII. Control characters in names and metadata are shown escaped; long metadata are cut.
[[nodiscard]] std::string to_text(const Inspection& inspection, bool unicode = false);
/// All of it, metadata uncut, as one object.
[[nodiscard]] io::Json to_json(const Inspection& inspection);

/// Bins as one character each, the highest bin filling its character: " .:-=+*#%@" or the eight block elements; a bin
/// that is not empty never looks so.
[[nodiscard]] std::string histogram_sketch(const std::vector<int64_t>& bins, bool unicode);

/// What summary_of_file cannot learn from a file.
struct ModelQuestion {
  std::string model = {};             ///< name of a zoo model, for a file that does not say; else empty
  std::string config = {};            ///< config.json of a foreign llama
  std::vector<std::string> set = {};  ///< sizes of that model, "model.depth=6"
  int64_t side = 0;                   ///< of the square input image; 0: as the file or the model says
  int64_t tokens = 0;                 ///< length of a language model's input; 0: 128 or what the model can take
};

/// A model's modules, and its weights where a method of compression is at work.
struct ModelSummary {
  nn::Summary modules;
  std::optional<quant::LayerTable> compression;  ///< nothing for a model in full precision
};

/// The summary of the model that a file's weights belong to, with the weights and compressed layers of the file, for
/// one example. Our own checkpoints and llama2.c files say which model that is; for others `question` does, and the
/// number of classes is that of the file's last layer. Throws UsageError where the model is not known or said
/// otherwise, ValueError where the weights do not fit it, and what the readers throw.
[[nodiscard]] ModelSummary summary_of_file(const std::string& path, const ModelQuestion& question = {});
[[nodiscard]] std::string to_text(const ModelSummary& summary);
/// {"layers", "parameters", "trainable", "macs", "bits", "zero_share", "model_bytes"}, and "compression", the table as
/// quant::to_json has it, if there is one.
[[nodiscard]] io::Json to_json(const ModelSummary& summary);

}  // namespace tern::train
