// Settings of a model out of a JSON object: each key has a type and a range, and what nobody asked for is refused.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include <tern/core/error.h>
#include <tern/core/io/json.h>

namespace tern::nn::models {

/// Reads members one by one; finish() refuses those that were neither read nor ignored, with the nearest known name.
/// All errors are ValueErrors that start with "[op]". The configuration must outlive the reader.
class ConfigReader {
 public:
  /// Null counts as an empty object. Throws ValueError for any other kind of value.
  ConfigReader(std::string op, const io::Json& config);

  /// Puts the member of that key into `value`, which stays as it is if the key is absent or null. Throws ValueError for
  /// a value of another type or outside [min, max]; of a list, for each element.
  void read(std::string_view key, int64_t& value, int64_t min, int64_t max = int64_t{1} << 40);
  void read(std::string_view key, double& value, double min, double max);
  void read(std::string_view key, bool& value);
  void read(std::string_view key, std::string& value);
  void read(std::string_view key, std::vector<int64_t>& value, int64_t min);
  /// Also true of a null.
  bool has(std::string_view key) const { return config_.is_object() && config_.contains(key); }
  /// A key that is allowed and does not matter here.
  void ignore(std::string_view key) { known_.emplace_back(key); }

  /// To be called last. Throws ValueError.
  void finish() const;

 private:
  const io::Json* member(std::string_view key);
  std::string op_;
  const io::Json& config_;
  std::vector<std::string> known_;
};

/// The candidate with the fewest single-character edits (edit_distance) from `name`; empty without candidates.
std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates);

}  // namespace tern::nn::models
