// What is in a file of weights: names, shapes, ranges, zeros, bits, and how the values are spread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <tern/core/io/json.h>
#include <tern/core/io/tensor_map.h>
#include <tern/core/tensor.h>
#include <tern/quant/layer_state.h>
#include <tern/train/insight/value_stats.h>

namespace tern::train {

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

}  // namespace tern::train
