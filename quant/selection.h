// Which layers of a model a method of compression takes, and what it leaves and why: one rule set for all methods.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include <tern/nn/module.h>

namespace tern::quant {

/// A layer or parameter that a method does not compress, by its path ("embed.weight"), and why: a phrase, for people.
struct LeftOut {
  std::string path;
  std::string reason;
  bool operator==(const LeftOut&) const = default;
};
/// "2: lm_head (a head), model.layers.0.mlp.up_proj (excluded by "up_proj")"; "0" for none.
std::string to_string(const std::vector<LeftOut>& left);

/// "up_proj" of "model.layers.0.mlp.up_proj"; all of a path without a dot.
std::string_view last_part(std::string_view path);

/// How the patterns of a method's settings are read.
enum class MatchRule {
  kGlob,       ///< the whole path, where * stands for any characters and ? for one: "conv1" means the stem alone
  kName,       ///< as kGlob, or the last part of a path ("up_proj"), or the type of a layer ("Linear")
  kSubstring,  ///< any part of the path: "conv1" also means the first convolution of every block (published code)
};

/// Patterns of paths, and which of them have matched.
class Patterns {
 public:
  /// Throws ValueError for an empty pattern.
  explicit Patterns(const std::vector<std::string>& patterns, MatchRule rule = MatchRule::kGlob);

  /// The first pattern that matches one of the paths where a layer stands, or the layer's type; an empty text if none
  /// does. Every pattern that matches counts as used.
  std::string match(const std::vector<std::string>& paths, std::string_view type = {});
  /// The same for one path.
  std::string match(std::string_view path, std::string_view type = {});
  /// Throws ValueError for the first pattern that has matched nothing: "[op] expected <wanted>, got "pattern", which
  /// matches none".
  void check_all_used(const char* op, const char* wanted) const;

 private:
  std::vector<std::string> patterns_;
  std::vector<bool> used_;
  MatchRule rule_;
};

/// Paths of the maps to classes or tokens: nn::models::Model::head_path() of the zoo's models, and layers called
/// "lm_head", "head" or "classifier".
std::vector<std::string> head_paths(const nn::Module& model);

}  // namespace tern::quant
