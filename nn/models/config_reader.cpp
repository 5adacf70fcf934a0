#include <algorithm>

#include <tern/core/text.h>
#include <tern/nn/models/config_reader.h>

namespace tern::nn::models {

ConfigReader::ConfigReader(std::string op, const io::Json& config) : op_(std::move(op)), config_(config) {
  TERN_CHECK(config.is_object() || config.is_null(), ValueError, "[", op_,
             "] expected the configuration as an object, ", "got ", io::name_of(config.kind()));
}

const io::Json* ConfigReader::member(std::string_view key) {
  known_.emplace_back(key);
  const io::Json* value = config_.is_object() ? config_.find(key) : nullptr;
  return value == nullptr || value->is_null() ? nullptr : value;
}

void ConfigReader::read(std::string_view key, int64_t& value, int64_t min, int64_t max) {
  const io::Json* given = member(key);
  if (given == nullptr) return;
  TERN_CHECK(given->is_integer(), ValueError, "[", op_, "] expected an integer for ", key, ", got ", given->dump());
  const int64_t number = given->as_int();
  TERN_CHECK(number >= min && number <= max, ValueError, "[", op_, "] expected ", key, " in [", min, ", ", max,
             "], got ", number);
  value = number;
}

void ConfigReader::read(std::string_view key, double& value, double min, double max) {
  const io::Json* given = member(key);
  if (given == nullptr) return;
  TERN_CHECK(given->is_number(), ValueError, "[", op_, "] expected a number for ", key, ", got ", given->dump());
  const double number = given->as_number();
  TERN_CHECK(number >= min && number <= max, ValueError, "[", op_, "] expected ", key, " in [", min, ", ", max,
             "], got ", number);
  value = number;
}

void ConfigReader::read(std::string_view key, bool& value) {
  const io::Json* given = member(key);
  if (given == nullptr) return;
  TERN_CHECK(given->is_bool(), ValueError, "[", op_, "] expected true or false for ", key, ", got ", given->dump());
  value = given->as_bool();
}

void ConfigReader::read(std::string_view key, std::string& value) {
  const io::Json* given = member(key);
  if (given == nullptr) return;
  TERN_CHECK(given->is_string(), ValueError, "[", op_, "] expected a text for ", key, ", got ", given->dump());
  value = given->as_string();
}

void ConfigReader::read(std::string_view key, std::vector<int64_t>& value, int64_t min) {
  const io::Json* given = member(key);
  if (given == nullptr) return;
  TERN_CHECK(given->is_array(), ValueError, "[", op_, "] expected a list for ", key, ", got ", given->dump());
  std::vector<int64_t> numbers;
  for (const io::Json& item : given->items()) {
    TERN_CHECK(item.is_integer() && item.as_int() >= min, ValueError, "[", op_, "] expected integers of at least ", min,
               " in ", key, ", got ", given->dump());
    numbers.push_back(item.as_int());
  }
  value = std::move(numbers);
}

void ConfigReader::finish() const {
  if (!config_.is_object()) return;
  for (const auto& [key, value] : config_.members()) {
    if (std::find(known_.begin(), known_.end(), key) != known_.end()) continue;
    throw ValueError(
        concat("[", op_, "] expected a known setting, got '", key, "' (nearest: ", nearest_name(key, known_), ")"));
  }
}

std::string nearest_name(std::string_view name, const std::vector<std::string>& candidates) {
  std::string best;
  size_t best_distance = SIZE_MAX;
  for (const std::string& candidate : candidates) {
    const size_t distance = edit_distance(name, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

}  // namespace tern::nn::models
