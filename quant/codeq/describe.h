// Attached quantizers as JSON, for checkpoints.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include <tern/nn/module.h>
#include <tern/quant/codeq/dead_zone.h>

namespace tern::quant::codeq {

/// The attached quantizers' settings as JSON text, for a checkpoint's metadata, and their attachment to a model of the
/// same structure; logits then come with the state dict. restore_attachment throws FormatError for a text that is not
/// such a description, ValueError for a layer that the model lacks or a setting out of range, StateError for a weight
/// that has a parametrization or is tied. Nothing is attached when it throws.
std::string describe_attachment(const nn::Module& model);
/// The settings in such a text by the quantized parameter's path ("conv1.weight"). Throws FormatError, and ValueError
/// for a setting out of range.
std::vector<std::pair<std::string, DeadZoneOptions>> described_quantizers(const std::string& description);
void restore_attachment(nn::Module& model, const std::string& description);

}  // namespace tern::quant::codeq
