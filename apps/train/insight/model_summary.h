// The layers of the model that a file of weights belongs to.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include <tern/core/io/json.h>
#include <tern/nn/summary.h>
#include <tern/quant/layer_state.h>

namespace tern::train {

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
