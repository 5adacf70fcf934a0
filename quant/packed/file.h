// Packed weights in safetensors files, of whatever method and format.
//
// A packed weight "layers.0.fc.weight" of a model is stored as tensors named after it, "layers.0.fc.weight_packed" (u8)
// "layers.0.fc.weight_scale" (f32) and, in formats that have them, "layers.0.fc.weight_zero_point" (i32), in place of
// the float tensor; everything else keeps its name. One metadata entry, "tern.packed", says how to read them:
//
//   {"weights": {"layers.0.fc.weight": {"format": "pack3_fixed", "version": 1, "out_features": 288, "in_features": 768,
//                                       "settings": {"subln_eps": 1e-06}}}}
//
// Another kind of format is another name, with settings of its own (a group size, say).
#pragma once

#include <cstdint>
#include <map>
#include <string>

#include <tern/core/io/safetensors.h>
#include <tern/core/io/tensor_map.h>
#include <tern/quant/packed/format.h>

namespace tern::packed {

inline constexpr const char* kMetadataKey = "tern.packed";
/// What comes behind a weight's name in the names of its tensors.
inline constexpr const char* kBytesSuffix = "_packed";
inline constexpr const char* kScaleSuffix = "_scale";
inline constexpr const char* kZeroPointSuffix = "_zero_point";
/// The setting of a format with scales of groups: weights that share one.
inline constexpr const char* kGroupSize = "group_size";

/// What the metadata say of a packed weight.
struct WeightInfo {
  std::string format;
  int64_t version = 1;
  int64_t out_features = 0;
  int64_t in_features = 0;
  std::map<std::string, double> settings = {};  ///< finite numbers; which ones, the format and the layer decide
};
/// By the weight's name.
using WeightInfos = std::map<std::string, WeightInfo>;

/// The infos as the value of kMetadataKey, JSON.
[[nodiscard]] std::string describe(const WeightInfos& infos);
/// The infos of a file; none without kMetadataKey. Throws FormatError for a text that is not what describe() writes:
/// missing or unknown members, sizes below 1.
[[nodiscard]] WeightInfos read_infos(const io::Metadata& metadata);

/// A file's tensors and metadata: for io::save_safetensors, or to be saved along with more.
using Content = io::SafetensorsContent;

/// Adds a packed weight: its tensors, and its entry in the metadata. Throws ValueError if the name is taken.
void store(Content& content, const std::string& name, const PackedWeight& weight,
           const std::map<std::string, double>& settings = {});

/// The packed weight of that name, of whatever format. Throws ValueError if the file has none, FormatError, naming the
/// weight, for an unknown format or a later version, absent tensors and everything that check() refuses.
[[nodiscard]] PackedWeight load(const Content& content, const std::string& name);

/// The same for who has the infos at hand.
[[nodiscard]] PackedWeight load(const Content& content, const std::string& name, const WeightInfo& info);
/// What the metadata say of such a weight.
[[nodiscard]] WeightInfo info_of(const PackedWeight& weight, const std::map<std::string, double>& settings = {});

}  // namespace tern::packed
