// Packed weights in safetensors files, of whatever method and format.
//
// A packed weight "layers.0.fc.weight" of a model is stored as tensors named after it, "layers.0.fc.weight_packed" (u8)
// and "layers.0.fc.weight_scale" (f32), in place of the float tensor; everything else keeps its name. One metadata
// entry, "tern.packed", says how to read them:
//
//   {"weights": {"layers.0.fc.weight": {"format": "pack3_fixed", "version": 1, "out_features": 288, "in_features": 768,
//                                       "settings": {"subln_eps": 1e-06}}}}
//
// Another kind of format is another name, with settings of its own (a group size, say).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include <tern/core/io/safetensors.h>
#include <tern/core/io/tensor_map.h>
#include <tern/nn/module.h>
#include <tern/quant/packed/ternary.h>

namespace tern::quant::packed {

inline constexpr const char* kMetadataKey = "tern.packed";
/// What comes behind a weight's name in the names of its tensors.
inline constexpr const char* kBytesSuffix = "_packed";
inline constexpr const char* kScaleSuffix = "_scale";
/// The ternary formats' version. A higher one in a file is refused.
inline constexpr int64_t kTernaryVersion = 1;
/// The setting of a layer with a norm in front of its quantizer: the norm's eps.
inline constexpr const char* kSublnEps = "subln_eps";

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

/// Adds a packed ternary weight: its tensors, and its entry in the metadata. Throws ValueError if the name is taken.
void store(Content& content, const std::string& name, const PackedTernary& weight,
           const std::map<std::string, double>& settings = {});

/// The packed ternary weight of that name. Throws ValueError if the file has none, FormatError, naming the weight, for
/// another format or version, absent tensors and everything that check() refuses.
[[nodiscard]] PackedTernary load(const Content& content, const std::string& name);

/// A model's state with the weights of its PackedTernaryLinear layers in that format, and the metadata that load_into()
/// needs. The other tensors are the model's own.
[[nodiscard]] Content state_of(const nn::Module& model, TernaryFormat format);

/// Puts a file's state into a model of the same structure whose layers are still Linear: each that the file has packed
/// becomes a PackedTernaryLinear, with a SubLN where the metadata say so, then everything is loaded by name. Layers
/// that are a PackedTernaryLinear already are loaded into. Throws FormatError as load(), for settings that a
/// PackedTernaryLinear does not have and for a bias that is not finite, ValueError where a packed weight's layer is
/// missing, is neither of the two, or has other sizes, and as Module::load_state_dict (strict) for the rest. The model
/// is then as it was.
void load_into(nn::Module& model, const Content& content);

}  // namespace tern::quant::packed
