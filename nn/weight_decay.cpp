#include <algorithm>

#include <tern/core/text.h>
#include <tern/nn/weight_decay.h>

namespace tern::nn {

DecaySplit split_weight_decay(const Module& model, const std::vector<std::string>& exclude) {
  DecaySplit split;
  for (const auto& [name, parameter] : model.named_parameters()) {
    if (!parameter.requires_grad()) continue;
    const std::string_view path = name;
    const bool excluded = std::any_of(exclude.begin(), exclude.end(),
                                      [&](const std::string& pattern) { return glob_matches(pattern, path); });
    (parameter.dim() >= 2 && !excluded ? split.decay : split.no_decay).push_back(parameter);
  }
  return split;
}

}  // namespace tern::nn
