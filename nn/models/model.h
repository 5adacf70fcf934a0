// What the zoo's models share: a name and a configuration that build them again.
#pragma once

#include <string>

#include <tern/core/io/json.h>
#include <tern/core/io/tensor_map.h>
#include <tern/nn/module.h>

namespace tern::nn::models {

/// A model that can say how to build it: create(model_name(), config()) (registry.h) gives one of the same structure.
class Model : public Module {
 public:
  /// A name that create() knows.
  virtual std::string model_name() const = 0;
  /// Every setting, resolved.
  virtual io::Json config() const = 0;
  /// Path of the layer that maps to classes or tokens: "head", "fc", "lm_head". What compresses a model mostly leaves
  /// it.
  virtual std::string head_path() const = 0;
  /// Name and configuration as file metadata, under the keys kModelKey and kConfigKey.
  io::Metadata metadata() const;
};

inline constexpr const char* kModelKey = "tern.model";          ///< model_name()
inline constexpr const char* kConfigKey = "tern.model_config";  ///< config() as JSON text

/// A safetensors file with the configuration that goes with it.
struct WeightFile {
  io::TensorMap tensors;
  io::Metadata metadata;
  std::string model;  ///< name of the model in the file's metadata; empty for a foreign file
  io::Json config;    ///< from the metadata, which win, or from config_path
};

/// Reads weights and configuration, a JSON object. `op` starts the messages. Throws ValueError if neither the file nor
/// config_path gives one (config_path may be empty); IoError and FormatError for broken files.
[[nodiscard]] WeightFile open_weights(const char* op, const std::string& path, const std::string& config_path);

}  // namespace tern::nn::models
