#include <tern/core/error.h>
#include <tern/core/io/safetensors.h>
#include <tern/quant/codeq/codeq.h>
#include <tern/train/checkpoint.h>
#include <tern/train/environment.h>

namespace tern::train {

const std::string& Checkpoint::metadata_at(const char* key) const {
  const auto it = metadata.find(key);
  TERN_CHECK(it != metadata.end(), FormatError, "[checkpoint] expected metadata \"", key, "\", got a file without");
  return it->second;
}

void save_checkpoint(const std::string& path, const Checkpoint& checkpoint) {
  io::TensorMap tensors;
  for (const auto& [name, tensor] : checkpoint.weights) {
    TERN_CHECK(!name.starts_with(kStatePrefix), ValueError, "[checkpoint] expected no parameter called ", kStatePrefix,
               "..., got ", name);
    tensors.insert(name, tensor);
  }
  for (const auto& [name, tensor] : checkpoint.state) tensors.insert(concat(kStatePrefix, name), tensor);
  io::Metadata metadata = checkpoint.metadata;
  metadata[meta::kVersion] = version();
  metadata["format"] = "pt";  // what other readers of safetensors ask for: tensors in PyTorch's layout
  io::save_safetensors(path, tensors, metadata);
}

Checkpoint load_checkpoint(const std::string& path) {
  io::SafetensorsContent content = io::load_safetensors(path);
  Checkpoint checkpoint;
  checkpoint.metadata = std::move(content.metadata);
  for (const auto& [name, tensor] : content.tensors) {
    if (checkpoint.is_ours() && name.starts_with(kStatePrefix))
      checkpoint.state.insert(name.substr(kStatePrefix.size()), tensor);
    else
      checkpoint.weights.insert(name, tensor);
  }
  return checkpoint;
}

Checkpoint weights_of(const nn::Module& model) {
  Checkpoint checkpoint;
  checkpoint.weights = io::TensorMap(model.state_dict());
  if (!quant::codeq::attached_layers(model).empty())
    checkpoint.metadata[meta::kQuantizers] = quant::codeq::describe_attachment(model);
  return checkpoint;
}

void load_weights(nn::Module& model, const Checkpoint& checkpoint) {
  const auto quantizers = checkpoint.metadata.find(meta::kQuantizers);
  const bool attach =
      checkpoint.is_ours() && quantizers != checkpoint.metadata.end() && quant::codeq::attached_layers(model).empty();
  if (attach) quant::codeq::restore_attachment(model, quantizers->second);
  try {
    model.load_state_dict(checkpoint.weights.entries());
  } catch (...) {
    if (attach) quant::codeq::detach(model);
    throw;
  }
}

}  // namespace tern::train
