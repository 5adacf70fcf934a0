#include <algorithm>

#include <tern/core/error.h>
#include <tern/core/io/hash.h>
#include <tern/core/io/safetensors.h>
#include <tern/nn/models/registry.h>
#include <tern/nn/structure.h>
#include <tern/quant/layers/packed_state.h>
#include <tern/quant/method.h>
#include <tern/train/settings/environment.h>
#include <tern/train/weights/checkpoint.h>

namespace tern::train {
namespace {

// Refuses a file of ours that is damaged, or that this Tern cannot understand.
void check_integrity(const std::string& path, const io::SafetensorsContent& content) {
  const auto text_of = [&](const char* key) -> const std::string* {
    const auto it = content.metadata.find(key);
    return it == content.metadata.end() ? nullptr : &it->second;
  };
  const std::string *format = text_of(meta::kFormat), *sum = text_of(meta::kChecksum);
  if (format == nullptr && sum == nullptr) return;  // somebody else's
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  TERN_CHECK(format != nullptr && !format->empty() && format->size() <= 9 &&
                 std::all_of(format->begin(), format->end(), is_digit),
             FormatError, "[checkpoint] expected the number of a format in ", path, ", got ",
             format == nullptr ? "none" : "\"" + *format + "\"", "; the file is damaged");
  const std::string* version = text_of(meta::kVersion);
  TERN_CHECK(std::stoll(*format) <= kCheckpointFormat, FormatError, "[checkpoint] expected a file of format ",
             kCheckpointFormat, " or before in ", path, ", got format ", *format, ", written by Tern ",
             version == nullptr ? "of an unknown version" : *version);
  const std::string present = checksum(content.tensors, content.metadata);
  TERN_CHECK(sum != nullptr && *sum == present, FormatError, "[checkpoint] expected content with the checksum ",
             sum == nullptr ? "that the file lacks" : *sum, " in ", path, ", got ", present, "; the file is damaged");
}

}  // namespace

const std::string& Checkpoint::metadata_at(const char* key) const {
  const auto it = metadata.find(key);
  TERN_CHECK(it != metadata.end(), FormatError, "[checkpoint] expected metadata \"", key, "\"",
             path.empty() ? "" : " in " + path, ", got none");
  return it->second;
}

void save_checkpoint(const io::FilePath& path, const Checkpoint& checkpoint) {
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
  metadata[meta::kFormat] = std::to_string(kCheckpointFormat);
  metadata[meta::kChecksum] = checksum(tensors, metadata);
  io::save_safetensors(path, tensors, metadata);
}

Checkpoint load_checkpoint(const io::FilePath& path) {
  io::SafetensorsContent content = io::load_safetensors(path);
  check_integrity(path.text(), content);
  Checkpoint checkpoint;
  checkpoint.path = path.text();
  checkpoint.metadata = std::move(content.metadata);
  for (const auto& [name, tensor] : content.tensors) {
    if (checkpoint.is_ours() && name.starts_with(kStatePrefix))
      checkpoint.state.insert(name.substr(kStatePrefix.size()), tensor);
    else
      checkpoint.weights.insert(name, tensor);
  }
  return checkpoint;
}

std::string checksum(const io::TensorMap& tensors, const io::Metadata& metadata) {
  io::Hash64 hash;
  for (const auto& [key, value] : metadata) {
    if (key == meta::kChecksum) continue;
    hash.add_sized(key);
    hash.add_sized(value);
  }
  for (const auto& [name, tensor] : tensors) {
    const Tensor rows = tensor.detach().contiguous();
    hash.add_sized(name);
    hash.add_sized(to_string(rows.dtype()));
    hash.add_number(static_cast<uint64_t>(rows.dim()));
    for (const int64_t length : rows.shape()) hash.add_number(static_cast<uint64_t>(length));
    hash.add(rows.raw(), static_cast<size_t>(rows.bytes()));
  }
  return io::hex(hash.value());
}

Checkpoint weights_of(const nn::Module& model) {
  Checkpoint checkpoint;
  checkpoint.weights = io::TensorMap(model.state_dict());
  for (const quant::Method& method : quant::methods())
    if (method.is_in(model)) checkpoint.metadata[method.metadata_key] = method.describe(model);
  return checkpoint;
}

void load_weights(nn::Module& model, const Checkpoint& checkpoint) {
  nn::StructureGuard structure(model);
  try {
    if (checkpoint.is_ours())
      for (const quant::Method& method : quant::methods()) {
        const auto description = checkpoint.metadata.find(method.metadata_key);
        if (description != checkpoint.metadata.end() && !method.is_in(model))
          method.restore(model, description->second);
      }
    if (checkpoint.metadata.contains(packed::kMetadataKey))
      quant::load_into(model, {checkpoint.weights, checkpoint.metadata});
    else
      model.load_state_dict(checkpoint.weights.entries());
  } catch (const ValueError& error) {
    if (checkpoint.path.empty()) throw;
    throw ValueError(concat(error.message(), "; the file is ", checkpoint.path));
  }
  structure.keep();
}

std::shared_ptr<nn::models::Model> model_of(const Checkpoint& checkpoint) {
  const auto name = checkpoint.metadata.find(nn::models::kModelKey),
             config = checkpoint.metadata.find(nn::models::kConfigKey);
  TERN_CHECK(name != checkpoint.metadata.end() && config != checkpoint.metadata.end(), FormatError,
             "[checkpoint] expected a file that names its model, got one that does not",
             checkpoint.path.empty() ? "" : ": ", checkpoint.path);
  std::shared_ptr<nn::models::Model> model =
      nn::models::create(name->second, io::Json::parse("checkpoint", nn::models::kConfigKey, config->second));
  load_weights(*model, checkpoint);
  return model;
}

void pack_weights(nn::Module& model, const std::string& weights) {
  const bool is_packed = quant::is_packed(model);
  std::vector<const quant::Method*> found;
  for (const quant::Method& method : quant::methods())
    if (method.is_in(model)) found.push_back(&method);
  TERN_CHECK(is_packed || !found.empty(), ValueError, "[pack] expected weights with compressed layers in '", weights,
             "', got a model in full precision");
  for (const quant::Method* method : found)
    TERN_CHECK(method->pack != nullptr, ValueError, "[pack] expected layers of a method that has a packed form in '",
               weights, "', got those of ", method->title, ", which has none");
  nn::StructureGuard structure(model);
  for (const quant::Method* method : found) method->pack(model);
  structure.keep();
}

void save_packed(const io::FilePath& path, const nn::models::Model& model, const packed::Format& format,
                 const io::Metadata& metadata) {
  packed::Content content = quant::state_of(model, format);
  for (const char* key : {meta::kConfig, meta::kPreprocessing, meta::kClasses})
    if (const auto it = metadata.find(key); it != metadata.end()) content.metadata[key] = it->second;
  for (const auto& [key, value] : model.metadata()) content.metadata[key] = value;
  save_checkpoint(path, {.weights = std::move(content.tensors), .state = {}, .metadata = std::move(content.metadata)});
}

}  // namespace tern::train
