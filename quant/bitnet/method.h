// BitNet's entry in the registry of methods.
#pragma once

#include <tern/quant/method.h>

namespace tern::quant::bitnet {

/// Key "bitnet", metadata key "tern.bitnet"; its packed form is that of pack().
Method method();

/// A state for every BitLinear with a quantized weight and every BitLinearLrc below the model: two bits a weight, eight
/// an activation, and the figures "scale" (Delta) and, with a correction, "rank".
std::vector<LayerState> layer_states(const nn::Module& model);

}  // namespace tern::quant::bitnet
