// Files of weights that say what they are: architecture, configuration, quantizers and preprocessing travel as
// metadata, and a training run's state may lie beside the weights.
#pragma once

#include <memory>
#include <string>
#include <string_view>

#include <tern/core/io/directory.h>
#include <tern/core/io/tensor_map.h>
#include <tern/nn/models/model.h>
#include <tern/nn/module.h>
#include <tern/quant/packed/format.h>

namespace tern::train {

/// Metadata keys of our own files, beside those of the zoo's models (nn/models/model.h: tern.model, tern.model_config).
/// All values are texts; those marked JSON hold an object or list. What a method of compression says of a model is
/// under the method's own key (quant::Method::metadata_key).
namespace meta {
inline constexpr const char* kVersion = "tern.version";    ///< version that wrote the file; marks it as ours
inline constexpr const char* kFormat = "tern.format";      ///< kCheckpointFormat of the Tern that wrote it
inline constexpr const char* kChecksum = "tern.checksum";  ///< of everything else in the file, as checksum() has it
inline constexpr const char* kConfig = "tern.config";      ///< JSON: the configuration of the run
inline constexpr const char* kPreprocessing = "tern.preprocessing";  ///< JSON: mean, std, resize, crop
inline constexpr const char* kClasses = "tern.classes";  ///< JSON: names of the classes, one per output (classes.h)
inline constexpr const char* kTrainState = "tern.train_state";  ///< JSON: what Trainer needs to go on
inline constexpr const char* kBest =
    "tern.best";  ///< JSON: of a best checkpoint, what BestMark (best_checkpoint.h) has
}  // namespace meta

/// Version of what our files mean; one that is higher is refused.
inline constexpr int64_t kCheckpointFormat = 1;

/// Tensors whose name starts so are not weights but the state of a training run.
inline constexpr std::string_view kStatePrefix = "train_state.";

/// A file's content.
struct Checkpoint {
  io::TensorMap weights;  ///< under the module's names
  io::TensorMap state;    ///< optimizer, schedule, averages; without the prefix; empty in a file of weights
  io::Metadata metadata;
  std::string path = {};  ///< the file it was read from, for messages; empty for one made in memory

  /// Whether one of our own programs or Trainer wrote it.
  bool is_ours() const { return metadata.contains(meta::kVersion); }
  /// The metadata of that key. Throws FormatError, naming it and the file, if there is none.
  const std::string& metadata_at(const char* key) const;
};

/// Writes a checkpoint as one safetensors file with a checksum, atomically. Throws ValueError if a weight's name starts
/// with the state's prefix, IoError if the file cannot be written.
void save_checkpoint(const io::FilePath& path, const Checkpoint& checkpoint);

/// Reads a checkpoint, ours or any safetensors file. Throws IoError if it cannot be read; FormatError for a broken
/// file, one of ours whose content does not have the checksum that it names, or one that a later Tern wrote in another
/// format.
Checkpoint load_checkpoint(const io::FilePath& path);

/// Sixteen hexadecimal digits: XXH64 of all metadata but the checksum's own, and of name, dtype, shape and elements of
/// every tensor in the order of the file.
[[nodiscard]] std::string checksum(const io::TensorMap& tensors, const io::Metadata& metadata);

/// A module's parameters and buffers with the descriptions of its compressed layers, ready to be saved.
/// The tensors are the module's own.
Checkpoint weights_of(const nn::Module& model);

/// Puts a checkpoint's weights into a model: first the layers of every method of compression that the file describes
/// (quant/method.h), unless the model has some of that method, then values, strictly (ValueError with the missing,
/// unexpected and misshapen names, and the file); a file of packed weights as quant::load_into does. Throws as
/// quant::Method::restore where a description does not fit.
/// When it throws the model is as it was.
void load_weights(nn::Module& model, const Checkpoint& checkpoint);

/// The model of the zoo that a checkpoint of ours describes, with its compressed layers and its weights. Throws
/// FormatError for a file that does not name its model or whose description is broken, and as load_weights.
[[nodiscard]] std::shared_ptr<nn::models::Model> model_of(const Checkpoint& checkpoint);

/// Puts packed layers (quant/layers) in the place of a model's compressed ones, for inference or a smaller file;
/// nothing happens to a model that is packed already. Throws ValueError for a model without compressed layers and for
/// one with layers of a method that has no packed form, naming it, and as quant::Method::pack. `weights` is for the
/// message.
void pack_weights(nn::Module& model, const std::string& weights);

/// Writes a packed model, with further metadata (preprocessing, classes, configuration), as a checkpoint that
/// model_of() reads, its weights in that format (quant::state_of). Throws as save_checkpoint.
void save_packed(const io::FilePath& path, const nn::models::Model& model, const packed::Format& format,
                 const io::Metadata& metadata = {});

}  // namespace tern::train
