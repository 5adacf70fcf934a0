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
  /// Name and configuration as file metadata, under the keys kModelKey and kConfigKey.
  io::Metadata metadata() const;
};

inline constexpr const char* kModelKey = "model";
inline constexpr const char* kConfigKey = "config";

}  // namespace tern::nn::models
