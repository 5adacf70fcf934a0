#include <tern/core/error.h>
#include <tern/core/text.h>
#include <tern/nn/models/model.h>
#include <tern/quant/selection.h>

namespace tern::quant {
std::string_view last_part(std::string_view path) {
  return path.substr(path.rfind('.') + 1);  // npos + 1 is 0
}

std::string to_string(const std::vector<LeftOut>& left) {
  std::string text = concat(left.size());
  for (size_t i = 0; i < left.size(); ++i)
    text += concat(i == 0 ? ": " : ", ", left[i].path, " (", left[i].reason, ")");
  return text;
}

Patterns::Patterns(const std::vector<std::string>& patterns, MatchRule rule)
    : patterns_(patterns), used_(patterns.size(), false), rule_(rule) {
  for (const std::string& pattern : patterns)
    TERN_CHECK(!pattern.empty(), ValueError, "[patterns] expected patterns that are not empty, got an empty one");
}

std::string Patterns::match(std::string_view path, std::string_view type) {
  std::string first;
  for (size_t i = 0; i < patterns_.size(); ++i) {
    const std::string& pattern = patterns_[i];
    const bool hit = rule_ == MatchRule::kSubstring
                         ? path.find(pattern) != std::string_view::npos
                         : glob_matches(pattern, path) ||
                               (rule_ == MatchRule::kName && (pattern == last_part(path) || pattern == type));
    if (!hit) continue;
    used_[i] = true;
    if (first.empty()) first = pattern;
  }
  return first;
}

std::string Patterns::match(const std::vector<std::string>& paths, std::string_view type) {
  std::vector<std::string> hits;
  for (const std::string& path : paths) hits.push_back(match(path, type));
  for (const std::string& pattern : patterns_)
    for (const std::string& hit : hits)
      if (!hit.empty() && hit == pattern) return hit;
  return {};
}

void Patterns::check_all_used(const char* op, const char* wanted) const {
  for (size_t i = 0; i < patterns_.size(); ++i)
    TERN_CHECK(used_[i], ValueError, "[", op, "] expected ", wanted, ", got \"", patterns_[i],
               "\", which matches none");
}

std::vector<std::string> head_paths(const nn::Module& model) {
  std::vector<std::string> heads;
  for (const auto& [path, module] : model.named_modules(true)) {
    const std::string_view name = last_part(path);
    if (name == "lm_head" || name == "head" || name == "classifier") heads.push_back(path);
    if (const auto* zoo = dynamic_cast<const nn::models::Model*>(module.get()))
      heads.push_back(nn::join_path(path, zoo->head_path()));
  }
  return heads;
}

}  // namespace tern::quant
