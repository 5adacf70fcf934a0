// Event files that TensorBoard reads: scalars and histograms of a run.
//
// The file is a series of TFRecords: u64 length, masked CRC32C of these 8 bytes, the bytes, masked CRC32C of them, all
// little-endian; masked(c) = rotate_right(c, 15) + 0xa282ead8. Each record is one protocol-buffer message `Event`
// (tensorflow/core/util/event.proto, framework/summary.proto), of which this writes the fields it needs.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include <tern/core/io/file.h>
#include <tern/core/tensor.h>
#include <tern/nn/module.h>
#include <tern/train/loop/metrics.h>

namespace tern::train {

/// CRC-32 with Castagnoli's polynomial (reflected 0x82f63b78), as iSCSI has it: crc32c("123456789") is 0xe3069283.
[[nodiscard]] uint32_t crc32c(std::string_view bytes);

/// One event file, flushed after every record, so that what was written can be read whatever happens to the program.
/// Every call throws IoError where the file cannot be written.
class EventWriter {
 public:
  /// Creates DIRECTORY/events.out.tfevents.SECONDS.tern (with a number behind it if there is one already). A run that
  /// goes on from `resumed_step` (above 0) tells TensorBoard to drop what older files in the directory say of later
  /// steps.
  explicit EventWriter(const io::DirectoryHandle& directory, int64_t resumed_step = 0);
  explicit EventWriter(const std::string& directory, int64_t resumed_step = 0);

  const std::string& path() const { return file_->path(); }  ///< of the file

  /// One number under a tag ("train_loss"). Stored as f32.
  void scalar(std::string_view tag, double value, int64_t step);
  /// All numbers of a metrics row, tagged by their names, at its "step"; "step" itself and texts are left out. Throws
  /// ValueError for a row without step.
  void row(const MetricRow& row);
  /// The distribution of a tensor's finite elements (any dtype) in 64 bins of equal width from the least to the
  /// greatest. Nothing is written if there are none.
  void histogram(std::string_view tag, const Tensor& values, int64_t step);

 private:
  void write(std::string_view event_body, int64_t step);

  std::unique_ptr<io::AppendFile> file_;
};

/// What an epoch did to the layers: for every convolution and linear layer a histogram of the weights it computes with
/// ("weights/NAME"); for compressed layers also "bits/NAME", "sparsity/NAME", the method's figures that have a column
/// in the layer table ("dead_zone/NAME") and "latent/NAME", the histogram before the quantizer.
void write_layers(EventWriter& events, const nn::Module& model, int64_t step);

/// Removes a directory's event files. Throws IoError where one cannot be removed.
void remove_event_files(const io::DirectoryHandle& directory);

}  // namespace tern::train
