// From a trained BitNet to one that computes with integers.
#pragma once

#include <string>
#include <vector>

#include <tern/nn/module.h>

namespace tern::quant::bitnet {

/// Puts a PackedLinear in the place of every BitLinear below the model, with its codes, scale, bias and
/// norm: for inference alone, exact in integers, and what state_of() can store. Returns the paths, in order.
/// Throws ValueError for a model without BitLinear layers; StateError for a layer whose lambda is below 1, whose weight
/// or input is not quantized, whose weight is not f32, or that has a low-rank correction, which packed layers have no
/// room for. Nothing has changed when it throws.
std::vector<std::string> pack(nn::Module& model);

}  // namespace tern::quant::bitnet
