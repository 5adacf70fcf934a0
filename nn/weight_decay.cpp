#include <algorithm>

#include <tern/nn/weight_decay.h>

namespace tern::nn {

bool matches_pattern(std::string_view path, std::string_view pattern) {
  // On a mismatch after a star, the star takes one character more; only the latest star needs to be tried again.
  size_t p = 0, q = 0, star = std::string_view::npos, resume = 0;
  while (p < path.size()) {
    if (q < pattern.size() && pattern[q] == '*') {
      star = q++;
      resume = p;
    } else if (q < pattern.size() && (pattern[q] == '?' || pattern[q] == path[p])) {
      ++p, ++q;
    } else if (star != std::string_view::npos) {
      q = star + 1;
      p = ++resume;
    } else {
      return false;
    }
  }
  while (q < pattern.size() && pattern[q] == '*') ++q;
  return q == pattern.size();
}

DecaySplit split_weight_decay(const Module& model, const std::vector<std::string>& exclude) {
  DecaySplit split;
  for (const auto& [name, parameter] : model.named_parameters()) {
    if (!parameter.requires_grad()) continue;
    const std::string_view path = name;
    const bool excluded = std::any_of(exclude.begin(), exclude.end(),
                                      [&](const std::string& pattern) { return matches_pattern(path, pattern); });
    (parameter.dim() >= 2 && !excluded ? split.decay : split.no_decay).push_back(parameter);
  }
  return split;
}

}  // namespace tern::nn
