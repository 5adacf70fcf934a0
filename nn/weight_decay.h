// Splitting parameters into those that weight decay suits and those it does not.
#pragma once

#include <string>
#include <vector>

#include <tern/nn/module.h>

namespace tern::nn {

/// Tensors for the groups of an optimizer, in the order of the model.
struct DecaySplit {
  std::vector<Tensor> decay;     ///< weights with two axes or more
  std::vector<Tensor> no_decay;  ///< norm scales, biases and everything else with fewer axes
};

/// The trainable parameters of a model, in order: those with at least two axes decay; biases, norm scales, quantizer
/// scalars and those whose path matches one of the `exclude` patterns do not. In a pattern, * stands for any text and ?
/// for one character ("*.pos_embed"). Parameters that do not require a gradient are left out.
///
///   auto [decay, no_decay] = nn::split_weight_decay(model, {"cls_token", "pos_embed"});
///   optim::AdamW opt({}, {{.params = decay, .weight_decay = 0.05}, {.params = no_decay, .weight_decay = 0}});
[[nodiscard]] DecaySplit split_weight_decay(const Module& model, const std::vector<std::string>& exclude = {});

}  // namespace tern::nn
