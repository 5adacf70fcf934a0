// The kinds of files that hold weights.
#pragma once

#include <cstdint>
#include <string>

namespace tern::train {

enum class WeightFile { kSafetensors, kNpy, kLlama2c };

/// .npy and llama2.c checkpoints are known by their first bytes, everything else counts as safetensors; `bytes`, if
/// given, becomes the file's size. Throws IoError if it cannot be read.
[[nodiscard]] WeightFile weight_file_kind(const std::string& path, int64_t* bytes = nullptr);

}  // namespace tern::train
