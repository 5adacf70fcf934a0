// Models with packed layers and files of packed weights.
#pragma once

#include <tern/nn/module.h>
#include <tern/quant/packed/file.h>

namespace tern::quant {

/// The setting, in a file, of a layer with a norm in front of its quantizer: the norm's eps.
inline constexpr const char* kSublnEps = "subln_eps";

/// Whether at least one layer is a PackedLinear.
bool is_packed(const nn::Module& model);

/// A model's state with the weights of its PackedLinear layers in that format, where it is computed with as the layer's
/// own is, else in the layer's, and the metadata that load_into() needs. The other tensors are the model's own.
[[nodiscard]] packed::Content state_of(const nn::Module& model, const packed::Format& format);

/// Puts a file's state into a model of the same structure whose layers are still Linear: each that the file has packed
/// becomes a PackedLinear, with a SubLN where the metadata say so, then everything is loaded by name. Layers
/// that are a PackedLinear already are loaded into. Throws FormatError as packed::load(), for settings that a
/// PackedLinear does not have and for a bias that is not finite, ValueError where a packed weight's layer is
/// missing, is neither of the two, or has other sizes, and as Module::load_state_dict (strict) for the rest. The model
/// is then as it was.
void load_into(nn::Module& model, const packed::Content& content);

}  // namespace tern::quant
