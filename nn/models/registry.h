// The zoo by name: for programs that take a model's name from a command line, a configuration or a file.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <tern/nn/models/model.h>

namespace tern::nn::models {

/// Names that create() knows: resnet20, 32, 44, 56, 110, 1202 (CIFAR), resnet18, 34, 50, vit, vit_tiny, vit_small,
/// vit_base, llama, mlp.
[[nodiscard]] std::vector<std::string> names();

/// A new model, of the named model's settings changed by a JSON object (its Options, by their names; null for none).
/// Throws ValueError for an unknown name or key, with the nearest known one, and for values that do not fit.
[[nodiscard]] std::shared_ptr<Model> create(std::string_view name, const io::Json& config = {});

/// A model from a safetensors file with Model::metadata() in it and weights under the model's names. Throws ValueError
/// for a file without, and where the weights do not fit the model; IoError and FormatError for broken files.
[[nodiscard]] std::shared_ptr<Model> load(const std::string& path);

}  // namespace tern::nn::models
