#include <tern/core/io/safetensors.h>
#include <tern/nn/models/model.h>

namespace tern::nn::models {

io::Metadata Model::metadata() const {
  return {{kModelKey, model_name()}, {kConfigKey, config().dump()}};
}

WeightFile open_weights(const char* op, const std::string& path, const std::string& config_path) {
  io::SafetensorsContent content = io::load_safetensors(path);
  WeightFile file{std::move(content.tensors), std::move(content.metadata), {}, {}};
  if (const auto model = file.metadata.find(kModelKey); model != file.metadata.end()) file.model = model->second;
  if (const auto config = file.metadata.find(kConfigKey); config != file.metadata.end()) {
    file.config = io::Json::parse(op, concat("configuration in ", path), config->second);
  } else {
    TERN_CHECK(!config_path.empty(), ValueError, "[", op, "] expected a configuration in the metadata of '", path,
               "' or a config.json beside it, got neither");
    file.config = io::Json::parse_file(op, config_path);
  }
  TERN_CHECK(file.config.is_object(), ValueError, "[", op, "] expected the configuration of '", path,
             "' as an object, got ", io::name_of(file.config.kind()));
  return file;
}

}  // namespace tern::nn::models
