#include <cstring>
#include <span>

#include <tern/core/io/file.h>
#include <tern/nn/models/llama.h>
#include <tern/train/insight/weight_file.h>

namespace tern::train {

WeightFile weight_file_kind(const std::string& path, int64_t* bytes) {
  constexpr char kMagic[] = "\x93NUMPY";
  const io::InputFile file("inspect", path);
  if (bytes != nullptr) *bytes = static_cast<int64_t>(file.size());
  char start[sizeof kMagic - 1] = {};
  if (file.size() >= sizeof start) file.read_at(0, std::as_writable_bytes(std::span(start)));
  if (std::memcmp(start, kMagic, sizeof start) == 0) return WeightFile::kNpy;
  return nn::models::Llama::is_llama2c(path) ? WeightFile::kLlama2c : WeightFile::kSafetensors;
}

}  // namespace tern::train
